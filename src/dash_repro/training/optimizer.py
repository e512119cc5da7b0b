"""The optimiser of a learner."""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import nn

from dash_repro.training.settings import TrainSettings
from runledger.errors import UserError


def build_optimizer(
    settings: TrainSettings,
    trained: list[nn.Parameter],
    rates: list[float],
    device: torch.device,
    launch: str,
) -> torch.optim.Optimizer:
    """Adam or AdamW over vectors, each with its own initial learning rate.

    Args:
        settings: optimizer, betas, weight_decay.
        trained: the vectors.
        rates: initial learning rate of each.
        device: of the vectors.
        launch: of `launch_mode`.

    Raises:
        UserError: an optimizer of another name.
    """
    cuda = device.type == "cuda"
    groups: list[dict[str, Any]] = [
        # a rate in the GPU's memory can change under a recorded step
        {"params": [parameter], "lr": torch.tensor(rate, device=device)}
        if cuda
        else {"params": [parameter], "lr": rate}
        for parameter, rate in zip(trained, rates, strict=True)
    ]
    recorded = cuda and launch != "eager"
    common = {"betas": settings.betas, "fused": True, "capturable": recorded}
    if settings.optimizer == "adam":
        return kind_of(torch.optim.Adam, device)(groups, **common)
    if settings.optimizer == "adamw":
        adamw = kind_of(torch.optim.AdamW, device)
        return adamw(groups, weight_decay=settings.weight_decay, **common)
    raise UserError(
        f"optimizer: {settings.optimizer!r} is not known",
        "train_teacher, train_student in params.yaml",
        "set it to adam or adamw",
    )


def kind_of(kind: type[torch.optim.Optimizer], device: torch.device) -> Any:
    """That optimiser, which on a CPU does not import torch's compiler.

    torch wraps its methods to keep torch.compile out of them. The wrappers import it
    even where nothing is compiled, which takes a second of a short training. That of
    `step` turns gradients off, too.

    Args:
        kind: one of torch.optim.
        device: of the parameters.
    """
    if device.type != "cpu":
        return kind
    names = ("add_param_group", "load_state_dict", "state_dict", "zero_grad")
    methods = {name: inspect.unwrap(getattr(kind, name)) for name in names}
    methods["step"] = torch.no_grad()(inspect.unwrap(kind.step))
    return type(kind.__name__, (kind,), methods)
