"""How much of a GPU's memory a training takes, foreseen before it begins."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache

import torch
from torch import Tensor
from torch._subclasses import FakeTensorMode
from torch.autograd.graph import saved_tensors_hooks

from dash_repro.models.unet import UNet, UNetConfig
from runledger.errors import UserError

_VECTORS = 5  # float32: weights, gradients, EMA and Adam's two moments
_TRANSIENT = 1.25  # what is alive beside the saved activations, and fragments
_FORWARD_MAPS = 6  # of a network without gradients: alive at a time, of its largest
_CONTEXT = 600 * 2**20  # the CUDA context, loaded kernels, cuDNN's workspaces
_WORKSPACE = 32 * 2**20  # of cuBLAS, one a stream (CUBLAS_WORKSPACE_CONFIG=:4096:8)
GIB = 2**30


@cache
def parameter_count(config: UNetConfig) -> int:
    """Number of weights of a network."""
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in UNet(config).parameters())


@cache
def activation_bytes(config: UNetConfig, rows: int, numerics: str) -> int:
    """What a forward keeps for its backward, counted without computing anything.

    Half precision keeps its copies of the weights, too.

    Args:
        config: of the network in training.
        rows: images in a forward, both branches counted.
        numerics: "fp32" or "fp16".
    """
    kept: dict[int, torch.UntypedStorage] = {}

    def keep(value: Tensor) -> Tensor:
        storage = value.untyped_storage()
        if storage._cdata not in own:
            kept[storage._cdata] = storage
        return value

    with FakeTensorMode():  # shapes and types alone
        model = UNet(config).train()
        own = {value.untyped_storage()._cdata for value in model.parameters()}
        images = torch.zeros(rows, *config.image_shape)
        index = torch.zeros(rows, dtype=torch.int64)
        half = torch.autocast("cpu", torch.float16, enabled=numerics == "fp16")
        with half, saved_tensors_hooks(keep, lambda value: value):
            model(images, index, index)
    return sum(storage.nbytes() for storage in kept.values())


def learner_bytes(config: UNetConfig, rows: int, numerics: str) -> tuple[int, int]:
    """Bytes that a learner holds all the time, and those of one step on top."""
    held = _VECTORS * 4 * parameter_count(config)
    return held, math.ceil(_TRANSIENT * activation_bytes(config, rows, numerics))


def teacher_bytes(config: UNetConfig, batch_size: int, numerics: str) -> int:
    """Bytes of a frozen network and of its forward of both branches."""
    size = 2 if numerics == "fp16" else 4
    widest = config.width * max(config.channel_mult)
    largest = 2 * batch_size * widest * config.image_size**2 * size
    return size * parameter_count(config) + _FORWARD_MAPS * largest


def pack_bytes(
    students: Sequence[tuple[UNetConfig, int]],
    teacher: UNetConfig,
    batch_size: int,
    numerics: str,
    launch: str,
) -> int:
    """Bytes of students trained side by side on one teacher.

    A recorded step runs them on parallel streams, each with memory of its own; eager
    ones come one after the other.

    Args:
        students: network and branches of each.
        teacher: the network that all of them follow.
        batch_size: images a step.
        numerics, launch: of the training.
    """
    each = [
        learner_bytes(config, branches * batch_size, numerics)
        for config, branches in students
    ]
    steps = [step for _, step in each]
    together = max(steps) if launch == "eager" else sum(steps)
    fixed = _CONTEXT + teacher_bytes(teacher, batch_size, numerics)
    return fixed + _WORKSPACE * len(each) + sum(held for held, _ in each) + together


def free_bytes(device: torch.device) -> int | None:
    """What this process may still take of the GPU, its own reserve included.

    Returns:
        None on a CPU, where nothing is foreseen.
    """
    if device.type != "cuda":
        return None
    free, _ = torch.cuda.mem_get_info(device)
    reserved = torch.cuda.memory_reserved(device)
    return free + reserved - torch.cuda.memory_allocated(device)


def too_large(name: str, needed: int | None) -> UserError:
    """The error of a training that does not fit this GPU."""
    said = f", about {needed / GIB:.1f} GiB are needed" if needed else ""
    return UserError(
        f"the GPU's memory is too small for this training{said}",
        name,
        "use a GPU with more memory, or none that others use at the same time; "
        "launch: eager and numerics: fp16 need less",
    )
