"""Folders as inputs: their files as DVC sees them, and hashes remembered between looks.

What DVC would overlook (what lies behind a link to a folder) or stumble over (a link to
nothing, a pipe, a name that is no text) is refused: both tools must see one thing.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from runledger.canonical import write_atomic
from runledger.errors import UserError

SETTLED_NS = 2_000_000_000  # a younger file may change again within one tick


class File(NamedTuple):
    """A file of a folder: path below it, size, and a mark that any change changes."""

    path: str
    size: int
    mark: str
    changed: int  # ns: the later of mtime and ctime


def list_files(folder: Path | str, ignored: Collection[str] = ()) -> list[File]:
    """Return the files below a folder in DVC's order; links to files are followed.

    Args:
        folder: may itself be a link.
        ignored: names that are left out at any depth.

    Raises:
        UserError: something is there that cannot be an input, or cannot be read.
    """
    try:
        return list(_files(os.fspath(folder), "", ignored))
    except OSError as error:
        raise UserError(
            f"cannot be read: {error.strerror}",
            str(error.filename or folder),
            "correct its permissions, or wait until nobody changes the folder",
        ) from None


def _files(folder: str, prefix: str, ignored: Collection[str]) -> Iterator[File]:
    with os.scandir(folder) as listed:
        entries = sorted(listed, key=lambda entry: entry.name)
    for entry in entries:
        if entry.name in ignored:
            continue
        _refuse_name(entry)
        if entry.is_dir(follow_symlinks=False):
            yield from _files(entry.path, f"{prefix}{entry.name}/", ignored)
            continue
        try:
            status = entry.stat()
        except FileNotFoundError:
            raise _refusal("a link to nothing", entry, "remove it") from None
        if stat.S_ISDIR(status.st_mode):
            what = "a link to a folder, behind which DVC does not look"
            raise _refusal(what, entry, "put the folder itself there")
        if not stat.S_ISREG(status.st_mode):
            raise _refusal("neither a file nor a folder", entry, "remove it")
        yield File(
            prefix + entry.name,
            status.st_size,
            f"{status.st_size} {status.st_mtime_ns} {status.st_ctime_ns} "
            f"{status.st_ino}",  # no device number: it differs between hosts
            max(status.st_mtime_ns, status.st_ctime_ns),
        )


def _refuse_name(entry: os.DirEntry) -> None:
    try:
        entry.name.encode()
    except UnicodeEncodeError:
        shown = entry.path.encode("utf-8", "backslashreplace").decode()
        raise UserError(
            "a file name that is not UTF-8, which DVC cannot keep",
            shown,
            "rename it",
        ) from None


def _refusal(what: str, entry: os.DirEntry, remedy: str) -> UserError:
    return UserError(f"a data folder holds {what}", entry.path, remedy)


class FolderMemory:
    """Hashes of one folder's files, kept in a file and checked before use.

    The first line has the folder's digest and what it was computed from; each further
    line a file's mark, md5 and path. A file that is cut short or edited counts as none.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def digest(self, files: list[File]) -> Any:
        """Return what was kept of exactly these files, or None."""
        try:
            with open(self.path, encoding="utf-8") as file:
                known = json.loads(file.readline())
            sealed = known.pop("seal") == _digest_of(json.dumps(known))
            return known["content"] if sealed and known["of"] == _mark(files) else None
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None

    def hashes(self, files: list[File], md5: Callable[[str], str]) -> dict[str, str]:
        """Return {path: md5}, reading only files whose mark is not a known one.

        Args:
            files: of the folder.
            md5: of a file, by its path below the folder.
        """
        known = self._known()
        return {
            file.path: known.get((file.mark, file.path)) or md5(file.path)
            for file in files
        }

    def _known(self) -> dict[tuple[str, str], str]:
        try:
            head, _, rest = self.path.read_text(encoding="utf-8").partition("\n")
            if json.loads(head)["table"] != _digest_of(rest):
                return {}
            rows = map(json.loads, rest.splitlines())
            return {(mark, path): md5 for mark, md5, path in rows}
        except (OSError, ValueError, KeyError, TypeError):
            return {}

    def keep(
        self, files: list[File], md5s: Mapping[str, str], content: Any, looked: int
    ) -> None:
        """Keep hashes; of a file changed just before it was looked at, none.

        Args:
            files, md5s: all files, and {path: md5}.
            content: what ``digest`` is to return (JSON).
            looked: ns since the epoch, after listing the files and before reading.
        """
        settled = [f for f in files if f.changed < looked - SETTLED_NS]
        rows = [json.dumps([f.mark, md5s[f.path], f.path]) for f in settled]
        rest = "\n".join(rows)
        whole = _mark(files) if len(settled) == len(files) else ""
        head = {"content": content, "of": whole, "table": _digest_of(rest)}
        head["seal"] = _digest_of(json.dumps(head))
        write_atomic(self.path, f"{json.dumps(head)}\n{rest}")


def _mark(files: list[File]) -> str:
    return _digest_of("\n".join(f"{file.mark} {file.path}" for file in files))


def _digest_of(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
