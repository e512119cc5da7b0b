"""What is measured during training: guidance gaps (Figure 5a), the curriculum (4b)."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from dash_repro.diffusion.guidance import gap_statistics, summarize_gaps
from dash_repro.diffusion.schedule import Schedule
from dash_repro.models.unet import UNet
from dash_repro.objectives.curriculum import curriculum_from
from dash_repro.objectives.losses import sample_mse
from dash_repro.objectives.objective import Batch
from dash_repro.training.batches import BatchSource
from dash_repro.training.frozen import FrozenTeacher, both_branches
from dash_repro.training.learner import Learner

# timesteps at which a teacher's loss is measured; interpolated between them
MAX_MEASURED = 250
# noisy images in one forward of that measurement
_CHUNK = 256


class Observer(Protocol):
    """Looks at a learner after the iterations in `steps` (0: before the first)."""

    steps: frozenset[int]

    def observe(self, learner: Learner) -> dict[str, float]:
        """Measure; what is returned becomes columns of the history."""

    def state(self) -> dict[str, Tensor]:
        """What resuming needs, by names that no learner uses."""

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Continue from a state that `state` returned."""


class GapMonitor:
    """Gap statistics of a student's EMA weights on fixed training images (Eq. 9).

    Args:
        teacher: whose gap is the measure; its outputs are computed once.
        batch: the images, timesteps and noises.
        every: iterations between measurements; the first and last are among them.
        iterations: of the training.
    """

    def __init__(
        self, teacher: FrozenTeacher, batch: Batch, every: int, iterations: int
    ) -> None:
        self.batch, self.targets = batch, teacher(batch)
        self.steps = frozenset({*range(0, iterations, every), iterations})

    @torch.no_grad()
    def observe(self, learner: Learner) -> dict[str, float]:
        """Gaps of the averaged weights: rho, cos, gap_mse, err_cond, err_uncond."""
        with learner.averaged() as model:
            cond, uncond, _ = both_branches(model, self.batch)
        targets = (self.targets.eps_cond, self.targets.eps_uncond)
        return summarize_gaps(gap_statistics(cond, uncond, *targets))

    def state(self) -> dict[str, Tensor]:
        """Nothing: it is a function of the learner."""
        return {}

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Do nothing: this observer has no state."""


def log_spaced(count: int, iterations: int) -> list[int]:
    """0, and steps spaced evenly in the logarithm up to the last; at most `count`."""
    spaced = np.geomspace(1, iterations, max(count - 1, 1)).round().astype(int)
    return sorted({0, *spaced.tolist(), iterations})


class CurriculumRecorder:
    """Snapshots of lambda and omega_hat during a teacher's training.

    Args:
        block: the teacher's block of `teachers:`.
        schedule: whose timesteps are weighted.
        count: snapshots, at most.
        iterations: of the training.
    """

    def __init__(
        self, block: dict, schedule: Schedule, count: int, iterations: int
    ) -> None:
        self.block, self.schedule = block, schedule
        self.steps = frozenset(log_spaced(count, iterations))
        self.taken: list[int] = []
        self.lambdas: list[Tensor] = []

    def observe(self, learner: Learner) -> dict[str, float]:
        """Record a snapshot of lambda and omega_hat; adds no columns to the history."""
        lambda_ = learner.lambda_()
        zeros = torch.zeros(self.schedule.timesteps)
        self.taken.append(learner.step)
        self.lambdas.append(zeros if lambda_ is None else lambda_)
        return {}

    def arrays(self) -> dict[str, np.ndarray]:
        """steps (S,) int64, lambda (S, T) float32, omega_hat (S, T) float64."""
        weights = [
            curriculum_from(lambda_, self.block, self.schedule).omega_hat
            for lambda_ in self.lambdas
        ]
        return {
            "steps": np.array(self.taken, dtype=np.int64),
            "lambda": torch.stack(self.lambdas).float().numpy(),
            "omega_hat": torch.stack(weights).numpy(),
        }

    def state(self) -> dict[str, Tensor]:
        """The snapshots so far."""
        if not self.taken:
            return {}
        taken = torch.tensor(self.taken)
        return {"snapshot.steps": taken, "snapshot.lambda": torch.stack(self.lambdas)}

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Take up the snapshots of an earlier part of this training."""
        if "snapshot.steps" in tensors:
            self.taken = tensors["snapshot.steps"].tolist()
            self.lambdas = list(tensors["snapshot.lambda"])


@torch.no_grad()
def timestep_losses(
    model: UNet, source: BatchSource, count: int
) -> dict[str, np.ndarray]:
    """||eps - eps_theta||^2 at every timestep, over fixed images with their labels.

    Measured at 250 timesteps at most and interpolated linearly between them.

    Args:
        model: as it is to be measured, mode included.
        source: gives the images and noises, a function of its seed.
        count: images.

    Returns:
        loss_steps, the timesteps measured; loss_mean and loss_std, (T,) float64.
    """
    total = source.timesteps
    measured = min(total, MAX_MEASURED)
    t = torch.linspace(0, total - 1, measured, dtype=torch.float64).round().long()
    parts = []
    for chunk in t.split(max(1, _CHUNK // count)):
        batch = source.fixed_at(count, chunk)
        losses = sample_mse(model(batch.x_t, batch.t, batch.labels), batch.noise)
        parts.append(losses.double().cpu().view(len(chunk), count))
    table = torch.cat(parts)
    grid, steps = np.arange(total), t.numpy()
    mean, std = table.mean(dim=1).numpy(), table.std(dim=1, correction=0).numpy()
    return {
        "loss_steps": steps,
        "loss_mean": np.interp(grid, steps, mean),
        "loss_std": np.interp(grid, steps, std),
    }
