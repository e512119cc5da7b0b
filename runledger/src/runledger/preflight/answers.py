"""Lines of a report on what would fail, and what programs of the machine say."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass

OK, WARN, FAIL = "ok", "warn", "FAIL"


@dataclass(frozen=True)
class Answer:
    """One line of the report: how bad, what about, what was found and to do."""

    level: str
    subject: str
    text: str


def output_of(*command: str) -> str | None:
    """Return a command's output; None if it is not there or fails."""
    try:
        done = subprocess.run(command, capture_output=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return os.fsdecode(done.stdout) if done.returncode == 0 else None
