"""Guidance, its timestep-adaptive scale, and how two guidance gaps compare."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import overload

import torch
from torch import Tensor


def guided_eps(eps_cond: Tensor, eps_uncond: Tensor, scale: float | Tensor) -> Tensor:
    """Guided prediction eps~ = eps^0 + w (eps^y - eps^0) (Eq. 1).

    Args:
        eps_cond, eps_uncond: the two branches, (B, ...).
        scale: w; 0 gives the unconditional branch, 1 the conditional one.
    """
    return eps_uncond + scale * (eps_cond - eps_uncond)


def guidance_gap(eps_cond: Tensor, eps_uncond: Tensor) -> Tensor:
    """Guidance gap Delta = eps^y - eps^0 (Section 3.1)."""
    return eps_cond - eps_uncond


@overload
def tag_scale(
    t: Tensor, timesteps: int, w_min: float, w_max: float, beta: float
) -> Tensor: ...
@overload
def tag_scale(
    t: float, timesteps: int, w_min: float, w_max: float, beta: float
) -> float: ...
def tag_scale(t, timesteps, w_min, w_max, beta):  # type: ignore[no-untyped-def]
    """w(t) = w_min + (w_max - w_min) sigmoid(beta (0.5 - t/T)) (Eq. 3).

    Args:
        t: timestep in [0, T), a number or a tensor of any shape.
        timesteps: T.
        w_min, w_max: the asymptotes, not reached (1 and 4 give 1.23 to 3.77).
        beta: steepness; positive: guidance grows towards the clean image.

    Returns:
        A float for a number, a float64 tensor like t for a tensor.
    """
    if isinstance(t, Tensor):
        weight = torch.sigmoid(beta * (0.5 - t.double() / timesteps))
    else:
        weight = 1.0 / (1.0 + math.exp(-beta * (0.5 - t / timesteps)))
    return w_min + (w_max - w_min) * weight


def gap_statistics(
    eps_cond_s: Tensor, eps_uncond_s: Tensor, eps_cond_t: Tensor, eps_uncond_t: Tensor
) -> dict[str, Tensor]:
    """What the comparison of a student's gap with the teacher's needs, per sample.

    Args:
        eps_cond_s, eps_uncond_s: the student's branches, (B, ...).
        eps_cond_t, eps_uncond_t: the teacher's on the same x_t, t, y.

    Returns:
        (B,) float64 each: `norm_s`, `norm_t` (l2 norms of the gaps), `dot` (their
        inner product), and means over pixels and channels of squared differences:
        `gap_sq_err`, `err_cond`, `err_uncond`.
    """
    cond_s, uncond_s, cond_t, uncond_t = (
        eps.detach().flatten(1).double()
        for eps in (eps_cond_s, eps_uncond_s, eps_cond_t, eps_uncond_t)
    )
    gap_s, gap_t = guidance_gap(cond_s, uncond_s), guidance_gap(cond_t, uncond_t)
    return {
        "norm_s": gap_s.norm(dim=1),
        "norm_t": gap_t.norm(dim=1),
        "dot": (gap_s * gap_t).sum(dim=1),
        "gap_sq_err": (gap_s - gap_t).square().mean(dim=1),
        "err_cond": (cond_s - cond_t).square().mean(dim=1),
        "err_uncond": (uncond_s - uncond_t).square().mean(dim=1),
    }


def summarize_gaps(stats: Mapping[str, Tensor]) -> dict[str, float]:
    """Means over the samples of `gap_statistics`.

    Returns:
        `rho` = E||Delta_S|| / E||Delta_T|| (Eq. 9; NaN where the teacher has no gap),
        `cos` = mean of the samples' cosines (a sample with a zero gap counts as 0),
        `gap_mse` = E||Delta_S - Delta_T||^2 / d, `err_cond`, `err_uncond` likewise
        for the branches (Section 4.1).
    """
    mean_t = stats["norm_t"].mean().item()
    mean_s = stats["norm_s"].mean().item()
    lengths = stats["norm_s"] * stats["norm_t"]
    cosines = torch.where(lengths > 0, stats["dot"] / lengths, lengths)
    return {
        "rho": mean_s / mean_t if mean_t > 0 else math.nan,
        "cos": cosines.mean().item(),
        "gap_mse": stats["gap_sq_err"].mean().item(),
        "err_cond": stats["err_cond"].mean().item(),
        "err_uncond": stats["err_uncond"].mean().item(),
    }
