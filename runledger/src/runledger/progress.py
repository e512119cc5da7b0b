"""What runs now, one line each: how far, how fast, where; and where logs are."""

from __future__ import annotations

import json
import shutil
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from runledger import legs
from runledger.canonical import read_named
from runledger.dates import clock
from runledger.errors import UserError
from runledger.lease import Lease
from runledger.pipeline import Instance, split_name
from runledger.project import ledger_path
from runledger.records import Records
from runledger.reporting import how_far, report_path
from runledger.times import span


def running(root: Path) -> list[dict[str, Any]]:
    """Return what is being made at this moment, by the leases that are held.

    Each: instance, host, job_id, gpu, leg (a number), since, and the last line of its
    progress (step, iterations, seconds_left, and what the programs report).
    """
    root, found = Path(root), []
    now = clock(root)
    for path in sorted(ledger_path(root, ".state", "leases").glob("*")):
        owner = Lease(path).holder(now)
        folder = ledger_path(root, ".state", "runs", path.name.partition(".")[0])
        if owner is None:
            continue
        history = legs.read(folder)
        if not history:  # not begun, or cut short by a crash
            continue
        mine = [leg for leg in history if leg["end"] is None]
        leg = mine[-1] if mine else history[-1]
        row = {
            "instance": leg["instance"],
            "host": leg["host"],
            "job_id": leg["job_id"],
            "gpu": leg["gpu"],
            "leg": len(history),
            "since": leg["start"],
        }
        found.append({**row, **_last(root, leg["instance"])})
    return found


def _last(root: Path, name: str) -> dict[str, Any]:
    """The newest whole line of an instance's progress file."""
    path = report_path(root, *split_name(name))
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return {}
    for line in reversed(lines[-2:]):
        try:
            return dict(json.loads(line))
        except (ValueError, TypeError):  # being written, or cut short by a crash
            continue
    return {}


def table(rows: list[dict[str, Any]], shown: Iterable[str] = ()) -> str:
    """Return `running` as a table for a terminal, with some of what is reported."""
    if not rows:
        return "nothing runs"
    heads = [name.replace("_per_second", "/s") for name in shown]
    lines = [("instance", "done", *heads, "left", "leg", "where")]
    for row in rows:
        done, far = "starting", how_far(row)
        if far:
            done = f"{far[0]} {far[1]}/{far[2]} {100 * far[1] / far[2]:.0f}%"
        job = f"job {row['job_id']} " if row["job_id"] else ""
        gpu = f" gpu {row['gpu']}" if row["gpu"] else ""
        lines.append(
            (
                row["instance"],
                done,
                *(_number(row.get(name)) for name in shown),
                _left(row.get("seconds_left")),
                str(row["leg"]),
                f"{job}{row['host']}{gpu}{_age(row)}",
            )
        )
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    return "\n".join(
        "  ".join(word.ljust(width) for word, width in zip(line, widths, strict=True))
        for line in lines
    )


def _number(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, int | float) else "-"


def _left(seconds: Any) -> str:
    return span(seconds) if isinstance(seconds, int | float) else "-"


def _age(row: dict[str, Any]) -> str:
    """Say how old the numbers are, if they are old."""
    age = time.time() - row["time"] if "time" in row else 0
    return f" (no news for {span(age)})" if age > 300 else ""


def queued(root: Path) -> str:
    """Say how many jobs of this checkout the queue holds; "" without a queue."""
    from runledger.queue import labelled, members

    if shutil.which("squeue") is None:
        return ""
    try:
        labels = labelled(root, pauses=())
    except UserError as error:
        return f"queue: {error.what}"
    counts: Counter[str] = Counter()
    for label in labels:
        paths = members(root, label)
        counts[Path(paths[0]).parts[2] if paths else "unknown"] += 1
    listed = ", ".join(f"{stage} {n}" for stage, n in sorted(counts.items()))
    return f"in the queue or running: {len(labels)} jobs ({listed})" if labels else ""


def logs(root: Path, instance: Instance) -> Iterator[tuple[str, Path]]:
    """Yield (what it is, path) of an instance's logs that are there.

    Its own log holds all legs; raw output is of its own last process, and of each
    bundle that it was a member of; then the cluster's file of every job.
    """
    root = Path(root)
    base = ledger_path(root, "logs", instance.stage)
    name = instance.id or "_"
    known = {"log of all legs": base / f"{name}.log"}
    known["raw output of its own process"] = base / f"{name}.out"
    for bundle in sorted(_bundles(root, instance)):
        known[f"raw output of {bundle}"] = base / f"{bundle}.log"
    for what, path in known.items():
        if path.exists():
            yield what, path
    for job in sorted(_job_ids(root, instance)):
        for path in sorted(ledger_path(root, "logs", "slurm").rglob(f"{job}.log")):
            yield f"cluster job {job}", path


def _bundles(root: Path, instance: Instance) -> set[str]:
    """Names of the bundles whose output tells of an instance.

    Plans know of which it was a member; a name is used again, by other members.
    """
    found = set()
    for path in ledger_path(root, ".state", "plans").glob("*.json"):
        try:
            bundles = read_named(path, "the plan of a head")["bundles"]
        except UserError:  # cut short by a crash
            continue
        for name, stage, members in bundles:
            log = ledger_path(root, "logs", stage, f"{name}.log")
            if instance.name in members and name not in found and log.exists():
                named = f" {instance.name}: " in log.read_text("utf-8", "replace")
                found |= {name} if named else set()
    return found


def _job_ids(root: Path, instance: Instance) -> set[str]:
    """Ids of the cluster jobs that worked on an instance: records and open runs."""
    found = set()
    for record in Records(root).history(instance.stage, instance.id):
        found |= {str(leg.get("job_id")) for leg in record.run.get("legs", [])}
    for path in ledger_path(root, ".state", "runs").glob(f"*/{legs.FILE}"):
        history = legs.read(path.parent)
        mine = [leg for leg in history if leg.get("instance") == instance.name]
        found |= {str(leg["job_id"]) for leg in mine}
    return found - {"None"}
