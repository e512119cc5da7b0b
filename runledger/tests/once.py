"""Checkouts that all test processes of a session share: made by who comes first."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest


def once(
    factory: pytest.TempPathFactory, name: str, prepare: Callable[[Path], object]
) -> Path:
    """Return a folder that the first of the test processes to ask for it prepares.

    It belongs to all of them: look at it, or copy it. If it cannot be prepared, that
    is not tried again.
    """
    shared = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    folder = shared / name
    done, failed = (shared / f"{name}.{word}" for word in ("done", "failed"))
    with open(shared / f"{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert not failed.exists(), failed.read_text()
        if not done.exists():
            folder.mkdir()
            try:
                prepare(folder)
            except BaseException as error:
                failed.write_text(f"{name} could not be made: {error}")
                raise
            done.touch()
    return folder


def copied(source: Path, target: Path) -> Path:
    """Copy a checkout that `once` made."""
    return Path(shutil.copytree(source, target, symlinks=True))
