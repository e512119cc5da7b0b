"""What jobs tell while they run: one file of JSON lines an instance, for machines.

A line has `time` and either `state` (open, make, done, failed, interrupted) or how far
the job is: a number under the name of what is counted, and right behind it `of` (or
`iterations`), how many there are in all. The lines of a job that does a share have its
`part`.
"""

from __future__ import annotations

import itertools
import logging
import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from runledger.legs import append, read
from runledger.project import ledger_path

_COUNTED = re.compile(r"(\w+) (\d+)/(\d+)\b")
TOTALS = ("of", "iterations")


def report_path(root: Path, stage: str, id: str) -> Path:
    """Return an instance's file of reports."""
    return ledger_path(root, ".state", "progress", stage, f"{id or '_'}.jsonl")


def state_files(root: Path, name: str) -> dict[str, Path]:
    """Find what unfinished jobs keep under a name in their state, for onlookers.

    Returns:
        {instance: file}. Of several states of an instance, as edits of the params leave
        them, the file that was written last.
    """
    states = ledger_path(root, ".state", "runs", "*", name).relative_to(root)
    found: dict[str, Path] = {}
    for path in sorted(root.glob(str(states)), key=_written):
        found |= {leg["instance"]: path for leg in read(path.parent)}
    return found


def _written(path: Path) -> int:
    """When a file was written; one that is gone meanwhile: never."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def append_report(path: Path, part: str, values: Mapping[str, Any]) -> None:
    """Append one line with the time, and the share if there is one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    shared = {"part": part} if part else {}
    append(path, {"time": round(time.time(), 3), **shared, **values})


def how_far(report: Mapping[str, Any]) -> tuple[str, int, int] | None:
    """Return (unit, done, in all) of a report; None if it does not say.

    The total stands right behind what it is the total of.
    """
    before = {key: unit for unit, key in itertools.pairwise(report)}
    for total in TOTALS:  # iterations may themselves be what is counted
        if report.get(total):
            return before[total], report[before[total]], report[total]
    return None


class CountedLines(logging.Handler):
    """Reports what a program logs as `<unit> <done>/<in all>`, such as `images 5/20`.

    Args:
        report: called with {unit: done, "of": in all}.
    """

    def __init__(self, report: Callable[..., None]) -> None:
        super().__init__()
        self._report = report

    def emit(self, record: logging.LogRecord) -> None:
        """Report how far the work is, if this line of the log says a count."""
        found = _COUNTED.match(record.getMessage())
        if found:
            unit, done, of = found[1], int(found[2]), int(found[3])
            self._report(**{unit: done, "of": of})
