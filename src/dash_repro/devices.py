"""One GPU a process, where it sees several: on a machine, or of an allocation.

A process claims a GPU by a lock on a file, which the system releases when the process
ends, however it ends. It must happen before CUDA starts, which reads the variable once.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Sequence
from itertools import count
from pathlib import Path

VISIBLE = "CUDA_VISIBLE_DEVICES"
_held: list[int] = []  # open as long as the process lives


def claim_gpu(files: Sequence[str], folder: Path | None = None) -> str | None:
    """Make one GPU the only one that this process sees.

    Where all are claimed, one that the fewest share. Jobs of one user share them out
    among themselves; those of other users are not seen.

    Args:
        files: names of the driver's device files, such as nvidia0.
        folder: of the locks; None: one for this user and machine.

    Returns:
        The GPU, as CUDA_VISIBLE_DEVICES now names it; None if there is no choice: the
        machine has one, a scheduler gave one, or this process has claimed one.
    """
    named = os.environ.get(VISIBLE)
    names = [str(index) for index in range(len(files))]
    if named is not None:
        names = [name.strip() for name in named.split(",") if name.strip()]
    if len(names) < 2:
        return None
    if folder is None:
        folder = Path(tempfile.gettempdir()) / f"dash-repro-gpus-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    for sharing in count():
        for name in names:
            if _lock(folder / f"{name.replace('/', '_')}.{sharing}"):
                os.environ[VISIBLE] = name
                return name
    raise AssertionError


def _lock(path: Path) -> bool:
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return False
    _held.append(handle)
    return True
