"""What to say of a job that failed: its program's own words, and which members."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from runledger.display.run import Task
from runledger.execution import failure_note
from runledger.pipeline import split_name

_TAIL = 8  # lines of a log, where the program left no note
_WIDE = 300  # letters of a line
_NAMED = 5  # members shown in full


def explain(
    root: Path, task: Task, logs: Iterable[str], message: str = ""
) -> list[str]:
    """Return lines that say what failed, where, what to do, and where the logs are.

    Args:
        root: the checkout.
        task: the job that failed.
        logs: paths of its log files.
        message: what the executor says of it, such as Slurm's state; "" if nothing.
    """
    logs = [str(log) for log in logs]
    failed = [m.name for m in task.members if m.state == "failed"]
    lines = [message] if message else []
    for name in failed[:_NAMED]:
        lines += _note(root, name)
    if len(failed) > _NAMED:
        lines.append(f"and {len(failed) - _NAMED} more: {_listed(failed[_NAMED:])}")
    made = [m for m in task.members if m.state == "done"]
    if task.members and len(made) == len(task.members):
        return [*lines, "all that it makes is made and recorded; only its end failed"]
    lines += [] if failed else _tail(root, logs)
    if any(m.state == "interrupted" for m in task.members):
        lines.append("stopped, its state is saved: the same command goes on from there")
    lines += _others(task)
    lines += [f"log: {log}" for log in logs]
    return lines


def _note(root: Path, name: str) -> list[str]:
    note = failure_note(root, name) or {"reason": "it left no note: see the log"}
    found = [f"{name}: {note['reason']}"]
    for key, spelled in (("where", "where"), ("remedy", "what to do")):
        found += [f"  {spelled}: {note[key]}"] if note.get(key) else []
    return [line for text in found for line in text.splitlines()]


def _others(task: Task) -> list[str]:
    """Say what became of the members that did not fail."""
    made = [m.name for m in task.members if m.state == "done"]
    never = [m.name for m in task.members if m.state in ("", "open", "make")]
    found = [f"made and recorded: {_listed(made)}"] if made else []
    return found + ([f"not made: {_listed(never)}"] if never and made else [])


def _listed(names: Sequence[str]) -> str:
    ids = [split_name(name)[1] or name for name in names]
    rest = len(ids) - _NAMED
    return ", ".join([*ids[:_NAMED], *([f"+{rest}"] if rest > 0 else [])])


def _tail(root: Path, logs: Sequence[str]) -> list[str]:
    """Return the end of the first log that says anything."""
    for log in logs:
        try:
            text = (Path(root) / log).read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        lines = [line.rstrip()[:_WIDE] for line in text.splitlines() if line.strip()]
        if lines:
            return ["the end of its log:", *(f"  {line}" for line in lines[-_TAIL:])]
    return ["it ended without a word"]
