"""What is measured: synthetic data, networks, and the project's own steps on them."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench.machine import slug
from bench.plain import PlainTraining
from bench.plain_unet import plain_like
from bench.presets import Preset
from dash_repro.diffusion.schedule import Schedule
from dash_repro.models.flops import count_flops
from dash_repro.models.unet import UNet, UNetConfig, build_unet
from dash_repro.objectives.objective import Batch, NoiseObjective, student_objective
from dash_repro.objectives.weights import TimestepWeights
from dash_repro.training.batches import BatchSource
from dash_repro.training.frozen import FrozenTeacher
from dash_repro.training.learner import Learner
from dash_repro.training.settings import TrainSettings
from dash_repro.training.steps import make_steps

SEED = 42


class Work:
    """Networks and data of a preset; everything else is made from these.

    Args:
        preset: sizes.
        params: of preset.params.
        device: where to measure.

    Attributes:
        truths: keeps what `truth` computes; None: this process's memory does.
    """

    def __init__(
        self, preset: Preset, params: Mapping[str, Any], device: torch.device
    ) -> None:
        self.preset, self.params, self.device = preset, params, device
        self.numerics: str = params["train_student"]["numerics"]
        self.schedule = Schedule.from_params(params["diffusion"])
        self.images, self.labels = synthetic_images(preset)
        self.teacher = self.network(preset.teacher_width, teacher=True)
        self.truths: Path | None = None
        self._known: dict[str, Any] = {}

    def once(self, key: str, make: Callable[[], Any]) -> Any:
        """What `make` returns, computed once for a key."""
        if key not in self._known:
            self._known[key] = make()
        return self._known[key]

    def truth(self, name: str, make: Callable[[], torch.Tensor]) -> torch.Tensor:
        """A reference that takes long to compute; once, if `truths` names a folder.

        Then a file keeps it for the next process, named after what it depends on.
        """

        def kept() -> torch.Tensor:
            if self.truths is None:
                return make()
            text = f"{name} {self.preset} {self.params['network']} {torch.__version__}"
            digest = hashlib.sha256(text.encode()).hexdigest()[:12]
            path = self.truths / f"{slug(name)}-{digest}.pt"
            if not path.exists():
                self.truths.mkdir(parents=True, exist_ok=True)
                part = path.with_suffix(".part")
                torch.save(make(), part)
                part.replace(path)
            return torch.load(path, weights_only=True)

        return self.once(name, kept)

    def network(self, width: int, teacher: bool = False) -> UNet:
        """A network with its initial weights, on the device."""
        section = "train_teacher" if teacher else "train_student"
        config = UNetConfig.from_params(
            self.params["network"],
            width,
            self.params[section]["blocks"],
            self.preset.classes,
            self.preset.image_size,
        )
        return build_unet(config, SEED).to(self.device)

    def settings(self, numerics: str, section: str = "train_student") -> TrainSettings:
        """The training's settings at the paper's length."""
        values = {**self.params[section], "numerics": numerics}
        values.update(iterations=234_000, batch_size=self.preset.batch)
        return TrainSettings.from_params(values)

    def source(
        self,
        settings: TrainSettings,
        batch_size: int | None = None,
        device: torch.device | None = None,
    ) -> BatchSource:
        """Batches of the synthetic images; by default of the training's size, here."""
        return BatchSource(
            self.images,
            self.labels,
            self.schedule,
            seed=SEED,
            stream="student",
            batch_size=batch_size or settings.batch_size,
            holdout=0.0,
            device=device or self.device,
        )

    def plain(self, width: int | None, resident: bool) -> PlainTraining:
        """B0 or B1 (resident) of a student; width None: of the teacher."""
        teacher = None if width is None else plain_like(self.teacher)
        model = self.teacher if width is None else self.network(width)
        images = torch.from_numpy(self.images).permute(0, 3, 1, 2).contiguous()
        return PlainTraining(
            plain_like(model),
            teacher,
            images,
            torch.from_numpy(self.labels),
            self.schedule.alpha_bar,
            self.preset.batch,
            resident,
        )

    def step_flops(self, width: int | None, pack: int = 1) -> float:
        """FLOPs of an iteration; a backward counts as two forwards."""
        batch = self.preset.batch
        teacher = count_flops(self.teacher)
        if width is None:
            return 3.0 * batch * teacher
        student = count_flops(self.network(width))
        return 2.0 * batch * (teacher + 3.0 * pack * student)


