"""Small networks, data and jobs for the tests of training."""

from __future__ import annotations

import copy
import logging
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from dash_repro.arrays import save_npz
from dash_repro.diffusion.schedule import Schedule
from dash_repro.training import loop, steps
from dash_repro.training.learner import Learner
from dash_repro.training.students import train_students
from dash_repro.training.teachers import export_tirt, train_teacher

ROOT = Path(__file__).resolve().parents[2]
CPU = torch.device("cpu")
# sections that dvc.yaml declares for a stage: nothing else may be read
DECLARED = {
    "train_teacher": ["diffusion", "network", "train_teacher", "teachers"],
    "export_tirt": ["teachers"],
    "train_student": ["diffusion", "network", "train_student", "students", "tag"],
    "distill_steps": ["diffusion", "train_student", "distill_steps", "students"],
}


def tiny_params(**changes: Any) -> dict[str, Any]:
    """The committed params.yaml with small lengths, counts and widths.

    Changes are given as section__key=value.
    """
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params["diffusion"]["timesteps"] = 50
    params["network"].update(attention_resolution=4, norm_groups=[4, 3])
    small = {"iterations": 12, "batch_size": 4, "lr_epoch": 3, "monitor_batch": 4}
    small["numerics"] = "fp32"
    params["train_teacher"].update(small, width=8, blocks=2, snapshots=5)
    params["train_student"].update(small, monitor_every=5)
    for dotted, value in changes.items():
        *parents, leaf = dotted.split("__")
        node = params
        for parent in parents:
            node = node[parent]
        node[leaf] = value
    return params


def tiny_images(side: int = 8, count: int = 24, classes: int = 3) -> dict[str, Any]:
    """Random images with an imprint of their class."""
    rng = np.random.default_rng(7)
    labels = np.arange(count) % classes
    images = rng.integers(0, 160, (count, side, side, 3), dtype=np.uint8)
    images += (labels * 40).astype(np.uint8)[:, None, None, None]
    names = np.array([f"class{i}" for i in range(classes)])
    return {
        "train_images": images,
        "train_labels": labels.astype(np.int64),
        "test_images": 255 - images[:9],
        "test_labels": labels[:9].astype(np.int64),
        "class_names": names,
    }


class FakeJob:
    """What training needs of runledger.job.Job, with folders under a root."""

    def __init__(self, root: Path, stage: str, params: dict, **item: Any) -> None:
        self.root, self.stage = root, stage
        declared = {key: copy.deepcopy(params[key]) for key in DECLARED[stage]}
        self.params, self.item = declared, item
        self.id = "-".join(str(value) for value in item.values())
        self.log = logging.getLogger(f"test.{stage}.{self.id}")
        self.status, self.error = "open", None
        self.notes: dict[str, Any] = {}
        self.lines: list[dict[str, Any]] = []
        self.stop_after: int | None = None
        self._asked = 0

    def input(self, stage: str, name: str | None = None) -> Path:
        found = list((self.root / stage).glob(name or "*"))
        assert len(found) == 1, found
        return found[0]

    def output(self, name: str) -> Path:
        folder = self.root / self.stage / self.id
        if self.stage != "train_student":
            folder = self.root / self.stage
        folder.mkdir(parents=True, exist_ok=True)
        return folder / name

    @property
    def state(self) -> Path:
        folder = self.root / "state" / self.stage / self.id
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def stop_requested(self) -> bool:
        self._asked += 1
        return self.stop_after is not None and self._asked >= self.stop_after

    def progress(self, **fields: Any) -> None:
        self.lines.append(fields)

    def note(self, **fields: Any) -> None:
        self.notes.update(fields)

    def finish(self) -> None:
        self.status = "done"

    def fail(self, error: BaseException) -> None:
        self.status, self.error = "failed", error


def make_data(root: Path, **images: Any) -> None:
    """Put prepared images where FakeJob looks for them."""
    (root / "prepare_data").mkdir(parents=True)
    save_npz(root / "prepare_data" / "images.npz", **tiny_images(**images))


def make_teacher(root: Path, params: dict, teacher: str = "tirt") -> None:
    """Train and export a teacher."""
    item = {"dataset": "toy", "teacher": teacher, "seed": 42}
    assert train_teacher(FakeJob(root, "train_teacher", params, **item), CPU)
    export_tirt(FakeJob(root, "export_tirt", params, **item))


def student_job(root: Path, params: dict, student: str, width: int = 8) -> FakeJob:
    """The job of one student of training seed 42."""
    item = {"dataset": "toy", "student": student, "width": width, "seed": 42}
    return FakeJob(root, "train_student", params, **item)


def run_students(jobs: list[FakeJob]) -> bool:
    """Train them in one process."""
    return train_students(jobs, CPU)


def result(job: FakeJob) -> tuple[bytes, bytes]:
    """Bytes of a student's two files."""
    return tuple(
        job.output(name).read_bytes() for name in ("model.safetensors", "history.csv")
    )


def tiny_schedule(timesteps: int = 50) -> Schedule:
    """The paper's schedule with fewer timesteps."""
    params = tiny_params()
    return Schedule.from_params({**params["diffusion"], "timesteps": timesteps})


def record_steps(monkeypatch: Any, recorder: Any) -> Any:
    """Make all training steps GraphSteps with this recorder, which is returned."""

    def make(source: Any, teacher: Any, _launch: str) -> steps.GraphSteps:
        return steps.GraphSteps(source, teacher, recorder)

    monkeypatch.setattr(loop, "make_steps", make)
    return recorder


def diverge_at(monkeypatch: Any, student: str, step: int) -> None:
    """Make the network of a student give numbers that are none, from a step on."""
    original = Learner.begin

    def begin(learner: Learner) -> None:
        original(learner)
        if student in learner.name and learner.step == step:
            with torch.no_grad():
                learner.model.conv_out.bias.fill_(float("nan"))

    monkeypatch.setattr(Learner, "begin", begin)
