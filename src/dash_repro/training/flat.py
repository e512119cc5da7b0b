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
        channels_last: convolution kernels lie channels last in memory.

    Attributes:
        values: an nn.Parameter (n,), with `.grad` of the same shape.
        ends: number of elements of `values` up to the end of each module.
    """

    def __init__(
        self, modules: Iterable[nn.Module], channels_last: bool = False
    ) -> None:
        spans: list[tuple[nn.Parameter, int]] = []
        self.channels_last = channels_last
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
            view = self._view(values, parameter, start)
            view.copy_(parameter.detach())
            parameter.data = view
            parameter.grad = self._view(grads, parameter, start)
        self._spans = spans
        self.values = nn.Parameter(values)
        self.values.grad = grads

    def canonical(self, vector: Tensor) -> Tensor:
        """A vector laid out like `values` (or its beginning), kernels channels first.

        Files hold this layout, so that any launch can take up any other's state.
        """
        return self._moved(vector, to_canonical=True)

    def from_canonical(self, vector: Tensor) -> Tensor:
        """The inverse of `canonical`."""
        return self._moved(vector, to_canonical=False)

    def _view(self, vector: Tensor, like: nn.Parameter, start: int) -> Tensor:
        part = vector[start : start + like.numel()]
        if not (self.channels_last and like.dim() == 4):
            return part.view_as(like)
        out, channels, height, width = like.shape
        return part.view(out, height, width, channels).permute(0, 3, 1, 2)

    def _moved(self, vector: Tensor, to_canonical: bool) -> Tensor:
        if not self.channels_last:
            return vector
        moved = torch.zeros_like(vector)
        laid, plain = (vector, moved) if to_canonical else (moved, vector)
        for like, start in self._spans:
            if start < len(vector):
                here = self._view(laid, like, start)
                there = plain[start : start + like.numel()].view(like.shape)
                target, source = (there, here) if to_canonical else (here, there)
                target.copy_(source)
        return moved


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
