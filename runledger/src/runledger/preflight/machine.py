"""What this machine and its folders are good for, before anything is submitted."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from runledger.environment import commit, provenance, warning
from runledger.errors import UserError
from runledger.preflight.answers import FAIL, OK, WARN, Answer, output_of
from runledger.store import Store

SHARED = ("nfs", "nfs4", "lustre", "gpfs", "beegfs", "ceph", "fuse.", "wekafs", "panfs")


def check_disk(root: Path, kept_mb: float, state_mb: float) -> Iterator[Answer]:
    """The file system: shared with the nodes, large enough."""
    kind = (output_of("stat", "-f", "-c", "%T", str(root)) or "?").strip()
    nodes = len(set((output_of("sinfo", "-h", "-N", "-o", "%N") or "").split()))
    shared = kind.startswith(SHARED) or nodes <= 1
    text = f"file system {kind}, {nodes} nodes"
    if not shared:
        text += ": is this folder on the nodes, too? It does not look shared"
    yield Answer(OK if shared else WARN, "shared", text)
    free = shutil.disk_usage(root).free / 1e6
    needed = kept_mb + state_mb
    text = f"needs {needed / 1000:.1f} GB ({kept_mb / 1000:.1f} results and their cache"
    text += f", {state_mb / 1000:.1f} of resume states at most), free {free / 1000:.1f}"
    yield Answer(OK if free > needed else FAIL, "disk", text)


def check_remote(root: Path) -> Iterator[Answer]:
    """Check that the DVC remote answers and has objects."""
    from runledger.remote import find_remote

    try:
        remote = find_remote(root)
        there = remote is not None and remote.is_there()
    except UserError as error:
        yield Answer(FAIL, "remote", error.what)
        return
    if remote is None:
        yield Answer(WARN, "remote", "none is configured: results stay here")
    elif there:
        yield Answer(OK, "remote", f"{remote.where} answers")
    else:
        text = f"{remote.where} has no objects: is it new, or is its disk not mounted?"
        yield Answer(WARN, "remote", text)


def check_cache(root: Path) -> Iterator[Answer]:
    """DVC's cache can be written; how much room it has on a disk of its own."""
    try:
        store = Store(root)
        store.prepare()
    except UserError as error:
        yield Answer(FAIL, "cache", str(error))
        return
    text, folder = f"{store.config.folder} can be written", store.objects
    if folder.stat().st_dev != root.stat().st_dev:
        free = shutil.disk_usage(folder).free / 1e9
        text += f"; on another disk, of which {free:.1f} GB are free"
    yield Answer(OK, "cache", text)


def check_git(root: Path) -> Iterator[Answer]:
    """Whether records of a run could name the commit they ran at."""
    run = commit(root)
    yield Answer(WARN if warning(run) else OK, "git", provenance(run))
