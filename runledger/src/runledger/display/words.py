"""How jobs, times and counts are spelled."""

from __future__ import annotations

from collections.abc import Sequence

from runledger.display.run import Run, Task
from runledger.pipeline import Instance

_SHOWN = 2  # members named in full


def describe(instances: Sequence[Instance]) -> str:
    """Name what a job makes: `fit river: red, blue, +9 (seed 42)`.

    What the ids of several share is said once: names before the colon, numbers behind.
    """
    first = instances[0]
    if len(instances) == 1:
        return f"{first.stage} {first.id}".strip()
    tokens = [instance.id.split("-") for instance in instances]
    common = [t for t in tokens[0] if all(t in others for others in tokens)]
    own = ["-".join(t for t in mine if t not in common) for mine in tokens]
    named = [t for t in common if t in first.item.values()]
    counted = [_spelled(t, first) for t in common if t not in named]
    listed = ", ".join([*own[:_SHOWN], *_more(len(own) - _SHOWN)])
    behind = f" ({', '.join(counted)})" if counted else ""
    return " ".join([first.stage, *named]) + f": {listed}{behind}"


def _more(count: int) -> list[str]:
    return [f"+{count}"] if count > 0 else []


def _spelled(token: str, instance: Instance) -> str:
    """Spell out a number of an identity: s42 is seed 42."""
    for name, value in instance.item.items():
        if token == f"{name[0]}{value}":
            return f"{name} {value}"
    return token


def inside(task: Task, run: Run) -> str:
    """Say how far a job that runs is: `step 180/300`, `3 of 16: images 40/100`."""
    members = task.members
    if not task.heard:
        return "in the queue" if run.queued(task) else "starting" if members else ""
    made = sum(member.state == "done" for member in members)
    busy = [m for m in members if m.state not in ("done", "failed") and m.counted]
    behind = min(busy, key=lambda m: m.fraction, default=None)
    counted = "{} {}/{}".format(*behind.counted) if behind else ""
    if behind and behind.state == "interrupted":
        counted = f"stopped at {counted}"
    if len(members) > 1 and made:
        return f"{made} of {len(members)} made" + (f", {counted}" if counted else "")
    return counted


def by_stage(rows: Sequence[tuple[str, int, int]]) -> list[str]:
    """Spell (stage, instances, jobs): `train: 94 instances in 15 jobs`."""
    return [
        f"{stage}: {count(made, 'instance')} in {count(jobs, 'job')}"
        if made
        else f"{stage}: {count(jobs, 'job')}"
        for stage, made, jobs in rows
    ]


def count(number: int, what: str) -> str:
    """Spell a number of things."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
