"""Where DVC keeps its cache, as DVC's own configuration says, without importing DVC.

DVC merges four files: the system's, the user's, the repository's (.dvc/config) and the
checkout's own (.dvc/config.local); a later one wins. Importing DVC to ask it would cost
every command a quarter of a second, and jobs on cluster nodes run no DVC code at all:
they get what the head read (a node may have another home, other variables).
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runledger.errors import UserError

CACHE = "RUNLEDGER_CACHE"  # set by the head for its jobs
LINKS = ("reflink", "hardlink", "symlink", "copy")


@dataclass(frozen=True)
class CacheConfig:
    """DVC's section [cache], resolved.

    Attributes:
        folder: the cache; below the checkout, relative like the checkout's own path.
        links: how files get from the cache to their place: the first way that works.
        shared: whether the folders made in it belong to the whole group.
        said_by: the file that names the folder; "" if it is DVC's default.
    """

    folder: Path
    links: tuple[str, ...] = ("reflink", "copy")
    shared: bool = False
    said_by: str = ""


def dvc_folder(root: Path) -> Path:
    """Return the .dvc folder of a checkout, as DVC finds it: here or further up."""
    here = Path(os.path.abspath(root))
    for folder in (here, *here.parents):
        if (folder / ".dvc").is_dir():
            return folder / ".dvc"
        if os.path.ismount(folder):
            break
    return here / ".dvc"


def _files(folder: Path) -> Iterator[Path]:
    """Name the files that DVC reads; a later one wins."""
    import platformdirs

    system = os.environ.get("DVC_SYSTEM_CONFIG_DIR")
    user = os.environ.get("DVC_GLOBAL_CONFIG_DIR")
    yield Path(system or platformdirs.site_config_dir("dvc", "iterative")) / "config"
    yield Path(user or platformdirs.user_config_dir("dvc", "iterative")) / "config"
    yield folder / "config"
    yield folder / "config.local"


def _section(file: Path) -> Mapping[str, Any]:
    """Return what one file says of the cache; names of keys in lower case."""
    from configobj import ConfigObj, ConfigObjError

    try:
        with open(file, encoding=None) as stream:  # the locale's, as for DVC
            content = ConfigObj(stream).dict()
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, ConfigObjError) as error:
        raise UserError(
            f"DVC's configuration cannot be read: {error}", file, "correct or remove it"
        ) from None
    found: dict[str, Any] = {}
    for name, section in content.items():
        if name.lower() == "cache" and isinstance(section, dict):
            found = {key.lower(): value for key, value in section.items()}
    return found


def _folder(value: Any, file: Path) -> Path:
    if not isinstance(value, str) or re.match(r"\w+://", value):
        raise UserError(
            f"cache.dir = {value!r}: the cache has to be a folder of this machine",
            file,
            "dvc config cache.dir FOLDER; for bytes elsewhere, use a DVC remote",
        )
    path = os.path.expanduser(value)
    if os.path.isabs(path):
        return Path(path)
    return Path(os.path.abspath(file.parent / path))


def _links(value: Any, file: Path) -> tuple[str, ...]:
    names = value.split(",") if isinstance(value, str) else value
    names = tuple(name.strip() for name in names)
    if not names or set(names) - set(LINKS):
        raise UserError(
            f"cache.type = {value!r} is not made of {', '.join(LINKS)}",
            file,
            "dvc config cache.type reflink,copy",
        )
    return names


def read_config(root: Path) -> CacheConfig:
    """Resolve DVC's configuration of the cache from its files.

    Raises:
        UserError: a file cannot be read, or names a cache that cannot be used here.
    """
    folder = dvc_folder(root)
    merged: dict[str, Any] = {}
    said_by: dict[str, Path] = {}
    for file in _files(folder):
        section = _section(file)
        merged |= section
        said_by |= dict.fromkeys(section, file)
    if "local" in merged:
        raise UserError(
            f"cache.local = {merged['local']!r} is a key of old DVC",
            said_by["local"],
            "name the folder itself: dvc config cache.dir FOLDER",
        )
    if str(merged.get("shared", "group")).lower() != "group":
        raise UserError(
            f"cache.shared = {merged['shared']!r}: DVC knows only group",
            said_by["shared"],
            "dvc config cache.shared group",
        )
    place = folder / "cache"
    if "dir" in merged:
        place = _folder(merged["dir"], said_by["dir"])
    links = CacheConfig.links
    if "type" in merged:
        links = _links(merged["type"], said_by["type"])
    here = Path(os.path.abspath(root))
    if place.is_relative_to(here):
        place = Path(root) / place.relative_to(here)
    named = str(said_by.get("dir", ""))
    return CacheConfig(place, links, "shared" in merged, named)


def tell_jobs(root: Path) -> CacheConfig:
    """Read the configuration and hand it to the jobs of this process."""
    os.environ.pop(CACHE, None)
    found = read_config(root)
    folder = found.folder
    if folder.is_relative_to(root):
        folder = folder.relative_to(root)
    settings = {
        "root": os.path.realpath(root),
        "folder": str(folder),
        "links": found.links,
    }
    settings |= {"shared": found.shared, "said_by": found.said_by}
    os.environ[CACHE] = json.dumps(settings)
    return found


def cache_config(root: Path) -> CacheConfig:
    """Return where the cache is: as the head said, or as the files say.

    Raises:
        UserError: the configuration cannot be used.
    """
    settings = json.loads(os.environ.get(CACHE, "{}"))
    if settings.pop("root", None) != os.path.realpath(root):
        return read_config(root)
    settings["folder"] = Path(root) / settings["folder"]  # an absolute one stays
    return CacheConfig(**{**settings, "links": tuple(settings["links"])})
