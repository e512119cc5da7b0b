"""What float64 on the CPU says: the reference of the gates, whatever the device.

Everything here is the plain implementation (bench/plain.py, bench/plain_unet.py), which
shares no code with the networks, losses, optimiser steps and samplers that it judges.
"""

from __future__ import annotations

import copy
import math

import torch
from torch import Tensor, nn

from bench.plain import plain_dash_loss, plain_sample
from bench.plain_unet import PlainUNet, plain_like
from bench.work import Work
from dash_repro.models.unet import UNet
from dash_repro.objectives.objective import Batch

CPU = torch.device("cpu")
IMAGES = 8  # of a gate's batch: float64 on a CPU is slow


def relative(found: Tensor, wanted: Tensor) -> float:
    """||found - wanted|| / ||wanted||, in float64 on the CPU."""
    found, wanted = found.double().cpu(), wanted.double().cpu()
    return ((found - wanted).norm() / wanted.norm()).item()


def plain_on_cpu(model: UNet, dtype: torch.dtype) -> PlainUNet:
    """A plain copy of a network, in eval mode."""
    return plain_like(copy.deepcopy(model).cpu()).to(dtype).eval()


def cpu_batches(work: Work, steps: int) -> list[Batch]:
    """Batches of IMAGES images drawn on the CPU, the same for every device."""
    source = work.source(work.settings("fp32"), batch_size=IMAGES, device=CPU)
    return [source.draw(step) for step in range(steps)]


def brought(batch: Batch, device: torch.device, dtype: torch.dtype = None) -> Batch:
    """A batch on another device, its floating-point parts of another type."""

    def moved(value: Tensor) -> Tensor:
        kept = dtype is None or not value.is_floating_point()
        return value.to(device, value.dtype if kept else dtype)

    return Batch(*(moved(getattr(batch, name)) for name in Batch.__dataclass_fields__))


def flat(network: nn.Module) -> Tensor:
    """All parameters of a plain network in one vector, float64 on the CPU."""
    parts = [p.detach().double().cpu().flatten() for p in network.parameters()]
    return torch.cat(parts)


def true_gradient(work: Work, student: UNet, batch: Batch) -> Tensor:
    """Gradient of Eq. 8 (1, 1, 0.1) without dropout, as `flat` orders it."""
    batch = brought(batch, CPU, torch.float64)
    network = plain_on_cpu(student, torch.float64)
    teacher = plain_on_cpu(work.teacher, torch.float64)
    args = (batch.x_t, batch.t, batch.labels, batch.noise)
    plain_dash_loss(network, teacher, *args).backward()
    return torch.cat([p.grad.flatten() for p in network.parameters()])


def true_updates(
    work: Work, student: UNet, batches: list[Batch], dtype: torch.dtype
) -> Tensor:
    """What Adam's steps on these batches add to the weights, as `flat` orders it.

    Args:
        dtype: float64 is the truth; float32 says how far rounding alone leads from it.
    """
    settings = work.settings("fp32")
    network = plain_on_cpu(student, dtype)
    teacher = plain_on_cpu(work.teacher, dtype)
    before = flat(network)
    optimizer = torch.optim.Adam(
        network.parameters(), lr=settings.learning_rate, betas=settings.betas
    )
    for step, batch in enumerate(batches):
        cosine = (1.0 + math.cos(math.pi * step / settings.iterations)) / 2.0
        for group in optimizer.param_groups:
            group["lr"] = settings.learning_rate * cosine
        batch = brought(batch, CPU, dtype)
        optimizer.zero_grad()
        args = (batch.x_t, batch.t, batch.labels, batch.noise)
        plain_dash_loss(network, teacher, *args).backward()
        nn.utils.clip_grad_norm_(network.parameters(), settings.grad_clip)
        optimizer.step()
    return flat(network) - before


def true_samples(
    work: Work, model: UNet, noise: Tensor, labels: Tensor, steps: int, w: float
) -> Tensor:
    """Images of the plain sampler in float64."""
    network = plain_on_cpu(model, torch.float64)
    alpha_bar = work.schedule.alpha_bar.double()
    return plain_sample(network, alpha_bar, noise.double(), labels, steps, w)
