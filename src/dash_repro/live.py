"""Curves of trainings as TensorBoard events, from what jobs report while they run.

A program of its own reads the reports: trainings know nothing of it, and it may be
started and stopped at any time, on any machine that sees the checkout.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from runledger import report_path
from runledger.errors import UserError

NO_CURVE = {"time", "step", "iterations", "seconds_left", "part"}


class Curves:
    """Follows the trainings of a checkout.

    Args:
        root: the checkout.
        folder: where events go, a folder a training.

    Raises:
        UserError: tensorboardX is not installed.
    """

    def __init__(self, root: Path, folder: Path) -> None:
        try:
            from tensorboardX import SummaryWriter
        except ImportError:
            raise UserError(
                "tensorboardX is not installed",
                "dash-repro live",
                "pip install tensorboardX (and tensorboard, to look at the curves)",
            ) from None
        self.root, self.folder, self._writer = Path(root), Path(folder), SummaryWriter
        self._writers: dict[Path, Any] = {}
        self._read: dict[Path, int] = {}

    def update(self) -> int:
        """Write what was reported since the last call; returns how many reports."""
        reports = report_path(self.root, "*", "*").relative_to(self.root)
        paths = sorted(self.root.glob(str(reports)))
        return sum(
            self._write(path, line) for path in paths for line in self._new(path)
        )

    def close(self) -> None:
        """Have everything written; before, the last second's may be on its way."""
        for writer in self._writers.values():
            writer.close()

    def _new(self, path: Path) -> list[bytes]:
        """Whole lines that were not read yet."""
        with open(path, "rb") as file:
            file.seek(self._read.get(path, 0))
            text = file.read()
        whole, end, _ = text.rpartition(b"\n")
        self._read[path] = self._read.get(path, 0) + len(whole + end)
        return whole.splitlines()

    def _write(self, path: Path, line: bytes) -> bool:
        """Add the points of a report; only trainings report a step."""
        report = json.loads(line)
        if "step" not in report:
            return False
        if path not in self._writers:
            name = f"{path.parent.name}/{path.stem}"
            folder = str(self.folder / name)
            self._writers[path] = self._writer(folder, flush_secs=1)
        for name in report.keys() - NO_CURVE:
            where = {"global_step": report["step"], "walltime": report["time"]}
            self._writers[path].add_scalar(name, report[name], **where)
        return True
