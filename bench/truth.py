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


@torch.no_grad()
def plain_samples(
    work: Work,
    model: UNet,
    role: str,
    noise: Tensor,
    labels: Tensor,
    steps: int,
    w: float,
    kind: str,
) -> Tensor:
    """Images of the plain sampler on the CPU, computed once.

    Args:
        role: names the network.
        kind: "fp64" is the truth; "fp32", "fp16" say how far rounding leads from it.
    """

    def make() -> Tensor:
        dtype = torch.float64 if kind == "fp64" else torch.float32
        network = plain_on_cpu(model, dtype)
        if kind == "fp16":
            network = rounded_to_half(network)
        alpha_bar = work.schedule.alpha_bar.double()
        return plain_sample(network, alpha_bar, noise.to(dtype), labels, steps, w)

    return work.truth(f"samples of {role}, {kind}", make)


@torch.no_grad()
def rounded_to_half(network: PlainUNet) -> PlainUNet:
    """A network that rounds to half precision what half-precision code holds in it.

    These are the matrices and kernels, and what each layer returns. Sums stay in the
    network's own precision, as they do within a GPU's matrix product. The last
    convolution is left alone, as it is in our half precision.
    """
    layers = (nn.Conv2d, nn.Linear, nn.GroupNorm)
    *inner, last = (part for part in network.modules() if isinstance(part, layers))
    for layer in inner:
        if not isinstance(layer, nn.GroupNorm):
            layer.weight.copy_(layer.weight.half())
        layer.register_forward_hook(lambda _, __, out: out.half().to(out.dtype))
    assert isinstance(last, nn.Conv2d)
    return network
