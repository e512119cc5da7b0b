"""What a network costs: parameters, operations, time and memory of guided sampling."""

from __future__ import annotations

import platform
import statistics
import time
import weakref
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from dash_repro.evaluation.branches import both_branches
from dash_repro.evaluation.errors import EvaluationError
from dash_repro.models.flops import count_flops
from dash_repro.models.unet import UNet


def profile_model(
    model: UNet, batch_size: int, steps: int, repeats: int, device: torch.device
) -> dict[str, Any]:
    """Costs of one network; times and memory are of this machine, now.

    Args:
        model: in eval mode, on the device.
        batch_size: images sampled together; a guided forward computes twice as many.
        steps: DDIM steps K.
        repeats: timed forwards, after one that is not.

    Returns:
        The content of profile.json: "parameters"; of one image, "forward_flops" and
        "sampling_flops" (2 K forwards); "guided_forward_s", the median of
        a batch; "sampling_latency_s" = K times that; "peak_memory_bytes" and how it
        was taken ("peak_memory_kind": cuda_allocated, or cpu_tensors);
        "batch_size", "steps", "repeats", "device", "threads".

    Raises:
        EvaluationError: settings below 1.
    """
    _require_positive(batch_size, steps, repeats)
    flops = count_flops(model)
    run = _GuidedForward(model, batch_size, device)
    kind, peak = _peak_memory(run, device)
    median = statistics.median(_seconds(run, device) for _ in range(repeats))
    return {
        "parameters": sum(values.numel() for values in model.parameters()),
        "forward_flops": flops,
        "sampling_flops": 2 * steps * flops,
        "guided_forward_s": median,
        "sampling_latency_s": steps * median,
        "peak_memory_bytes": peak,
        "peak_memory_kind": kind,
        "batch_size": batch_size,
        "steps": steps,
        "repeats": repeats,
        "device": device_name(device),
        "threads": torch.get_num_threads(),
    }


def _require_positive(batch_size: int, steps: int, repeats: int) -> None:
    if min(batch_size, steps, repeats) < 1:
        raise EvaluationError(
            f"batch_size {batch_size}, steps {steps}, repeats {repeats}",
            "profile_model in params.yaml",
            "use numbers from 1",
        )


class _GuidedForward:
    """Both branches of a batch of noise, as one sampler step computes them."""

    def __init__(self, model: UNet, batch_size: int, device: torch.device) -> None:
        self.model = model
        shape = (batch_size, *model.config.image_shape)
        self.x = torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(
            device
        )
        self.t = torch.full((batch_size,), 500, dtype=torch.int64, device=device)
        labels = torch.arange(batch_size, device=device)
        self.y = labels % model.config.num_classes

    @torch.inference_mode()
    def __call__(self) -> None:
        both_branches(self.model, self.x, self.t, self.y, self.model.null_token)


def _seconds(run: _GuidedForward, device: torch.device) -> float:
    _wait(device)
    start = time.perf_counter()
    run()
    _wait(device)
    return time.perf_counter() - start


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _peak_memory(run: _GuidedForward, device: torch.device) -> tuple[str, int]:
    """Kind and bytes of the peak during one run, which also warms up.

    Both kinds are the tensors that live at a time, weights among them, so that a
    teacher's and a student's can be compared; other processes' do not count.
    """
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        run()
        _wait(device)
        return "cuda_allocated", torch.cuda.max_memory_allocated(device)
    with LiveTensors([*run.model.parameters(), *run.model.buffers()]) as live:
        run()
    return "cpu_tensors", live.peak


class LiveTensors(TorchDispatchMode):
    """Context that follows the bytes of live tensors on a CPU; exact and repeatable.

    What operators allocate and free within themselves is not seen.

    Args:
        present: tensors that exist before, and count.

    Attributes:
        live, peak: bytes now, and at most.
    """

    def __init__(self, present: Iterable[Tensor] = ()) -> None:
        super().__init__()
        self.live = self.peak = 0
        self._known: set[int] = set()
        for tensor in present:
            self._watch(tensor)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Run the operator and note what it returns."""
        out = func(*args, **(kwargs or {}))
        for value in tree_leaves(out):
            if isinstance(value, Tensor):
                self._watch(value)
        return out

    def _watch(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        key, size = id(storage), storage.nbytes()
        if key in self._known:
            return
        self._known.add(key)
        self.live += size
        self.peak = max(self.peak, self.live)
        weakref.finalize(storage, self._drop, key, size)

    def _drop(self, key: int, size: int) -> None:
        self._known.discard(key)
        self.live -= size


def device_name(device: torch.device) -> str:
    """The GPU's name, or the processor's."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
        lines = text.splitlines()
    except OSError:
        lines = []
    names = [line.split(":", 1)[1].strip() for line in lines if "model name" in line]
    return names[0] if names else platform.processor() or platform.machine()
