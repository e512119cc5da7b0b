"""What the cluster's queue holds of this checkout, so that no head submits it twice.

A head gives each Slurm job the file of what it makes as its standard input, which the
queue shows: a frozen recipe, or for a bundle the list of its members' recipes. Nothing
reads it there; it is a label that outlives the head.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from runledger.bundles import rule_name
from runledger.canonical import digest, read_named, write_atomic, write_once
from runledger.errors import UserError
from runledger.pipeline import split_name
from runledger.project import ledger_folder
from runledger.recipes import Recipe, read_recipe
from runledger.records import Record, Records
from runledger.store import Store, hash_path

ACTIVE = "PENDING,RUNNING,SUSPENDED,COMPLETING,CONFIGURING,REQUEUED,RESIZING"
PAUSES = (5, 15, 40)  # a controller that restarts is back within a minute
_WIDTH = 1024


@dataclass(frozen=True)
class Waiting:
    """Instances that a job of an earlier head is still to make."""

    name: str
    job: str
    instances: tuple[str, ...]


def _squeue(*arguments: str) -> str | None:
    """Ask the queue; None if it does not answer."""
    command = ["squeue", "--noheader", *arguments]
    try:
        done = subprocess.run(command, capture_output=True, check=False, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return os.fsdecode(done.stdout) if done.returncode == 0 else None


def labelled(root: Path, pauses: Iterable[int] = PAUSES) -> dict[str, str]:
    """Return {label: job id} of the jobs of this checkout that have not ended.

    Args:
        root: the checkout.
        pauses: seconds before each further try, while the queue does not answer.

    Raises:
        UserError: the queue does not answer: what runs cannot be known.
    """
    if shutil.which("squeue") is None:
        raise UserError(
            "there is no squeue: is this a Slurm login node?",
            "the profile's config scheduler: slurm",
            "run there, or use another profile",
        )
    form = f"JobID:20,STDIN:{_WIDTH}"
    text = _squeue("--me", f"--states={ACTIVE}", "-O", form)
    for pause in pauses:
        if text is not None:
            break
        print("the queue (squeue) does not answer; asking again", file=sys.stderr)
        time.sleep(pause)
        text = _squeue("--me", f"--states={ACTIVE}", "-O", form)
    if text is None:
        raise UserError(
            "the queue (squeue) does not answer, so what still runs is not known",
            "Slurm",
            "run the same command when Slurm is back; jobs go on meanwhile",
        )
    found, base = {}, f"{Path(root).resolve()}/"
    for line in text.splitlines():
        job, label = line[:20].strip(), line[20:].strip()
        if label.startswith(base):
            found[label.removeprefix(base)] = job
    return found


def _labels(root: Path) -> str:
    """Where lists of recipes are kept, which label the jobs of bundles."""
    return f"{ledger_folder(root)}/.state/labels"


def write_label(root: Path, recipes: Iterable[str]) -> str:
    """Write the list of a bundle's recipes; returns its path, which is its label."""
    content = sorted(recipes)
    path = f"{_labels(root)}/{digest(content)}.json"
    write_once(Path(root) / path, json.dumps(content))
    return path


def members(root: Path, label: str) -> list[str]:
    """Return the recipes that a label stands for.

    A list that a crash cut short stands for none: its job is then not waited for here,
    but its leases keep others from making the same.
    """
    if not label.startswith(_labels(root)):
        return [label]
    try:
        return read_named(Path(root) / label, "the list of a bundle's recipes")
    except UserError:
        return []


def awaited(
    root: Path, recipes: dict[str, str], pauses: Iterable[int] = PAUSES
) -> list[Waiting]:
    """Return what jobs in the queue will make of the stale instances.

    Args:
        recipes: {instance: recipe file} of the stale instances, as planned now; a job
            with an outdated recipe is not waited for.
        pauses: as for `labelled`.
    """
    by_recipe, found = {recipe: name for name, recipe in recipes.items()}, []
    for label, job in sorted(labelled(root, pauses).items()):
        recipes_of = members(root, label)
        names = tuple(by_recipe[m] for m in recipes_of if m in by_recipe)
        if names:
            stage = rule_name(split_name(names[0])[0])
            found.append(Waiting(f"await_{stage}_job_{job}", job, names))
    return found


def _record(records: Records, recipe: Recipe) -> Record | None:
    """Return the record of a frozen recipe and its sources."""
    instance = recipe.instance
    for record in records.history(instance.stage, instance.id):
        if recipe.made(record):
            return record
    return None


def _place(root: Path, store: Store, record: Record) -> bool:
    """Put a record's files in place where they are absent or wrong."""
    for path, out in record.outputs.items():
        target = root / path
        if target.exists() and hash_path(target).md5 == out["md5"]:
            continue
        if "inline" in out:
            write_atomic(target, out["inline"])
        elif not store.restore(out["md5"], target):
            return False
    return True


def await_job(root: Path, job: str, recipes: Iterable[str]) -> None:
    """Wait until a job of an earlier head has made what these recipes say.

    Raises:
        UserError: the job ended without.
    """
    root, pause = Path(root), float(os.environ.get("RUNLEDGER_POLL", "10"))
    wanted = [read_recipe(root / path) for path in recipes]
    records, store, gone = Records(root), Store(root), 0
    while True:
        missing = []
        for recipe in wanted:
            record = _record(records, recipe)
            if record is None or not _place(root, store, record):
                missing.append(recipe.instance.name)
        if not missing:
            return
        if gone > 1:  # asked once more after it ended: shared disks may lag
            raise UserError(
                f"cluster job {job} ended without {', '.join(missing)}",
                "the job of an earlier snakemake",
                "run the same command again: it submits what is missing",
            )
        state = _squeue("--jobs", job, f"--states={ACTIVE}", "-o", "%T")
        known = _squeue("--me", "-o", "%i") is not None  # does the queue answer at all
        gone += 1 if known and not (state or "").strip() else 0
        time.sleep(pause)
