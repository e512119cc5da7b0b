"""Weights of the loss over timesteps: Min-SNR, TIRT, TIRT Transfer (Eqs. 2, 10)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from runledger.errors import UserError


class WeightingError(UserError):
    """A weighting of the timesteps that params.yaml names but nobody knows."""


def min_snr_weight(snr: Tensor, gamma: float) -> Tensor:
    """min(SNR_t, gamma) / SNR_t, the Min-SNR weight of noise prediction (Section 3.3).

    Args:
        snr: (T,) float64.
        gamma: the cap.
    """
    return snr.clamp(max=gamma) / snr


def base_weight(snr: Tensor, gamma: float, base: str) -> Tensor:
    """The part of omega_t that is not learned, (T,).

    Args:
        snr: (T,) float64.
        gamma: the cap.
        base: "min_snr_over_snr" (the paper) or "min_snr" (the released code).
    """
    if base == "min_snr_over_snr":
        return min_snr_weight(snr, gamma)
    if base == "min_snr":
        return snr.clamp(max=gamma)
    raise _unknown("base", base, ("min_snr_over_snr", "min_snr"))


def tirt_omega(base: Tensor, lambda_: Tensor) -> Tensor:
    """omega_t = base_t sigmoid(lambda_t) (Eq. 2, left)."""
    return base * torch.sigmoid(lambda_)


def omega_hat(omega: Tensor) -> Tensor:
    """omega_hat_t = omega_t / mean over the timesteps of omega (Eq. 2, right)."""
    return omega / omega.mean()


def batch_omega_hat(
    omega: Tensor, t: Tensor, normalizer: str, normalizer_gradient: str
) -> Tensor:
    """Weights of a batch's samples.

    Args:
        omega: (T,) of Eq. 2.
        t: (B,) int64.
        normalizer: divide by the mean over all T ("timesteps", Eq. 2), or over the
            samples at hand ("batch", the released code).
        normalizer_gradient: "differentiated", or "detached": taken as a constant.

    Returns:
        (B,).
    """
    chosen = omega[t]
    if normalizer == "timesteps":
        mean = omega.mean()
    elif normalizer == "batch":
        mean = chosen.mean()
    else:
        raise _unknown("normalizer", normalizer, ("timesteps", "batch"))
    if normalizer_gradient == "detached":
        mean = mean.detach()
    elif normalizer_gradient != "differentiated":
        known = ("differentiated", "detached")
        raise _unknown("normalizer_gradient", normalizer_gradient, known)
    return chosen / mean


class TimestepWeights(nn.Module):
    """Weights of samples by their timestep; the parameter, if any, is lambda.

    Args:
        base: (T,) float64, the part that is not learned.
        lambda_init: initial lambda, or None to keep the base as it is.
        normalizer, normalizer_gradient: see `batch_omega_hat`.
    """

    def __init__(
        self,
        base: Tensor,
        lambda_init: float | None = None,
        normalizer: str = "timesteps",
        normalizer_gradient: str = "differentiated",
    ) -> None:
        super().__init__()
        self.frozen = lambda_init is None and normalizer == "timesteps"
        # frozen weights are normalised here, in float64, and only looked up later
        self.register_buffer("base", (omega_hat(base) if self.frozen else base).float())
        self.normalizer = normalizer
        self.normalizer_gradient = normalizer_gradient
        initial = None if lambda_init is None else torch.full(base.shape, lambda_init)
        self.lambda_ = None if initial is None else nn.Parameter(initial)

    def omega(self) -> Tensor:
        """omega of every timestep, (T,), before normalisation."""
        return (
            self.base if self.lambda_ is None else tirt_omega(self.base, self.lambda_)
        )

    def forward(self, t: Tensor) -> Tensor:
        """(B,) timesteps -> (B,) weights."""
        if self.frozen:
            return self.base[t]
        return batch_omega_hat(
            self.omega(), t, self.normalizer, self.normalizer_gradient
        )


def teacher_weights(block: Mapping[str, Any], snr: Tensor) -> TimestepWeights:
    """The weighting of a block of `teachers:`: learned (TIRT) or min_snr."""
    base = base_weight(snr, block["gamma"], block["base"])
    normalizer = (block["normalizer"], block["normalizer_gradient"])
    if block["weighting"] == "learned":
        return TimestepWeights(base, block["lambda_init"], *normalizer)
    if block["weighting"] == "min_snr":
        return TimestepWeights(base, None, *normalizer)
    raise _unknown("weighting", block["weighting"], ("learned", "min_snr"))


def student_weights(
    weighting: str,
    transferred: Tensor,
    teachers: Mapping[str, Any],
    snr: Tensor,
    normalizer: str = "timesteps",
) -> TimestepWeights:
    """The weighting of a student (Eq. 10 and its ablations).

    Args:
        weighting: "transfer": the teacher's omega_hat, frozen (Eq. 10); "min_snr":
            Min-SNR, frozen; "learned": lambda from 0, with the teacher's base,
            normaliser and cap.
        transferred: (T,) float64, the teacher's omega_hat.
        teachers: gamma, base, normalizer, normalizer_gradient of the teacher.
        snr: (T,) float64.
        normalizer: of frozen weights, as in `batch_omega_hat`: "batch" divides the
            teacher's omega by its mean over the batch (the released code).
    """
    if weighting == "transfer":
        return TimestepWeights(transferred, None, normalizer)
    base = base_weight(snr, teachers["gamma"], teachers["base"])
    if weighting == "min_snr":
        return TimestepWeights(base, None, normalizer)
    if weighting == "learned":
        return TimestepWeights(
            base,
            0.0,
            teachers["normalizer"],
            teachers["normalizer_gradient"],
        )
    raise _unknown("weighting", weighting, ("transfer", "min_snr", "learned"))


def _unknown(key: str, value: object, known: tuple[str, ...]) -> WeightingError:
    return WeightingError(
        f"{key}: {value!r} is not known",
        "sections `teachers`, `students` of params.yaml",
        f"set it to one of {', '.join(known)}",
    )
