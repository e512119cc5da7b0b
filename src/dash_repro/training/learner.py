"""One network in training: weights, EMA, optimiser, history, and its own dropout."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from dash_repro.diffusion.noise import step_seed
from dash_repro.diffusion.schedule import Schedule
from dash_repro.launch import channels_last
from dash_repro.models.checkpoint import save_checkpoint
from dash_repro.models.compiled import compile_network
from dash_repro.models.layers import DropoutMasks
from dash_repro.models.unet import UNet
from dash_repro.objectives.objective import Batch, Targets
from dash_repro.objectives.weights import TimestepWeights
from dash_repro.runtime import generator_of
from dash_repro.training.flat import FlatParameters, unflatten
from dash_repro.training.optimizer import build_optimizer
from dash_repro.training.settings import TrainSettings, learning_rate
from runledger.errors import UserError


class TrainingDiverged(UserError):
    """A loss or gradient that is no longer a number."""


class Learner:
    """A network, its objective and its optimiser; independent of any other learner.

    Args:
        name: for messages.
        model: the network; moved to the device, its parameters into one vector.
        objective: NoiseObjective or DistillObjective; its parameters are trained too.
        weights: of the timesteps; its lambda, if any, is trained too.
        settings: of the training.
        seed: the training seed; with the step it determines the dropout masks.
        lambda_lr: initial learning rate of lambda.
        device: where to train.
        launch: of `launch_mode`.
    """

    def __init__(
        self,
        name: str,
        model: UNet,
        objective: nn.Module,
        weights: TimestepWeights,
        settings: TrainSettings,
        *,
        seed: int,
        lambda_lr: float,
        device: torch.device,
        launch: str = "eager",
    ) -> None:
        self.name, self.settings, self.seed, self.device = name, settings, seed, device
        self.model, self.objective = model.to(device).train(), objective.to(device)
        self.weights = weights.to(device)
        last = channels_last(device.type, launch)
        self.flat = FlatParameters([self.model, self.objective], last)
        if last:
            self.model.use_channels_last(own_kernels=False)
        compiled = launch == "compile"
        self.ema = self.flat.values.detach()[: self.flat.ends[0]].clone()
        self.dropout_rng = torch.Generator(device)
        self.model.set_dropout_generator(self.dropout_rng)
        self.network, self.masks = self._compiled() if compiled else (self.model, None)
        self.step = 0
        self.history: list[dict[str, float]] = []
        self.initial_lr = [settings.learning_rate]
        self.trained: list[nn.Parameter] = [self.flat.values]
        if weights.lambda_ is not None:
            self.trained.append(weights.lambda_)
            self.initial_lr.append(lambda_lr)
        self.optimizer = build_optimizer(
            settings, self.trained, self.initial_lr, device, launch
        )
        self.scaler = torch.amp.GradScaler(
            device.type, enabled=settings.numerics == "fp16"
        )
        # loss and gradient norm of the iterations since the last row, read in blocks
        self._pending = torch.zeros(settings.record_every, 2, device=device)
        self._latest = torch.zeros(2, device=device)
        self._filled = 0

    def update(self, batch: Batch, targets: Targets | None) -> None:
        """One iteration; no value of it is waited for."""
        self.begin()
        self.compute(batch, targets)
        self.end()

    def begin(self) -> None:
        """The host's part before an iteration: what depends on its number."""
        for group, initial in zip(
            self.optimizer.param_groups, self.initial_lr, strict=True
        ):
            rate = learning_rate(self.settings, self.step, initial)
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(rate)
            else:
                group["lr"] = rate
        self.dropout_rng.manual_seed(step_seed(self.seed, self.step, "dropout"))

    def compute(self, batch: Batch, targets: Targets | None) -> None:
        """The device's part: the same operations on the same memory every time."""
        settings = self.settings
        if self.masks is not None:
            self.masks.draw()
        for parameter in self.trained:
            if parameter.grad is not None:
                parameter.grad.zero_()
        half = settings.numerics == "fp16"
        with torch.autocast(self.device.type, torch.float16, enabled=half):
            loss = self.objective(self.network, batch, targets, self.weights(batch.t))
        self.scaler.scale(loss).backward()
        self.scaler.unscale_(self.optimizer)
        clipped = self.trained if settings.grad_clip_lambda else self.trained[:1]
        norm = nn.utils.clip_grad_norm_(clipped, settings.grad_clip)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        current = self.flat.values.detach()[: len(self.ema)]
        self.ema.lerp_(current, 1.0 - settings.ema_decay)
        self._latest[0] = loss.detach()
        self._latest[1] = norm

    def end(self) -> None:
        """What the host does after the device has computed the step."""
        self._pending[self._filled] = self._latest
        self._filled += 1
        self.step += 1

    def check(self) -> None:
        """Read the losses since the last row (TrainingDiverged if one is not finite).

        Gradients in half precision may overflow: their step is skipped and the loss
        scale halved, which is no error. A scale below 1 is: 17 steps more were skipped
        than the scale has grown by, so that nothing is learned.
        """
        rows = self._pending[: self._filled]
        watched = rows[:, :1] if self.settings.numerics == "fp16" else rows
        finite = watched.isfinite().all(dim=1).tolist()
        if not all(finite):
            bad = self.step - self._filled + finite.index(False)
            raise TrainingDiverged(
                f"the loss or its gradient is not a number at iteration {bad}",
                self.name,
                "lower the learning rate, or use numerics: fp32 if it was fp16",
            )
        scale = self.scaler.get_scale() if self.scaler.is_enabled() else 1.0
        if scale < 1.0:
            raise TrainingDiverged(
                f"at iteration {self.step} gradients overflow half precision though "
                f"the loss is scaled by {scale:g}: step after step is skipped",
                self.name,
                "use numerics: fp32, or lower the learning rate",
            )

    def record(self, measured: dict[str, float]) -> None:
        """Add a row to the history: means since the last row, and what was measured."""
        self.check()
        row: dict[str, float] = {"step": self.step}
        if self._filled:
            rows = self._pending[: self._filled].double()
            loss, norm = rows.mean(dim=0).tolist()
            if not math.isfinite(norm):  # skipped steps of half precision have none
                norm = rows[rows[:, 1].isfinite(), 1].mean().item()
            lr = learning_rate(self.settings, self.step - 1, self.initial_lr[0])
            row.update(loss=loss, lr=lr, grad_norm=norm)
        self.history.append({**row, **measured})
        self._filled = 0

    def latest(self) -> dict[str, float]:
        """Mean loss since the last row of history, and the last rho, where known."""
        known: dict[str, float] = {}
        for row in self.history:
            known.update({key: row[key] for key in ("loss", "rho") if key in row})
        if self._filled:
            known["loss"] = self._pending[: self._filled, 0].mean().item()
        return {key: float(f"{value:.5g}") for key, value in known.items()}

    @contextmanager
    def averaged(self) -> Iterator[UNet]:
        """The network with its EMA weights and in eval mode, until the context ends."""
        current = self.flat.values.detach()[: len(self.ema)]
        kept = current.clone()
        current.copy_(self.ema)
        self.model.eval()
        try:
            yield self.model
        finally:
            self.model.train()
            current.copy_(kept)

    def ema_state_dict(self) -> dict[str, Tensor]:
        """EMA weights by parameter name, on the CPU."""
        return unflatten(self.flat.canonical(self.ema).cpu(), self.model)

    def save_network(
        self, path: Path, schedule: Schedule, role: str, class_names: Sequence[str]
    ) -> None:
        """Write the network with its EMA weights, as it is now.

        Args:
            path: the file.
            schedule: noise levels that it is trained with.
            role: "teacher" or "student".
            class_names: names of the labels, in their order.
        """
        save_checkpoint(
            path,
            self.ema_state_dict(),
            self.model.config,
            schedule.to_dict(),
            role,
            self.step,
            self.lambda_(),
            class_names,
        )

    def lambda_(self) -> Tensor | None:
        """(T,) raw lambda on the CPU, or None where none is learned."""
        lambda_ = self.weights.lambda_
        return None if lambda_ is None else lambda_.detach().cpu().clone()

    def state(self) -> tuple[dict[str, Tensor], dict[str, str]]:
        """All that resuming needs (UserError if it is no longer finite)."""
        self.check()
        ema = self.flat.canonical(self.ema)
        tensors = {"ema": ema, "pending": self._pending[: self._filled]}
        for index, parameter in enumerate(self.trained):
            tensors[f"value.{index}"] = self._filed(index, parameter.detach())
            for key, value in self.optimizer.state[parameter].items():
                tensors[f"optimizer.{index}.{key}"] = self._filed(index, value)
        metadata = {
            "history": json.dumps(self.history),
            "scaler": json.dumps(self.scaler.state_dict()),
            "device": generator_of(self.device),
        }
        return tensors, metadata

    def restore(self, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
        """Take up a state of `state`, at the iteration in its metadata."""
        self.step = int(metadata["step"])
        self.history = json.loads(metadata["history"])
        self.scaler.load_state_dict(json.loads(metadata["scaler"]))
        self.ema.copy_(self.flat.from_canonical(tensors["ema"]))
        self._filled = len(tensors["pending"])
        self._pending[: self._filled] = tensors["pending"].to(self.device)
        with torch.no_grad():
            for index, parameter in enumerate(self.trained):
                value = self._filed(index, tensors[f"value.{index}"], back=True)
                parameter.copy_(value)
                prefix = f"optimizer.{index}."
                self.optimizer.state[parameter] = {
                    name.removeprefix(prefix): self._filed(
                        index, value.to(self.device), back=True
                    )
                    for name, value in tensors.items()
                    if name.startswith(prefix)
                }

    def elsewhere(self, metadata: dict[str, str]) -> str | None:
        """Why the rest of a training will draw other numbers than where it began.

        Args:
            metadata: of a saved state.

        Returns:
            A sentence, or None where nothing changes.
        """
        there, here = metadata.get("device", ""), generator_of(self.device)
        if there in ("", here):
            return None
        return (
            f"the state was saved on {there}, and this is {here}: noise and dropout "
            "are other draws from here on, as with another seed, and the result is "
            "that of neither machine alone"
        )

    def _filed(self, index: int, value: Tensor, back: bool = False) -> Tensor:
        """A vector of trained parameter `index` in the layout of files, or back."""
        if index > 0 or value.shape != self.flat.values.shape:
            return value
        flat = self.flat
        return flat.from_canonical(value) if back else flat.canonical(value)

    def _compiled(self) -> tuple[Any, DropoutMasks]:
        """The network compiled, and its dropout masks, which it cannot draw itself."""
        config = self.model.config
        image = torch.zeros(1, *config.image_shape)
        zero = torch.zeros(1, dtype=torch.int64, device=self.device)
        rows = self.settings.batch_size * self.objective.branches
        example = (image.to(self.device), zero, zero)
        masks = DropoutMasks(self.model, example, rows, self.dropout_rng)
        return compile_network(self.model, own_kernels=False), masks


def history_csv(history: list[dict[str, float]], columns: list[str]) -> str:
    """The history as CSV text; what a row lacks is left empty."""

    def cell(value: float | None) -> str:
        if value is None or math.isnan(value):
            return ""
        return str(value) if isinstance(value, int) else f"{value:.9g}"

    lines = [",".join(cell(row.get(name)) for name in columns) for row in history]
    return "\n".join([",".join(columns), *lines]) + "\n"
