"""The losses, one function per equation (Sections 3.3, 3.5, 4.1).

All take predictions and targets (B, C, H, W) and weights omega_hat_t (B,); all are the
weighted mean over the batch of a mean over pixels and channels, a scalar.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from dash_repro.diffusion.guidance import guidance_gap, guided_eps


def sample_mse(prediction: Tensor, target: Tensor) -> Tensor:
    """Squared difference of each sample, mean over pixels and channels, (B,)."""
    return (prediction - target).square().flatten(1).mean(dim=1)


def weighted_mse(prediction: Tensor, target: Tensor, weights: Tensor) -> Tensor:
    """E[omega_hat_t ||prediction - target||^2], the form of every loss here."""
    return (weights * sample_mse(prediction, target)).mean()


def noise_loss(eps: Tensor, noise: Tensor, weights: Tensor) -> Tensor:
    """L_TIRT = E[omega_hat_t ||eps - eps_theta||^2] (Section 3.3, with Eq. 2)."""
    return weighted_mse(eps, noise, weights)


def imitation_loss(eps_cond_s: Tensor, eps_cond_t: Tensor, weights: Tensor) -> Tensor:
    """L_im = E[omega_hat_t ||eps_S^y - eps_T^y||^2] (Eq. 5)."""
    return weighted_mse(eps_cond_s, eps_cond_t, weights)


def unconditional_loss(
    eps_uncond_s: Tensor, eps_uncond_t: Tensor, weights: Tensor
) -> Tensor:
    """L_un = E[omega_hat_t ||eps_S^0 - eps_T^0||^2] (Eq. 6)."""
    return weighted_mse(eps_uncond_s, eps_uncond_t, weights)


def anchor_loss(eps_cond_s: Tensor, noise: Tensor, weights: Tensor) -> Tensor:
    """L_an = E[omega_hat_t ||eps_S^y - eps||^2] (Eq. 7)."""
    return weighted_mse(eps_cond_s, noise, weights)


def dash_loss(
    terms: Mapping[str, Tensor], lambda_im: float, lambda_un: float, lambda_an: float
) -> Tensor:
    """L_DASH = lambda_im L_im + lambda_un L_un + lambda_an L_an (Eq. 8).

    Args:
        terms: "im", "un", "an": those of weight zero may be absent.
        lambda_im, lambda_un: 1 in the paper.
        lambda_an: 0.1 in the paper.
    """
    factors = {"im": lambda_im, "un": lambda_un, "an": lambda_an}
    return torch.stack(
        [factor * terms[name] for name, factor in factors.items() if factor != 0.0]
    ).sum()


def composite_loss(
    eps_cond_s: Tensor,
    eps_uncond_s: Tensor,
    eps_cond_t: Tensor,
    eps_uncond_t: Tensor,
    scale: float | Tensor,
    weights: Tensor,
) -> Tensor:
    """L_comp = E[omega_hat_t ||eps~_S - eps~_T||^2] (Section 3.5.1, with Eq. 1).

    Args:
        scale: w, or (B, 1, 1, 1) of w(t).
    """
    guided_s = guided_eps(eps_cond_s, eps_uncond_s, scale)
    return weighted_mse(guided_s, guided_eps(eps_cond_t, eps_uncond_t, scale), weights)


def gap_loss(
    eps_cond_s: Tensor,
    eps_uncond_s: Tensor,
    eps_cond_t: Tensor,
    eps_uncond_t: Tensor,
    weights: Tensor,
) -> Tensor:
    """L_gap = E[omega_hat_t ||Delta_S - Delta_T||^2] (Section 4.1)."""
    gap_s = guidance_gap(eps_cond_s, eps_uncond_s)
    return weighted_mse(gap_s, guidance_gap(eps_cond_t, eps_uncond_t), weights)


def feature_loss(
    projected: Mapping[str, Tensor], targets: Mapping[str, Tensor], weights: Tensor
) -> Tensor:
    """FitNets: mean over the maps of E[omega_hat_t ||P(F_S) - F_T||^2] (Section 4.1).

    Args:
        projected: the student's maps in the teacher's channels, (B, C, h, w) by name.
        targets: the teacher's maps by the same names.
    """
    losses = [weighted_mse(projected[name], targets[name], weights) for name in targets]
    return torch.stack(losses).mean()
