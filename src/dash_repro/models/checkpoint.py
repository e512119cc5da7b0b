"""Trained networks on disk: EMA weights, and all that is needed to use them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dash_repro.models.tensorfile import REMEDY, load_tensors, save_tensors
from dash_repro.models.unet import UNet, UNetConfig
from runledger.errors import UserError

FORMAT = "dash_repro/1"
_EMA = "ema."
_LAMBDA = "tirt.lambda"


class CheckpointError(UserError):
    """A checkpoint that is missing, damaged, or not one of ours."""


def require_same_images(
    config: UNetConfig, images: tuple[int, int, int], where: object
) -> None:
    """Refuse a network for other images than those at hand.

    Args:
        config: of the network.
        images: number of classes, size in pixels, channels.
        where: the network's file, for the message.

    Raises:
        CheckpointError: they differ.
    """
    network = (config.num_classes, config.image_size, config.channels)
    if network != images:
        raise CheckpointError(
            f"the network is for (classes, pixels, channels) {network}, the data "
            f"have {images}",
            str(where),
            "use a network that was trained on these data",
        )


@dataclass(frozen=True)
class Checkpoint:
    """A trained network.

    Attributes:
        model: the UNet with EMA weights, in eval mode, without gradients, on the CPU.
        config: its architecture.
        schedule: the diffusion params that it was trained with.
        role: "teacher" or "student".
        step: training iterations done.
        tirt_lambda: (T,) raw lambda of Eq. 2, or None where none was learned.
        class_names: names of the labels; () in files made before they were stored.
    """

    model: UNet
    config: UNetConfig
    schedule: dict[str, Any]
    role: str
    step: int
    tirt_lambda: Tensor | None
    class_names: tuple[str, ...] = ()


def save_checkpoint(
    path: Path | str,
    state_dict_ema: Mapping[str, Tensor],
    config: UNetConfig,
    schedule_params: Mapping[str, Any],
    role: str,
    step: int,
    tirt_lambda: Tensor | None = None,
    class_names: Sequence[str] = (),
) -> None:
    """Write a network atomically; equal content gives equal bytes.

    Args:
        path: the file.
        state_dict_ema: averaged weights by parameter name.
        config: the architecture.
        schedule_params: `Schedule.to_dict()`.
        role: "teacher" or "student".
        step: training iterations done.
        tirt_lambda: (T,) raw lambda, if learned.
        class_names: names of the labels, in their order.
    """
    tensors = {_EMA + name: value for name, value in state_dict_ema.items()}
    if tirt_lambda is not None:
        tensors[_LAMBDA] = tirt_lambda
    metadata = {
        "format": FORMAT,
        "unet": json.dumps(asdict(config), sort_keys=True),
        "schedule": json.dumps(dict(schedule_params), sort_keys=True),
        "role": role,
        "step": str(step),
        "class_names": json.dumps([str(name) for name in class_names]),
    }
    save_tensors(path, tensors, metadata)


def load_checkpoint(path: Path | str) -> Checkpoint:
    """Read a network; nothing in the file is executed.

    Raises:
        CheckpointError: missing, truncated, altered, or not written by this project.
    """
    tensors, metadata = load_tensors(path, CheckpointError)
    if metadata.get("format") != FORMAT:
        found = metadata.get("format", "none")
        what = f"a safetensors file of format {found!r}, not {FORMAT!r}"
        raise CheckpointError(what, str(path), REMEDY)
    try:
        fields = json.loads(metadata["unet"])
        fields["channel_mult"] = tuple(fields["channel_mult"])
        config = UNetConfig(**fields)
        schedule = dict(json.loads(metadata["schedule"]))
        role, step = metadata["role"], int(metadata["step"])
        names = tuple(map(str, json.loads(metadata.get("class_names", "[]"))))
        if names and len(names) != config.num_classes:
            raise ValueError(f"{len(names)} names of {config.num_classes} classes")
    except (KeyError, TypeError, ValueError) as failure:
        what = f"its header is incomplete ({type(failure).__name__}: {failure})"
        raise CheckpointError(what, str(path), REMEDY) from None
    tirt_lambda = tensors.pop(_LAMBDA, None)
    weights = {name.removeprefix(_EMA): value for name, value in tensors.items()}
    # no memory or random numbers for weights that are replaced at once
    with torch.device("meta"):
        model = UNet(config)
    try:
        model.load_state_dict(weights, strict=True, assign=True)
    except RuntimeError as failure:
        what = f"its tensors are not those of the network it names ({failure})"
        raise CheckpointError(what, str(path), REMEDY) from None
    model.eval().requires_grad_(False)
    return Checkpoint(model, config, schedule, role, step, tirt_lambda, names)
