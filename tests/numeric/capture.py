"""A stand-in for the recording of CUDA graphs, which runs on any device.

While work is recorded it notes every operation with the tensors it works on, and
nothing takes effect: what it wrote is put back. A replay does the noted operations
again on the same memory; the Python code is not run again. So whatever Python computed
from a step's number, such as a rate, stays as it was at the recording.

What CUDA forbids while it records is refused (docs/gpu.md names the sources).
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

aten = torch.ops.aten
Generator = torch.Generator  # the class, also where something stands in for it
# these wait for the device, for the host needs a value or the size of a result
WAITS = {
    aten._local_scalar_dense,
    aten.is_nonzero,
    aten.item,
    aten.equal,
    aten.nonzero,
    aten.masked_select,
    aten._unique2,
    aten.unique_dim,
    aten.unique_consecutive,
    aten.bincount,
}


class CaptureError(RuntimeError):
    """What cudaStreamBeginCapture would not allow."""


def tensors(values: Any) -> list[Tensor]:
    """All tensors in nested arguments."""
    return [value for value in tree_leaves(values) if isinstance(value, Tensor)]


def key(value: Tensor) -> int:
    """What names a tensor's memory."""
    return value.untyped_storage()._cdata


class Rules(TorchDispatchMode):
    """Refuses what may not be recorded.

    Args:
        generators: that are registered with the graph.
        device_type: on which everything must be; None: any.

    Attributes:
        ops: (operation, args, kwargs, result), as they were called.
        draws: how many of them drew random numbers.
    """

    def __init__(
        self, generators: Iterable[torch.Generator], device_type: str | None = None
    ) -> None:
        super().__init__()
        # another object of Python may name the same generator
        self.generators = {generator._cdata for generator in generators}
        self.device_type = device_type
        self.ops: list[tuple] = []
        self.draws = 0

    def __torch_dispatch__(self, func: Any, types: Any, args=(), kwargs=None) -> Any:
        kwargs = kwargs or {}
        self.check(func, args, kwargs)
        self.before(func, args, kwargs)
        result = func(*args, **kwargs)
        self.ops.append((func, args, kwargs, result))
        return result

    def before(self, func: Any, args: Any, kwargs: Any) -> None:
        """Called before each operation."""

    def check(self, func: Any, args: Any, kwargs: Any) -> None:
        """Raise CaptureError if it may not be recorded."""
        packet = func.overloadpacket
        if packet in WAITS:
            raise CaptureError(f"{func} waits for the device")
        given = tensors((args, kwargs))
        if packet is aten.index and any(
            one is not None and one.dtype == torch.bool for one in args[1]
        ):
            raise CaptureError(f"{func} with a mask: the size depends on data")
        if draws(func, args, kwargs):
            self.draws += 1
            generator = next(
                (v for v in (*args, *kwargs.values()) if isinstance(v, Generator)),
                None,
            )
            if generator is None or generator._cdata not in self.generators:
                raise CaptureError(f"{func} draws from a generator not registered")
        if self.device_type is None:
            return
        for value in given:
            # a scalar of the CPU goes to a kernel as an argument, frozen
            if value.device.type != self.device_type and value.dim() > 0:
                raise CaptureError(f"{func} reads memory of the {value.device.type}")
        wanted = kwargs.get("device")
        if wanted is not None and torch.device(wanted).type != self.device_type:
            raise CaptureError(f"{func} moves data to the {wanted}")


class _Noting(Rules):
    """Rules that also put back what was written."""

    def __init__(self, generators: list[torch.Generator]) -> None:
        super().__init__(generators)
        self.inside: dict[int, Any] = {}  # memory that the work allocated
        self.outside: dict[int, StorageWeakRef] = {}  # memory that was there before
        self.saved: list[tuple[Tensor, Tensor]] = []
        self._written: set[int] = set()

    def before(self, func: Any, args: Any, kwargs: Any) -> None:
        for value in tensors((args, kwargs)):
            if key(value) not in self.inside:
                storage = value.untyped_storage()
                self.outside.setdefault(key(value), StorageWeakRef(storage))
        for value in written(func, args, kwargs):
            if key(value) in self.inside or key(value) in self._written:
                continue
            self._written.add(key(value))
            # all of its memory, whatever part this tensor shows
            whole = torch.empty(0, dtype=value.dtype)
            whole.set_(value.untyped_storage())
            self.saved.append((whole, whole.clone()))

    def __torch_dispatch__(self, func: Any, types: Any, args=(), kwargs=None) -> Any:
        result = super().__torch_dispatch__(func, types, args, kwargs)
        known = {key(value) for value in tensors((args, kwargs))}
        for value in tensors(result):
            if key(value) not in known:
                self.inside[key(value)] = value.untyped_storage()
        return result


def draws(func: Any, args: Any, kwargs: Any) -> bool:
    """Whether an operation draws random numbers; attention without dropout does not."""
    if torch.Tag.nondeterministic_seeded not in func.tags:
        return False
    for index, argument in enumerate(func._schema.arguments):
        if argument.name == "dropout_p":
            given = args[index] if index < len(args) else kwargs.get("dropout_p", 0.0)
            return given > 0.0
    return True


def written(func: Any, args: Any, kwargs: Any) -> list[Tensor]:
    """The tensors that an operation changes in place."""
    found = []
    for index, argument in enumerate(func._schema.arguments):
        if argument.alias_info is None or not argument.alias_info.is_write:
            continue
        value = args[index] if index < len(args) else kwargs.get(argument.name)
        found += tensors(value)
    return found


class Capture:
    """Records work as `graphs.record` does; give it as `record`.

    Attributes:
        recorded, replayed: how often.
        last: the rules of the last recording.
    """

    def __init__(self) -> None:
        self.recorded = self.replayed = 0
        self.last: _Noting | None = None

    def __call__(
        self, work: Callable[[], None], generators: Iterable[torch.Generator] = ()
    ) -> Callable[[], None]:
        """Note the operations of `work`; returns what does them again."""
        self.recorded += 1
        registered = list(generators)
        states = [generator.get_state() for generator in registered]
        noting = self.last = _Noting(registered)
        with noting:
            work()
        for place, value in noting.saved:
            place.copy_(value)
        for generator, state in zip(registered, states, strict=True):
            generator.set_state(state)

        def replay() -> None:
            self.replayed += 1
            for one in noting.ops:
                _again(*one)

        return replay

    def lost(self) -> int:
        """How much of the memory that the last recording reads nothing else holds."""
        assert self.last is not None
        self.last.ops.clear()
        self.last.saved.clear()
        gc.collect()
        return sum(ref.expired() for ref in self.last.outside.values())


@torch.no_grad()
def _again(func: Any, args: Any, kwargs: Any, result: Any) -> None:
    """Do an operation anew, its result in the memory of the first time."""
    inputs = {key(value) for value in tensors((args, kwargs))}
    places = [v for v in tensors(result) if key(v) not in inputs]
    if not places and not written(func, args, kwargs):
        return  # a view
    values = [v for v in tensors(func(*args, **kwargs)) if key(v) not in inputs]
    for place, value in zip(places, values, strict=True):
        place.copy_(value)
