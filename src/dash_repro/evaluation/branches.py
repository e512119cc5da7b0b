"""The two branches of a network in one forward."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

# eps of images (B, C, H, W), timesteps (B,), labels (B,)
EpsModel = Callable[[Tensor, Tensor, Tensor], Tensor]


def both_branches(
    model: EpsModel, x_t: Tensor, t: Tensor, y: Tensor, null_token: int
) -> tuple[Tensor, Tensor]:
    """eps^y and eps^0, (B, C, H, W) each, from one forward of 2 B images."""
    labels = torch.cat([y, torch.full_like(y, null_token)])
    eps = model(torch.cat([x_t, x_t]), torch.cat([t, t]), labels)
    cond, uncond = eps.chunk(2)
    return cond, uncond
