"""Whether a place outside the checkout is there: an absent place is not an empty one.

A disk that is not mounted looks like an empty folder. So a checkout remembers in which
caches and remotes it has seen objects, and says so when one of them has none later.
"""

from __future__ import annotations

import errno
import os
import tempfile
import time
import uuid
from contextlib import suppress
from datetime import date
from pathlib import Path

from runledger.canonical import digest, disk_error, write_once
from runledger.dvcconfig import CacheConfig
from runledger.errors import UserError
from runledger.links import link
from runledger.project import ledger_path


def _note(root: Path, place: str) -> Path:
    return ledger_path(root, ".state", "places", f"{digest(place)}.txt")


def remember(root: Path, place: str) -> None:
    """Note that a place has had objects, so that it is never taken for a new one."""
    write_once(_note(root, place), f"{place}\n{date.today()}\n")


def seen(root: Path, place: str) -> str:
    """Return the day on which a place was last seen with objects; "" if never."""
    try:
        return _note(root, place).read_text(encoding="utf-8").splitlines()[-1]
    except (OSError, IndexError):
        return ""


def _is_outside(config: CacheConfig) -> bool:
    """Whether a cache may be on another disk, absent while the checkout is here."""
    return bool(config.said_by) or config.folder.is_symlink()


def check_cache(root: Path, config: CacheConfig) -> None:
    """Make sure that what the cache lacks is not only out of reach.

    Raises:
        UserError: the cache's folder is not there, or has lost all it had.
    """
    objects = config.folder / "files" / "md5"
    where = config.said_by or str(config.folder)
    if not _is_outside(config) or objects.is_dir():
        return
    day = seen(root, os.path.abspath(objects))
    if day:
        raise UserError(
            f"the DVC cache {config.folder} has no objects any more (it had, on {day})",
            where,
            "mount its disk; if it was moved, say where to (dvc cache dir FOLDER); "
            f"if it is meant to be empty, mkdir -p {objects}",
        )
    above = Path(os.path.realpath(config.folder)).parent
    if not above.is_dir():
        raise UserError(
            f"there is no folder {above} for the DVC cache",
            where,
            f"mount its disk, or mkdir -p {objects}",
        )


def prepare_cache(root: Path, config: CacheConfig) -> None:
    """Make sure that results can be kept, before hours are spent on them.

    Raises:
        UserError: the cache cannot be found, made, written, or linked from.
    """
    check_cache(root, config)
    objects = config.folder / "files" / "md5"
    draft = ledger_path(root, ".state", f".{uuid.uuid4().hex}.link")
    try:
        make_folder(objects, config)
        _sweep(objects)
        draft.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=objects, prefix=".", suffix=".tmp") as new:
            link(Path(new.name), draft, config.links)
            draft.unlink()
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise disk_error(error, objects) from error
        raise UserError(
            f"the DVC cache cannot be used: {error.strerror or error}",
            error.filename or objects,
            "free space or get the right to write there, or use another one: "
            "dvc cache dir --local FOLDER",
        ) from error
    if _is_outside(config):
        remember(root, os.path.abspath(objects))


def _sweep(objects: Path) -> None:
    """Remove what a kill left half written, once nobody can be writing it any more."""
    for draft in objects.glob(".*.tmp"):
        with suppress(FileNotFoundError):  # another job's, which has just removed it
            if time.time() - draft.stat().st_mtime > 7 * 86400:
                draft.unlink()


def make_folder(folder: Path, config: CacheConfig) -> None:
    """Make a folder of the cache, with those above it, as DVC does.

    In a shared cache it can be written by the group, whatever the umask, and what is
    made in it belongs to the group.
    """
    if folder.is_dir():
        return
    make_folder(folder.parent, config)
    folder.mkdir(exist_ok=True)
    if config.shared:
        folder.chmod(0o2775)