class OurTraining:
    """`pack` learners in the project's training step; width None: a teacher's.

    Args:
        work: data and networks.
        width: of the students.
        pack: how many train side by side.
        launch: see dash_repro.launch.
        numerics: "fp32" or "fp16".
        dropout: False: none, for exact comparisons.
        source: None: the synthetic images' own batches.
    """

    def __init__(
        self,
        work: Work,
        width: int | None,
        pack: int,
        launch: str,
        numerics: str,
        dropout: bool = True,
        source: BatchSource | None = None,
    ) -> None:
        section = "train_teacher" if width is None else "train_student"
        self.settings = work.settings(numerics, section)
        self.source = source or work.source(self.settings)
        self.teacher = None
        if width is not None:
            frozen = copy.deepcopy(work.teacher)
            self.teacher = FrozenTeacher(frozen, work.device, numerics, launch)
        self.learners = [self._learner(work, width, launch) for _ in range(pack)]
        if not dropout:
            for learner in self.learners:
                learner.model.eval()
        self.steps = make_steps(self.source, self.teacher, launch)

    def _learner(self, work: Work, width: int | None, launch: str) -> Learner:
        if width is None:
            objective = NoiseObjective(0.1, "sample")
            model = copy.deepcopy(work.teacher)
        else:
            block = work.params["students"]["dash"]
            total = work.schedule.timesteps
            objective = student_objective(block, "sample", total, None, {})
            model = work.network(width)
        weights = TimestepWeights(torch.ones(work.schedule.timesteps).double())
        return Learner(
            "bench",
            model,
            objective,
            weights,
            self.settings,
            seed=SEED,
            lambda_lr=0.0,
            device=work.device,
            launch=launch,
        )

    def step(self) -> None:
        """One iteration of all learners, and the history's row where one is due."""
        failures = self.steps(self.learners, self.learners[0].step)
        for error in failures.values():
            raise error
        for learner in self.learners:
            if learner.step % learner.settings.record_every == 0:
                learner.record({})


class GivenBatches:
    """Batches that were drawn elsewhere, as a source that steps can record.

    Args:
        batches: of iterations 0, 1, ..., repeated from the first when they end.
        device: where the steps run.
    """

    def __init__(self, batches: list[Batch], device: torch.device) -> None:
        self.batches, self.device = batches, device
        self.batch_size = len(batches[0].t)
        self.rng = torch.Generator(device)  # recorded with the step, never drawn from
        fields = (getattr(batches[0], name) for name in Batch.__dataclass_fields__)
        self._place = Batch(*(value.to(device, copy=True) for value in fields))

    def prepare(self, step: int) -> None:
        """The host's part: the batch of a step goes to its place."""
        chosen = self.batches[step % len(self.batches)]
        for name in Batch.__dataclass_fields__:
            getattr(self._place, name).copy_(getattr(chosen, name))

    def drawn(self) -> Batch:
        """The device's part: nothing to draw."""
        return self._place


def synthetic_images(preset: Preset) -> tuple[np.ndarray, np.ndarray]:
    """uint8 (N, H, W, 3) of smooth shapes that depend on the label, and labels (N,)."""
    rng = np.random.default_rng(0)
    size, count = preset.image_size, preset.images
    labels = np.arange(count) % preset.classes
    row, column = np.mgrid[0:size, 0:size] / size
    phase = rng.random((count, 3, 1, 1), dtype=np.float32)
    angle = (labels / preset.classes * np.pi).astype(np.float32)[:, None, None, None]
    wave = np.cos(angle) * row.astype(np.float32) + np.sin(angle) * column
    planes = 127.5 + 100.0 * np.sin(2 * np.pi * (2 * wave + phase))
    planes += rng.normal(0.0, 8.0, planes.shape)
    images = planes.clip(0, 255).astype(np.uint8).transpose(0, 2, 3, 1)
    return np.ascontiguousarray(images), labels.astype(np.int64)
