"""The two branches of a network in one forward."""

from __future__ import annotations

import torch
from torch import Tensor

from dash_repro.models.eps import EpsModel


def both_branches(
    model: EpsModel, x_t: Tensor, t: Tensor, y: Tensor, null_token: int
) -> tuple[Tensor, Tensor]:
    """eps^y and eps^0, (B, C, H, W) each, from one forward of 2 B images."""
    labels = torch.cat([y, torch.full_like(y, null_token)])
    eps = model(torch.cat([x_t, x_t]), torch.cat([t, t]), labels)
    cond, uncond = eps.chunk(2)
    return cond, uncond
