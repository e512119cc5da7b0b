"""Forward process: cosine schedule in float64, SNR, and noising (Section 3.1)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from runledger.errors import UserError


class ScheduleError(UserError):
    """A schedule that is unknown, or not the one that a file belongs to."""


@dataclass(frozen=True)
class Schedule:
    """A variance schedule; two are equal exactly if their parameters are.

    Attributes:
        timesteps: T.
        schedule: its name; "cosine" is the only one.
        cosine_s: offset s of the cosine.
        beta_min, beta_max: bounds that the betas are clipped to.
        alpha_bar: (T,) float64 on the CPU, strictly decreasing, within (0, 1).
    """

    timesteps: int
    schedule: str
    cosine_s: float
    beta_min: float
    beta_max: float
    alpha_bar: Tensor = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.schedule != "cosine":
            raise ScheduleError(
                f"unknown schedule {self.schedule!r}",
                "diffusion.schedule in params.yaml",
                "set it to cosine",
            )
        betas = cosine_betas(self.timesteps, self.cosine_s)
        kept, products = 1.0, []
        for beta in betas:
            kept *= 1.0 - min(max(beta, self.beta_min), self.beta_max)
            products.append(kept)
        alpha_bar = torch.tensor(products, dtype=torch.float64)
        object.__setattr__(self, "alpha_bar", alpha_bar)

    @classmethod
    def from_params(cls, diffusion: Mapping[str, Any]) -> Schedule:
        """The schedule of params.yaml's section `diffusion` (or of a checkpoint)."""
        return cls(
            timesteps=int(diffusion["timesteps"]),
            schedule=str(diffusion["schedule"]),
            cosine_s=float(diffusion["cosine_s"]),
            beta_min=float(diffusion["beta_min"]),
            beta_max=float(diffusion["beta_max"]),
        )

    def snr(self) -> Tensor:
        """SNR_t = alpha_bar_t / (1 - alpha_bar_t): (T,) float64, decreasing."""
        return self.alpha_bar / (1.0 - self.alpha_bar)

    def to_dict(self) -> dict[str, Any]:
        """The parameters that identify it, as stored beside weights."""
        return {
            "timesteps": self.timesteps,
            "schedule": self.schedule,
            "cosine_s": self.cosine_s,
            "beta_min": self.beta_min,
            "beta_max": self.beta_max,
        }


def cosine_betas(timesteps: int, offset: float) -> list[float]:
    """Unclipped betas 1 - f(t+1) / f(t), f the squared cosine (Nichol & Dhariwal).

    Args:
        timesteps: T, at least 1.
        offset: s.
    """

    def level(step: int) -> float:
        angle = (step / timesteps + offset) / (1.0 + offset) * math.pi / 2.0
        return math.cos(angle) ** 2

    # math.cos one by one: a vectorised cosine may differ between processors.
    return [1.0 - level(t + 1) / level(t) for t in range(timesteps)]


def require_same_schedule(
    found: Mapping[str, Any], wanted: Schedule, where: object
) -> None:
    """Refuse a file whose schedule is not the one in use.

    Args:
        found: the parameters stored in the file.
        wanted: the schedule of the params.
        where: the file, for the message.

    Raises:
        ScheduleError: they differ; the message lists the keys that do.
    """
    wanted_dict = wanted.to_dict()
    differing = [
        f"{key}: {found.get(key)!r} there, {wanted_dict.get(key)!r} in params"
        for key in sorted(set(found) | set(wanted_dict))
        if found.get(key) != wanted_dict.get(key)
    ]
    if differing:
        raise ScheduleError(
            "made with another diffusion schedule (" + "; ".join(differing) + ")",
            str(where),
            "train it again with the present params, or restore section `diffusion`",
        )


def add_noise(alpha_bar: Tensor, x0: Tensor, t: Tensor, noise: Tensor) -> Tensor:
    """x_t = sqrt(alpha_bar_t) x0 + sqrt(1 - alpha_bar_t) noise (Section 3.1).

    Args:
        alpha_bar: (T,) float64; keep it on the device of x0 to spare a copy a call.
        x0: (B, ...) clean images in [-1, 1].
        t: (B,) int64 in [0, T).
        noise: like x0.

    Returns:
        x_t, with the shape and type of x0.
    """
    level = alpha_bar.to(x0.device)[t].reshape(-1, *[1] * (x0.dim() - 1))
    signal, sigma = level.sqrt().to(x0.dtype), (1.0 - level).sqrt().to(x0.dtype)
    return signal * x0 + sigma * noise
