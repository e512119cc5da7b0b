"""Errors of half precision against float32, on the same device."""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from torch import Tensor

from bench.truth import relative
from bench.work import Work
from dash_repro.diffusion.guidance import guidance_gap
from dash_repro.models.compiled import launched
from dash_repro.models.precision import inference_network
from dash_repro.models.unet import UNet
from dash_repro.objectives.objective import Batch
from dash_repro.training.frozen import FrozenTeacher


@torch.no_grad()
def half_errors(work: Work, launch: str) -> tuple[float, float]:
    """Errors of the sampler's and of the teacher's fp16 against float32.

    Returns:
        of eps, and of the guidance gap in the worst tenth of the timesteps.
    """
    fixed = work.source(work.settings("fp32")).fixed(20 * 10)
    worst = [0.0, 0.0]
    for model in (work.teacher, work.network(work.preset.widths[0])):
        wanted = FrozenTeacher(copy.deepcopy(model), work.device, "fp32")(fixed)
        for fast in _fast(model, work, launch):
            cond, uncond = fast(fixed, model.null_token)
            worst[0] = max(worst[0], relative(cond, wanted.eps_cond))
            gap = guidance_gap(cond, uncond)
            true = guidance_gap(wanted.eps_cond, wanted.eps_uncond)
            tenths = zip(gap.chunk(10), true.chunk(10), strict=True)
            worst[1] = max(worst[1], *(relative(a, b) for a, b in tenths))
    return worst[0], worst[1]


def _fast(model: UNet, work: Work, launch: str) -> tuple[Callable, Callable]:
    """The two ways in which a network runs in half precision: frozen, and sampling."""
    frozen = FrozenTeacher(copy.deepcopy(model), work.device, "fp16", launch)
    half = inference_network(copy.deepcopy(model), "fp16", work.device)
    network = launched(half, launch)

    def training(batch: Batch, null: int) -> tuple[Tensor, Tensor]:
        targets = frozen(batch)
        return targets.eps_cond, targets.eps_uncond

    def sampling(batch: Batch, null: int) -> tuple[Tensor, Tensor]:
        nulls = torch.full_like(batch.labels, null)
        first = network(batch.x_t, batch.t, batch.labels).clone()
        return first, network(batch.x_t, batch.t, nulls).clone()

    return training, sampling
