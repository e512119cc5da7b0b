"""Bytes: md5 as DVC computes it, the DVC cache layout, remembered hashes."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import stat
import time
import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from runledger import places
from runledger.canonical import disk_error, flush, to_bytes, write_atomic
from runledger.dates import clock
from runledger.dvcconfig import cache_config
from runledger.errors import UserError
from runledger.folders import File, FolderMemory, list_files
from runledger.links import copy, link
from runledger.moving import put_in_place, remove
from runledger.project import ledger_path

LARGE = 1 << 24  # bytes
IGNORED = frozenset(  # by DVC itself, or by .dvcignore, in the checkout
    (".git", ".hg", ".dvc", "__pycache__", ".snakemake_timestamp")
)


@dataclass(frozen=True)
class Digest:
    """A file's or folder's md5 (".dir" at the end for a folder), size, file count."""

    md5: str
    size: int
    nfiles: int | None = None
    files: tuple[tuple[str, str], ...] = ()

    @property
    def object_size(self) -> int | None:
        """Size of the object in caches and remotes; None (not known) of a folder's."""
        return None if self.md5.endswith(".dir") else self.size


def md5_file(path: Path | str) -> str:
    """Return the md5 of a file's bytes."""
    hasher = hashlib.md5(usedforsecurity=False)
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            hasher.update(block)
    return hasher.hexdigest()


def md5_text(text: str) -> str:
    """Return the md5 of a text in UTF-8."""
    return hashlib.md5(to_bytes(text), usedforsecurity=False).hexdigest()


def only_line_ends(data: bytes, md5: str) -> bool:
    """Tell whether a text has that md5 once its line ends are all LF, or all CRLF."""
    text = data.replace(b"\r\n", b"\n")
    return md5 in {
        hashlib.md5(one, usedforsecurity=False).hexdigest()
        for one in (text, text.replace(b"\n", b"\r\n"))
    }


def _dir_json(files: list[tuple[str, str]]) -> str:
    entries = sorted(files, key=lambda entry: entry[0])  # by text, as DVC does
    return json.dumps([{"md5": md5, "relpath": path} for path, md5 in entries])


def hash_path(path: Path | str, ignored: Collection[str] = IGNORED) -> Digest:
    """Digest a file, or a folder as DVC does (its sorted list of files).

    Raises:
        UserError: the folder holds what DVC would overlook or stumble over.
    """
    path = Path(path)
    if not path.is_dir():
        return Digest(md5_file(path), path.stat().st_size)
    files = list_files(path, ignored)
    return _folder(files, {file.path: md5_file(path / file.path) for file in files})


def _folder(files: list[File], md5s: Mapping[str, str]) -> Digest:
    listed = [(file.path, md5s[file.path]) for file in files]
    size = sum(file.size for file in files)
    return Digest(md5_text(_dir_json(listed)) + ".dir", size, len(files), tuple(listed))


class Mark(NamedTuple):
    """What differs between a file and one that was written since."""

    text: str
    size: int
    changed: int  # ns, by the disk's clock

    @property
    def tick(self) -> int:
        """Nanoseconds within which two changes may have one date."""
        return 20_000_000 if self.changed % 1_000_000_000 else 2_000_000_000


def _mark(path: Path) -> Mark | None:
    """Return a file's mark; None for folders and absent files."""
    try:
        found = path.stat()
    except OSError:
        return None
    if stat.S_ISDIR(found.st_mode):
        return None
    dates = f"{found.st_mtime_ns} {found.st_ctime_ns}"
    text = f"{found.st_size} {found.st_ino} {dates}"
    return Mark(text, found.st_size, found.st_ctime_ns)


