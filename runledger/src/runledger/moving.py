"""Files and folders moved to where they belong, whole, whatever was there before."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import uuid
from pathlib import Path

from runledger.canonical import read_text
from runledger.errors import UserError
from runledger.links import copy

_NEVER_KEPT = (".git", ".hg", ".dvc", ".dvcignore")  # by DVC, whatever .dvcignore says
# what a rename says where a folder is on one side, and not an empty one on the other
_IN_THE_WAY = (errno.ENOTEMPTY, errno.EEXIST, errno.EISDIR, errno.ENOTDIR)


def put_in_place(source: Path, target: Path, attic: Path) -> None:
    """Move a file or folder to a path; what was there is gone when this returns.

    A file replaces a file at once. Where one of them is a folder, what was there is
    moved away first: between two renames nothing is there, and a crash leaves it in
    the attic, or nothing.

    Args:
        source: on the disk of the target, or on another (then it is copied first).
        target: its folder exists.
        attic: an existing folder for what was there, on the disk of the target.
    """
    try:
        os.replace(source, target)
    except OSError as error:
        if error.errno == errno.EXDEV:
            _from_another_disk(source, target)
        elif error.errno in _IN_THE_WAY:
            _exchange(source, target, attic)
        else:
            raise


def _exchange(source: Path, target: Path, attic: Path) -> None:
    old = attic / f".{uuid.uuid4().hex}.tmp"
    os.rename(target, old)
    try:
        os.rename(source, target)
    except OSError:
        os.rename(old, target)
        raise
    remove(old)


def _from_another_disk(source: Path, target: Path) -> None:
    draft = target.with_name(f".{uuid.uuid4().hex}.tmp")
    try:
        if source.is_dir():
            shutil.copytree(source, draft, symlinks=True)
        else:
            copy(source, draft)
        put_in_place(draft, target, target.parent)
    finally:
        remove(draft)
    remove(source)


def remove(path: Path) -> None:
    """Remove a file, a link, or a folder with all that is in it; absent is fine."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def make_plain(source: Path, path: str) -> None:
    """Let an output be what DVC keeps of it, and what comes back elsewhere.

    Links to files become files, for they may point to where only this job can look.
    Empty folders go.

    Args:
        source: the output as the job wrote it.
        path: where it is going to be, for messages.

    Raises:
        UserError: a link to a folder or to nothing, or what is neither file nor folder.
    """
    if source.is_symlink():
        _follow(source, path)
    elif source.is_dir():
        for entry in sorted(source.iterdir()):
            make_plain(entry, f"{path}/{entry.name}")
            if entry.is_dir() and not any(entry.iterdir()):
                entry.rmdir()
    elif not stat.S_ISREG(source.stat().st_mode):
        raise _odd("neither a file nor a folder", path)


def _follow(source: Path, path: str) -> None:
    if not source.is_file():
        what = "a link to a folder" if source.is_dir() else "a link to nothing"
        raise _odd(what, path)
    draft = source.with_name(f".{uuid.uuid4().hex}.tmp")
    copy(source.resolve(), draft)
    os.replace(draft, source)


def refuse_ignored(root: Path, source: Path, path: str) -> None:
    """Refuse an output folder with files that DVC would leave out.

    Args:
        root: the checkout, with its .dvcignore.
        source, path: as for `make_plain`.

    Raises:
        UserError: names the first such file.
    """
    if not source.is_dir():
        return
    from pathspec import GitIgnoreSpec

    patterns = root / ".dvcignore"
    lines = read_text(patterns).splitlines() if patterns.is_file() else []
    spec = GitIgnoreSpec.from_lines([*_NEVER_KEPT, *lines])
    for file in sorted(source.rglob("*")):
        place = f"{path}/{file.relative_to(source).as_posix()}"
        if file.is_file() and spec.match_file(place):
            raise UserError(
                "an output folder holds a file that DVC ignores",
                place,
                "give the file another name in the stage, or change .dvcignore",
            )


def _odd(what: str, path: str) -> UserError:
    return UserError(
        f"an output is {what}, which DVC cannot keep",
        path,
        "let the stage write the files themselves",
    )
