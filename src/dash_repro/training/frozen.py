"""The frozen teacher, whose outputs all students of a group share."""

from __future__ import annotations

import torch
from torch import Tensor

from dash_repro.launch import channels_last
from dash_repro.models.compiled import compile_network
from dash_repro.models.precision import halve
from dash_repro.models.unet import UNet
from dash_repro.objectives.objective import Batch, Targets


def both_branches(
    model: UNet, batch: Batch, features: bool = False
) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    """Conditional and unconditional eps of a batch, computed as one batch.

    Args:
        model: a UNet, or one compiled.
        batch: B images.
        features: also return feature maps.

    Returns:
        (B, C, H, W) each, and the feature maps of the conditional half if asked for.
    """
    count = len(batch.t)
    labels = torch.cat([batch.labels, torch.full_like(batch.labels, model.null_token)])
    out = model(batch.x_t.repeat(2, 1, 1, 1), batch.t.repeat(2), labels, features)
    eps, maps = out if features else (out, {})
    kept = {name: value[:count] for name, value in maps.items()}
    return eps[:count], eps[count:], kept


class FrozenTeacher:
    """A teacher in eval mode, without gradients or label dropout (Section 3.5).

    In fp16 its weights are converted once: autocast would cast those of a frozen
    network anew in every forward.

    Args:
        model: with its EMA weights; moved to the device, converted in place.
        device: of the students.
        numerics: "fp32" or "fp16".
        launch: of `launch_mode`.
    """

    def __init__(
        self, model: UNet, device: torch.device, numerics: str, launch: str = "eager"
    ) -> None:
        self.model = model.to(device).eval().requires_grad_(False)
        if numerics == "fp16":
            halve(self.model)
        if channels_last(device.type, launch):
            self.model.use_channels_last()
        compiled = launch == "compile"
        self.network = compile_network(self.model) if compiled else self.model

    @torch.no_grad()
    def __call__(self, batch: Batch, features: bool = False) -> Targets:
        """Both branches for a batch; maps too if a student matches them."""
        cond, uncond, maps = both_branches(self.network, batch, features)
        # squared differences of half-precision maps would overflow
        return Targets(
            cond, uncond, {name: value.float() for name, value in maps.items()}
        )