class Store:
    """The DVC cache of a checkout, and a memory of hashes already computed."""

    def __init__(self, root: Path) -> None:
        self.root = Path(root)
        self.config = cache_config(self.root)
        self.objects = self.config.folder / "files" / "md5"
        self.memory = ledger_path(self.root, ".state", "hashes")

    def object_path(self, md5: str) -> Path:
        """Return where the DVC cache keeps an object."""
        return self.objects / md5[:2] / md5[2:]

    def prepare(self) -> None:
        """Make sure that the cache can be written, before hours are spent.

        Raises:
            UserError: it cannot, or it is not there (its disk is not mounted).
        """
        places.prepare_cache(self.root, self.config)

    def has(self, md5: str, size: int | None = None) -> bool:
        """Tell whether an object (for a folder: and all its files) is in the cache.

        Its bytes are not read; a size is compared if given (of a folder it is not).
        """
        path = self.object_path(md5)
        if not path.is_file():
            return False
        if md5.endswith(".dir"):
            return all(self.has(entry["md5"]) for entry in self.entries(md5))
        return size is None or path.stat().st_size == size

    def is_sound(self, md5: str) -> bool:
        """Tell whether an object (of a folder: with all its files) is here and right.

        The bytes are read. A damaged object is removed: it counts as absent.
        """
        path = self.object_path(md5)
        if not path.is_file():
            return False
        if md5_file(path) != md5.removesuffix(".dir"):
            try:
                path.unlink()
            except OSError as error:
                raise disk_error(error, path) from error
            return False
        return all([self.is_sound(entry["md5"]) for entry in self.entries(md5)])

    def looks_sound(self, md5: str) -> bool:
        """As `is_sound`, but reads only what changed since, and removes nothing.

        Where the cache shares its disk blocks with the checkout by links, an edit there
        is one here.
        """
        found = self.current(self.object_path(md5))
        if found is None or found.md5 != md5.removesuffix(".dir"):
            return False
        return all(self.looks_sound(entry["md5"]) for entry in self.entries(md5))

    def entries(self, md5: str) -> list[dict[str, str]]:
        """Return the files of a folder's object, as {md5, relpath}; none of a file's.

        A listing that cannot be read names no file; its own md5 is then wrong, too.
        """
        if not md5.endswith(".dir"):
            return []
        try:
            return json.loads(self.object_path(md5).read_bytes())
        except ValueError:
            return []

    def keep(self, draft: Path, md5: str) -> bool:
        """Move a file of the cache's own disk into the cache; False if it is wrong."""
        if md5_file(draft) != md5.removesuffix(".dir"):
            return False
        target = self.object_path(md5)
        places.make_folder(target.parent, self.config)
        os.chmod(draft, 0o444)
        os.replace(draft, target)
        if not md5.endswith(".dir"):
            self.remember(target, Digest(md5, target.stat().st_size))
        return True

    def draft(self) -> Path:
        """Return an unused path on the cache's own disk."""
        places.make_folder(self.objects, self.config)
        return self.objects / f".{uuid.uuid4().hex}.tmp"

    def _put_file(self, source: Path, md5: str) -> None:
        target = self.object_path(md5)
        if target.is_file() and md5_file(target) == md5:
            return
        try:
            temporary = self.draft()
            try:
                copy(source, temporary)
                flush(temporary)  # before the record that names it
                if not self.keep(temporary, md5):
                    raise OSError(f"{source} changed while it was copied")
            finally:
                temporary.unlink(missing_ok=True)
        except OSError as error:
            raise disk_error(error, target) from error

    def put(self, source: Path, content: Digest) -> None:
        """Copy a file or folder into the cache by atomic rename, verified."""
        if not content.md5.endswith(".dir"):
            self._put_file(source, content.md5)
            return
        for relative, md5 in content.files:
            self._put_file(source / relative, md5)
        listing = self.draft()
        write_atomic(listing, _dir_json(list(content.files)))
        self.keep(listing, content.md5)

    def hold(self, path: Path, content: Digest) -> None:
        """Put a file whose bytes are right into the cache if that has lost them."""
        if not self.has(content.md5, content.object_size):
            self.put(path, hash_path(path) if path.is_dir() else content)

    def restore(self, md5: str, target: Path) -> bool:
        """Put an object of the cache at a path; False if the cache lacks it.

        The bytes are checked on the way: a damaged cache object is removed, counts as
        absent, and what was at the path stays.
        """
        if not self.has(md5):
            return False
        temporary = target.with_name(f".{uuid.uuid4().hex}.tmp")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            if md5.endswith(".dir"):
                temporary.mkdir()
                for entry in self.entries(md5):
                    place = temporary / entry["relpath"]
                    place.parent.mkdir(parents=True, exist_ok=True)
                    link(self.object_path(entry["md5"]), place, self.config.links)
            else:
                link(self.object_path(md5), temporary, self.config.links)
            found = hash_path(temporary)
            if found.md5 != md5:
                self.is_sound(md5)  # removes what is damaged
                return False
            put_in_place(temporary, target, target.parent)
        except OSError as error:
            raise disk_error(error, target) from error
        finally:
            remove(temporary)
        self.remember(target, found)
        return True

    def _memory_of(self, path: Path) -> Path:
        name = md5_text(os.path.relpath(path, self.root))
        return self.memory / name[:2] / name[2:]

    def remember(self, path: Path, content: Digest) -> None:
        """Keep a file's md5, so that a later look need not read the bytes again."""
        mark = _mark(path)
        if mark is not None:
            if content.size > LARGE:  # cheaper than to read it again
                time.sleep(mark.tick / 1e9)
            self._keep(path, mark, content)

    def _keep(self, path: Path, mark: Mark, content: Digest) -> None:
        with contextlib.suppress(UserError):  # nobody needs it: the bytes can be read
            write_atomic(self._memory_of(path), f"{mark.text}\n{content.md5}\n")

    def _remembered(self, path: Path, mark: Mark) -> str | None:
        """Return the md5 of a file that is as it was when that was kept.

        What was kept within one tick of the disk's clock after the file's last change
        is not used: another change in the same tick would not show.
        """
        memory = self._memory_of(path)
        try:
            known, md5 = memory.read_text("ascii").splitlines()
            settled = memory.stat().st_mtime_ns - mark.changed >= mark.tick
        except (OSError, ValueError):
            return None
        whole = re.fullmatch("[0-9a-f]{32}", md5) is not None
        return md5 if known == mark.text and settled and whole else None

    def current(self, path: Path) -> Digest | None:
        """Return a path's digest as of now, from memory if unchanged; None if absent.

        Unchanged means equal size, inode, mtime and ctime in nanoseconds; ctime cannot
        be set by a program, so an edit is not overlooked.
        """
        if path.is_dir():
            return self._current_folder(path)
        mark = _mark(path)
        if mark is None:
            return None
        md5 = self._remembered(path, mark)
        if md5 is not None:
            return Digest(md5, mark.size)
        content = hash_path(path)
        if _mark(path) == mark:
            self._keep(path, mark, content)
        return content

    def ignored(self, path: Path) -> Collection[str]:
        """Return the names that DVC ignores below a path; outside the checkout none."""
        top = os.path.abspath(self.root)
        return IGNORED if Path(os.path.abspath(path)).is_relative_to(top) else ()

    def _current_folder(self, path: Path) -> Digest:
        """Digest a folder, reading only files that are not as they were remembered.

        ``files`` is filled only when something had to be read.
        """
        memory = FolderMemory(self._memory_of(path))
        files = list_files(path, self.ignored(path))
        known = memory.digest(files)
        if known:
            return Digest(*known)
        looked = int(clock(self.root) * 1e9)  # before any file is read
        md5s = memory.hashes(files, lambda name: md5_file(path / name))
        content = _folder(files, md5s)
        memory.keep(files, md5s, [content.md5, content.size, content.nfiles], looked)
        return content


class ReadingStore(Store):
    """A store that reads all bytes at every look, and remembers them for the others."""

    def current(self, path: Path) -> Digest | None:
        """Return a path's digest as of now; None if absent."""
        if not path.exists():
            return None
        content = hash_path(path, self.ignored(path))
        self.remember(path, content)
        return content
