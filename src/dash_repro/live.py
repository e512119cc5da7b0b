"""Trainings while they run: curves and samples, as a page and as TensorBoard events.

A program of its own reads what jobs report and the networks that they save with their
states: trainings know nothing of it. It may be started and stopped at any time, on any
machine that sees the checkout.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from dash_repro.training.state import NETWORK
from runledger import report_path, span, state_files, write_atomic
from runledger.errors import UserError

NO_CURVE = {"time", "step", "iterations", "seconds_left", "part"}
_WIDTH, _HEIGHT, _POINTS = 280, 70, 400  # of a curve: pixels, and points at most


@dataclass
class Training:
    """What is known of a training.

    Attributes:
        name: stage/id.
        curves: points (step, value) by name.
        latest: the last report that has a step.
        state: the last state its job reported: open, make, done, failed.
        picture: file of its samples in the page's folder; "" where there is none.
        sampled: iterations that the sampled network had done.
    """

    name: str
    curves: dict[str, list[tuple[int, float]]] = field(default_factory=dict)
    latest: dict[str, Any] = field(default_factory=dict)
    state: str = ""
    picture: str = ""
    sampled: int = -1


@dataclass(frozen=True)
class Sampler:
    """How samples are drawn.

    Attributes:
        count: images a training; 0: none.
        w, steps: guidance scale and DDIM steps.
        device: where; the CPU leaves a GPU to the trainings.
    """

    count: int = 0
    w: float = 4.0
    steps: int = 20
    device: str = "cpu"

    def draw(self, path: Path) -> tuple[int, np.ndarray]:
        """Iterations done and images (N, H, W, 3) of a network as it was saved.

        Raises:
            UserError: the file is gone, or the steps do not divide the timesteps.
        """
        from dash_repro.pretrained import load

        model = load(path, self.device)
        about = {"w": self.w, "steps": self.steps, "output": "array"}
        return model.checkpoint.step, model.sample(self.count, **about)


class Events:
    """TensorBoard's event files, a folder a training.

    Args:
        folder: where they go.

    Raises:
        UserError: tensorboardX is not installed.
    """

    def __init__(self, folder: Path) -> None:
        try:
            from tensorboardX import SummaryWriter
        except ImportError:
            raise UserError(
                "tensorboardX is not installed",
                "dash-repro live --events",
                "pip install tensorboardX (and tensorboard, to look at the curves)",
            ) from None
        self.folder, self._writer = folder, SummaryWriter
        self._writers: dict[str, Any] = {}

    def report(self, name: str, report: dict[str, Any]) -> None:
        """Add a report's points, at the time of the report."""
        where = {"global_step": report["step"], "walltime": report["time"]}
        for curve in report.keys() - NO_CURVE:
            self._writer_of(name).add_scalar(curve, report[curve], **where)

    def samples(self, name: str, step: int, sheet: np.ndarray) -> None:
        """Add a picture (H, W, 3) of samples."""
        self._writer_of(name).add_image("samples", sheet, step, dataformats="HWC")

    def close(self) -> None:
        """Have everything written; before, the last second's may be on its way."""
        for writer in self._writers.values():
            writer.close()

    def _writer_of(self, name: str) -> Any:
        if name not in self._writers:
            folder = str(self.folder / name)
            self._writers[name] = self._writer(folder, flush_secs=1)
        return self._writers[name]


