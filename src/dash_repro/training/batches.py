"""Training batches as a function of (seed, step)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from dash_repro.arrays import load_npz
from dash_repro.diffusion.levels import to_model_range
from dash_repro.diffusion.noise import step_rng, step_seed
from dash_repro.diffusion.schedule import Schedule, add_noise
from dash_repro.objectives.objective import Batch
from dash_repro.training.settings import TrainSettings
from runledger.errors import UserError


class BatchSource:
    """Draws images, timesteps, noise and coins; nothing depends on earlier draws.

    Every image comes once an epoch, in an order that is a function of (seed, epoch).
    The draws of an iteration are made where the images live, by a generator that is
    seeded for it: no two kinds of device see the same noise.

    Args:
        images: (N, H, W, C) uint8.
        labels: (N,) integers.
        schedule: the forward process.
        seed: the training seed.
        stream: "teacher" or "student", so that they do not see the same noises.
        batch_size: images a step.
        holdout: share of the images left out, the same for all streams of a seed.
        device: where the images live and the batches are made.
        stride: timesteps are multiples of it.
    """

    def __init__(
        self,
        images: np.ndarray,
        labels: np.ndarray,
        schedule: Schedule,
        *,
        seed: int,
        stream: str,
        batch_size: int,
        holdout: float,
        device: torch.device,
        stride: int = 1,
    ) -> None:
        kept = _kept(len(images), holdout, seed)
        planes = np.ascontiguousarray(images.transpose(0, 3, 1, 2))
        self.images = torch.from_numpy(planes)[kept].to(device)
        self.labels = torch.from_numpy(labels.astype(np.int64))[kept].to(device)
        self.alpha_bar = schedule.alpha_bar.to(device)
        self.timesteps = schedule.timesteps
        self.seed, self.stream, self.batch_size = seed, stream, batch_size
        self.device, self.stride = device, stride
        self.rng = torch.Generator(device)
        self._chosen = torch.zeros(batch_size, dtype=torch.int64, device=device)
        self._orders: dict[int, Tensor] = {}

    def draw(self, step: int) -> Batch:
        """The batch of iteration `step`."""
        self.prepare(step)
        return self.drawn()

    def prepare(self, step: int) -> None:
        """The host's part of `draw`: which images, and the generator's seed."""
        self._chosen.copy_(self._indices(step))
        self.rng.manual_seed(step_seed(self.seed, step, self.stream))

    def drawn(self) -> Batch:
        """The device's part: the same operations on the same memory every time."""
        shape = (self.batch_size,)
        t = torch.randint(self.timesteps, shape, generator=self.rng, device=self.device)
        return self._noisy(self._chosen, self._spaced(t), self.rng)

    def fixed(self, count: int) -> Batch:
        """Images to measure progress on: random ones, timesteps stratified over T."""
        rng = step_rng(self.seed, 0, f"{self.stream}-monitor")
        strata = (torch.arange(count) + torch.rand(count, generator=rng)) / count
        t = (strata * self.timesteps).long().clamp(max=self.timesteps - 1)
        return self._noisy(self._some(count, rng), self._spaced(t), rng)

    def fixed_at(self, count: int, t: Tensor) -> Batch:
        """The same images and noises at each timestep of t, timestep by timestep.

        Args:
            count: images.
            t: (n,) int64.

        Returns:
            A batch of n * count.
        """
        rng = step_rng(self.seed, 0, f"{self.stream}-timesteps")
        zeros = torch.zeros(count, dtype=torch.int64)
        once = self._noisy(self._some(count, rng), zeros, rng)
        times = t.to(self.device).repeat_interleave(count)
        x0, noise = once.x0.repeat(len(t), 1, 1, 1), once.noise.repeat(len(t), 1, 1, 1)
        x_t = add_noise(self.alpha_bar, x0, times, noise)
        return Batch(x_t, times, once.labels.repeat(len(t)), noise, once.coins, x0)

    def _spaced(self, t: Tensor) -> Tensor:
        return t if self.stride == 1 else t // self.stride * self.stride

    def _some(self, count: int, rng: torch.Generator) -> Tensor:
        """Random images, (count,); repeated only where there are too few."""
        order = torch.randperm(len(self.images), generator=rng)
        return order[torch.arange(count) % len(order)]

    def _noisy(self, indices: Tensor, t: Tensor, rng: torch.Generator) -> Batch:
        shape = (len(indices), *self.images.shape[1:])
        noise = torch.randn(shape, generator=rng, device=rng.device).to(self.device)
        coins = torch.rand(len(indices) + 1, generator=rng, device=rng.device)
        coins = coins.to(self.device)
        indices, t = indices.to(self.device), t.to(self.device)
        x0 = to_model_range(self.images[indices])
        x_t = add_noise(self.alpha_bar, x0, t, noise)
        return Batch(x_t, t, self.labels[indices], noise, coins, x0)

    def _indices(self, step: int) -> Tensor:
        """Images of a step: its stretch of the sequence of the epochs' orders."""
        count = len(self.images)
        start = step * self.batch_size
        parts, position = [], start
        while position < start + self.batch_size:
            epoch, offset = divmod(position, count)
            part = self._order(epoch)[
                offset : offset + start + self.batch_size - position
            ]
            parts.append(part)
            position += len(part)
        return torch.cat(parts)

    def _order(self, epoch: int) -> Tensor:
        if epoch not in self._orders:
            rng = step_rng(self.seed, epoch, f"{self.stream}-order")
            recent = {
                key: self._orders[key] for key in self._orders if key == epoch - 1
            }
            order = torch.randperm(len(self.images), generator=rng)
            self._orders = {**recent, epoch: order.to(self.device)}
        return self._orders[epoch]


def _kept(count: int, holdout: float, seed: int) -> Tensor:
    """Indices trained on, ascending."""
    order = torch.randperm(count, generator=step_rng(seed, 0, "holdout"))
    kept = order[round(count * holdout) :].sort().values
    if len(kept) == 0:
        raise UserError(
            f"no training image is left of {count} with holdout {holdout}",
            "holdout in params.yaml; prepare_data",
            "lower the holdout, or give more images",
        )
    return kept


def load_images(path: Path) -> dict[str, np.ndarray]:
    """Arrays of a prepared data set that training uses (ArrayFileError)."""
    return load_npz(path, ["train_images", "train_labels", "class_names"])


def batch_source(
    data: Mapping[str, np.ndarray],
    schedule: Schedule,
    settings: TrainSettings,
    seed: int,
    stream: str,
    device: torch.device,
    stride: int = 1,
) -> BatchSource:
    """The batches of a training: see BatchSource."""
    return BatchSource(
        data["train_images"],
        data["train_labels"],
        schedule,
        seed=seed,
        stream=stream,
        batch_size=settings.batch_size,
        holdout=settings.holdout,
        device=device,
        stride=stride,
    )
