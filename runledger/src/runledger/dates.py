"""The one use of file dates: to make Snakemake run what the records call stale."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from runledger.pipeline import Pipeline
from runledger.project import ledger_path


def clock(root: Path) -> float:
    """Return the time of a checkout's disk; the machine's own may differ."""
    state = ledger_path(root, ".state")
    try:
        state.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=state) as file:
            return os.fstat(file.fileno()).st_mtime
    except OSError:  # not ours to write
        return time.time()


def not_after(path: Path, latest: float) -> float | None:
    """Date a file back if it is newer than that; returns its mtime, None if absent.

    Of a link into DVC's cache both it and the object count, as for Snakemake; a folder
    is dated by a file that Snakemake leaves there. What belongs to another user of a
    shared cache keeps its date.
    """
    stamp = path / ".snakemake_timestamp"
    path = stamp if stamp.is_file() else path
    try:
        mtime = max(path.stat().st_mtime, path.lstat().st_mtime)
    except OSError:
        return None
    if mtime <= latest:
        return mtime
    try:
        for follow in (True, False):
            os.utime(path, (latest, latest), follow_symlinks=follow)
    except PermissionError:
        return mtime
    return latest


def make_newer(root: Path, pipeline: Pipeline, recipes: Mapping[str, str]) -> None:
    """Let recipes be newer than outdated outputs, the one date Snakemake sees.

    Files dated in the future are dated back: Snakemake fails jobs that read them.

    Args:
        root: the checkout.
        recipes: {stale instance: path of its frozen recipe}.
    """
    now = clock(root)
    for name, recipe in recipes.items():
        outside = pipeline.outside(pipeline[name])
        for path in pipeline[name].deps:
            if path not in outside:  # Snakemake does not see those
                not_after(root / path, now)
        times = [
            mtime
            for out in pipeline[name].outs
            if (mtime := not_after(root / out.path, now - 2))
        ]
        if times and (root / recipe).stat().st_mtime <= max(times):
            os.utime(root / recipe, (now, now))


def date_ticket(root: Path, ticket: Path, target: Path) -> None:
    """Let the ticket of a file to fetch be newer than the wrong file at its place."""
    now = clock(root)
    if not_after(target, now - 2):
        os.utime(ticket, (now, now))
