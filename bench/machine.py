"""What this machine can do: the rates that utilisation is measured against."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable

import torch

from dash_repro.evaluation.profile import device_name


def wait(device: torch.device) -> None:
    """Until the device has done all it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def best_seconds(work: Callable[[], object], device: torch.device) -> float:
    """The fastest of ten runs, after two that do not count."""
    found = []
    for _ in range(12):
        wait(device)
        start = time.perf_counter()
        work()
        wait(device)
        found.append(time.perf_counter() - start)
    return min(found[2:])


def matmul_rate(size: int, dtype: torch.dtype, device: torch.device) -> float:
    """FLOP/s of a square matrix product."""
    a = torch.randn(size, size, device=device).to(dtype)
    return 2.0 * size**3 / best_seconds(lambda: a @ a, device)


def copy_bandwidth(megabytes: int, device: torch.device) -> float:
    """Bytes/s, read and written, of a copy within the device's memory."""
    source = torch.ones(megabytes * 2**18, device=device)
    target = torch.empty_like(source)
    seconds = best_seconds(lambda: target.copy_(source), device)
    return 2.0 * source.numel() * 4 / seconds


def describe_machine(device: torch.device) -> dict[str, str]:
    """Device, versions, threads, load."""
    return {
        "device": device_name(device),
        "CPU cores": str(os.cpu_count()),
        "threads": str(torch.get_num_threads()),
        "load at the start": load(),
        "Python": platform.python_version(),
        "torch": torch.__version__,
        "CUDA": str(torch.version.cuda) if device.type == "cuda" else "not used",
        "cuDNN": str(torch.backends.cudnn.version())
        if device.type == "cuda"
        else "not used",
    }


def load() -> str:
    """Processes that want to run, mean of 1, 5 and 15 minutes."""
    return ", ".join(f"{value:.1f}" for value in os.getloadavg())


def spread(values: list[float]) -> tuple[float, float, float]:
    """Median, smallest, largest."""
    return statistics.median(values), min(values), max(values)