class Live:
    """Follows the trainings of a checkout.

    Args:
        root: the checkout.
        folder: where the page, the pictures and the events go.
        sampler: of samples.
        events: whether to write TensorBoard's, too.
        refresh: seconds after which a browser reads the page again.

    Raises:
        UserError: events are asked for, and tensorboardX is not installed.
    """

    def __init__(
        self,
        root: Path,
        folder: Path,
        sampler: Sampler | None = None,
        *,
        events: bool = False,
        refresh: float = 5.0,
    ) -> None:
        self.root, self.folder, self.refresh = Path(root), Path(folder), refresh
        self.sampler = sampler or Sampler()
        self.events = Events(self.folder) if events else None
        self.trainings: dict[str, Training] = {}
        self.troubles: dict[str, str] = {}
        self._read: dict[Path, int] = {}
        self._sampled: dict[str, tuple[Path, int]] = {}  # file and its time

    @property
    def page(self) -> Path:
        return self.folder / "index.html"

    def update(self) -> int:
        """Take up what is new since the last call; returns how many reports."""
        reports = report_path(self.root, "*", "*").relative_to(self.root)
        paths = sorted(self.root.glob(str(reports)))
        count = sum(
            self._take(path, line) for path in paths for line in self._new(path)
        )
        write_atomic(self.page, self._render())
        if self.sampler.count:  # takes its time, so the page is there before
            for name, path in self._networks().items():
                self._sample(self.trainings[name], path)
            write_atomic(self.page, self._render())
        return count

    def close(self) -> None:
        """Have all events written."""
        if self.events:
            self.events.close()

    def _new(self, path: Path) -> list[bytes]:
        """Whole lines that were not read yet."""
        with open(path, "rb") as file:
            file.seek(self._read.get(path, 0))
            text = file.read()
        whole, end, _ = text.rpartition(b"\n")
        self._read[path] = self._read.get(path, 0) + len(whole + end)
        return whole.splitlines()

    def _take(self, path: Path, line: bytes) -> bool:
        """Add the points of a report; only trainings report a step."""
        name = f"{path.parent.name}/{path.stem}"
        try:
            report = dict(json.loads(line))
        except (ValueError, TypeError):  # a crash cut it short
            return False
        if "step" not in report:
            if name in self.trainings and "state" in report:
                self.trainings[name].state = report["state"]
            return False
        training = self.trainings.setdefault(name, Training(name))
        training.latest, training.state = report, "make"
        for curve in report.keys() - NO_CURVE:
            points = training.curves.setdefault(curve, [])
            while points and points[-1][0] >= report["step"]:  # begun or resumed again
                points.pop()
            points.append((report["step"], report[curve]))
        if self.events:
            self.events.report(name, report)
        return True

    def _networks(self) -> dict[str, Path]:
        """The network of each training: its result once it is done, or a state's."""
        states = state_files(self.root, NETWORK).items()
        found = {instance.replace("@", "/"): path for instance, path in states}
        for name, training in self.trainings.items():
            path = self.root / "results" / name / "model.safetensors"
            if training.state == "done" and path.is_file():
                found[name] = path
        return {name: path for name, path in found.items() if name in self.trainings}

    def _sample(self, training: Training, path: Path) -> None:
        """Draw samples of a network that has trained on since the last ones."""
        from dash_repro.contact_sheet import contact_sheet

        try:
            found = (path, path.stat().st_mtime_ns)
            if self._sampled.get(training.name) == found:
                return
            step, images = self.sampler.draw(path)
        except (UserError, OSError, RuntimeError) as error:
            # a training that ends takes its state away; a GPU has too little memory
            self.troubles[training.name] = str(error)
            return
        self.troubles.pop(training.name, None)
        self._sampled[training.name] = found
        sheet = contact_sheet([(f"iteration {step}", images)])
        picture = self.folder / f"{training.name}.png"
        picture.parent.mkdir(parents=True, exist_ok=True)
        sheet.save(picture)
        training.picture, training.sampled = f"{training.name}.png", step
        if self.events:
            self.events.samples(training.name, step, np.asarray(sheet))

    def _render(self) -> str:
        from dash_repro.paper import web

        newest = sorted(self.trainings.values(), key=lambda t: -t.latest["time"])
        newest.sort(key=lambda training: training.state != "make")
        return web.render(
            "live.html",
            style=web.style(),
            refresh=self.refresh,
            now=datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC"),
            trainings=newest,
            troubles=self.troubles,
            polyline=polyline,
            span=span,
            size=(_WIDTH, _HEIGHT),
        )


def polyline(points: Sequence[tuple[int, float]]) -> tuple[str, float, float]:
    """Points of an SVG line through a curve, and its least and greatest value.

    Of many points each stretch keeps its least, its greatest and its last one.
    """
    steps, values = np.array(points, dtype=float).T
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    if len(values) > _POINTS:
        parts = np.array_split(np.arange(len(values)), _POINTS // 3)
        ends = [(p[values[p].argmin()], p[values[p].argmax()], p[-1]) for p in parts]
        kept = np.unique([0, *np.ravel(ends)])
        steps, values = steps[kept], values[kept]
    x = _WIDTH * (steps - steps[0]) / max(steps[-1] - steps[0], 1.0)
    y = _HEIGHT * (1.0 - (values - low) / ((high - low) or 1.0))
    shown = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))
    return shown, low, high
