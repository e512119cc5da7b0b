"""How one file's bytes get to another path: shared blocks, links, or a copy.

The ways are those of DVC's cache.type. A hard or symbolic link is the cache's own file,
which is read-only; whoever makes its path anew replaces the link and not the bytes.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from runledger.errors import UserError

_FICLONE = 0x40049409  # Linux: let a new file share the blocks of another
_NOT_HERE = {  # what a file system says that does not know a way
    errno.EPERM,
    errno.ENOTSUP,
    errno.EOPNOTSUPP,
    errno.EXDEV,
    errno.ENOTTY,
    errno.ENOSYS,
    errno.EINVAL,
    errno.EMLINK,
}


def _clone(source: Path, target: Path) -> None:
    with open(source, "rb") as old, open(target, "wb") as new:
        fcntl.ioctl(new.fileno(), _FICLONE, old.fileno())


def copy(source: Path, target: Path) -> None:
    """Copy a file's bytes, sharing blocks where the file system can."""
    try:
        _clone(source, target)
    except OSError as error:
        if error.errno not in _NOT_HERE:
            raise
        shutil.copyfile(source, target)


_WAYS = {
    "reflink": _clone,
    "hardlink": os.link,
    "symlink": lambda source, target: os.symlink(os.path.abspath(source), target),
    "copy": copy,
}


def link(source: Path, target: Path, ways: Iterable[str]) -> None:
    """Let a new path have a file's bytes, in the first of these ways that works.

    Raises:
        UserError: none of them works between these two folders.
    """
    for way in ways:
        try:
            _WAYS[way](source, target)
            return
        except OSError as error:
            if error.errno not in _NOT_HERE:
                raise
            if not os.path.islink(target):
                target.unlink(missing_ok=True)
    raise UserError(
        f"no kind of link that cache.type allows ({', '.join(ways)}) works "
        f"from {source.parent}",
        target.parent,
        'allow copies as well: dvc config cache.type "reflink,copy"',
    )
