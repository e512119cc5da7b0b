"""Parameters kept in one vector, so that an optimiser step is a few operations."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

# floats; a cache line, so that views are as well aligned as tensors of their own
_ALIGN = 16


class FlatParameters:
    """Modules whose parameters and gradients are views of two vectors.

    Padding between parameters has gradient zero, hence stays zero.

    Args:
        modules: their parameters are moved into `values`, in order.

    Attributes:
        values: an nn.Parameter (n,), with `.grad` of the same shape.
        ends: number of elements of `values` up to the end of each module.
    """

    def __init__(self, modules: Iterable[nn.Module]) -> None:
        spans: list[tuple[nn.Parameter, int]] = []
        self.ends: list[int] = []
        size = 0
        for module in modules:
            for parameter in module.parameters():
                spans.append((parameter, size))
                size += -(-parameter.numel() // _ALIGN) * _ALIGN
            self.ends.append(size)
        device = spans[0][0].device
        values = torch.zeros(size, device=device)
        grads = torch.zeros(size, device=device)
        for parameter, start in spans:
            view = values[start : start + parameter.numel()].view_as(parameter)
            view.copy_(parameter.detach())
            parameter.data = view
            parameter.grad = grads[start : start + parameter.numel()].view_as(parameter)
        self.values = nn.Parameter(values)
        self.values.grad = grads


def unflatten(vector: Tensor, module: nn.Module) -> dict[str, Tensor]:
    """Copies of a module's parameters by name out of a vector of that layout.

    Args:
        vector: starts with the module's parameters, as FlatParameters lays them out.
        module: gives names and shapes.
    """
    found, start = {}, 0
    for name, parameter in module.named_parameters():
        size = parameter.numel()
        found[name] = vector[start : start + size].view(parameter.shape).clone()
        start += -(-size // _ALIGN) * _ALIGN
    return found
