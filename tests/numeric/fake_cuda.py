"""A CUDA device that computes nothing: shapes, types and devices alone are followed.

torch's fake tensors say that they are on a GPU; streams, generators and graphs, which
need a driver, are replaced. What reads a value raises, as it would wait on a GPU.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn
from torch._subclasses import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

CUDA = torch.device("cuda", 0)
_REAL = torch.Generator
CARD = SimpleNamespace(name="Stand-in H100", multi_processor_count=132)


class FakeGenerator(torch.Generator):
    """A generator of the CPU that says it is on the GPU."""

    device = CUDA


def generator(device: torch.device | str = "cpu") -> torch.Generator:
    """torch.Generator."""
    return FakeGenerator() if torch.device(device).type == "cuda" else _REAL()


class FakeStream:
    """Notes who waited for whom.

    Attributes:
        waited: streams whose work comes before this one's.
    """

    current: FakeStream

    def __init__(self, device: object = None) -> None:
        self.waited: list[FakeStream] = []

    def wait_stream(self, other: FakeStream) -> None:
        self.waited.append(other)


FakeStream.current = FakeStream()


@contextmanager
def use_stream(stream: FakeStream) -> Iterator[None]:
    """torch.cuda.stream."""
    outer, FakeStream.current = FakeStream.current, stream
    try:
        yield
    finally:
        FakeStream.current = outer


def moved(module: nn.Module, convert: Callable, recurse: bool = True) -> nn.Module:
    """nn.Module._apply, which cannot swap the memory of fake tensors."""
    for child in module.children():
        moved(child, convert)
    for name, value in module._parameters.items():
        if value is not None:
            new = nn.Parameter(convert(value.detach()), value.requires_grad)
            module._parameters[name] = new
    for name, value in module._buffers.items():
        module._buffers[name] = convert(value)
    return module


class InPlace(TorchDispatchMode):
    """Operations that change their arguments and for which torch has no fake kernel.

    Attributes:
        called: how often each was.
    """

    NAMES = (
        "_amp_foreach_non_finite_check_and_unscale_",
        "_amp_update_scale_",
        "_fused_adam_",
        "_fused_adamw_",
    )

    def __init__(self) -> None:
        super().__init__()
        self.called: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args=(), kwargs=None) -> Any:
        name = func.overloadpacket.__name__
        if name not in self.NAMES:
            return func(*args, **(kwargs or {}))
        self.called[name] += 1
        given = [v for v in tree_leaves((args, kwargs)) if isinstance(v, torch.Tensor)]
        assert {value.device.type for value in given} == {"cuda"}, func
        return args[0] if func._schema.returns else None


@contextmanager
def fake_cuda() -> Iterator[InPlace]:
    """While it lasts there seems to be a GPU, and tensors are fake."""
    with pytest.MonkeyPatch.context() as patch, FakeTensorMode():
        patch.setattr(torch, "Generator", generator)
        patch.setattr(nn.Module, "_apply", moved)
        # autograd asks the driver for a stream: backwards are left to capture.Capture
        patch.setattr(torch.Tensor, "backward", lambda *_: None)
        # a copied tensor stays in the same mode
        same = lambda self, memo: self  # noqa: E731
        patch.setattr(FakeTensorMode, "__deepcopy__", same, raising=False)
        for name, stand_in in {
            "Stream": FakeStream,
            "stream": use_stream,
            "current_stream": lambda *_: FakeStream.current,
            "get_device_properties": lambda *_: CARD,
            "synchronize": lambda *_: None,
        }.items():
            patch.setattr(torch.cuda, name, stand_in)
        common = torch.cuda.amp.common
        patch.setattr(common, "amp_definitely_not_available", lambda: False)
        with InPlace() as operations:
            yield operations
