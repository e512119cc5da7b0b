"""What this machine can do: the rates that utilisation is measured against."""

from __future__ import annotations

import os
import platform
import re
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from dash_repro.evaluation.profile import device_name

if TYPE_CHECKING:
    from bench.work import Work


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


def measure_machine(machine: dict[str, str], work: Work) -> float:
    """Add the measured rates; returns FLOP/s of the matrix product."""
    preset, device = work.preset, work.device
    half = work.numerics == "fp16"
    peak = matmul_rate(preset.matmul, torch.half if half else torch.float, device)
    machine["matrix product, measured"] = (
        f"{peak / 1e9:.5g} GFLOP/s, {preset.matmul} square, {work.numerics}"
    )
    copied = copy_bandwidth(preset.copy_mb, device)
    machine["copy, measured"] = f"{copied / 1e9:.4g} GB/s"
    return peak


def describe_machine(device: torch.device) -> dict[str, str]:
    """Device, its size, versions, threads, load."""
    found = {
        "device": device_name(device),
        "CPU cores": str(os.cpu_count()),
        "threads": str(torch.get_num_threads()),
        "load at the start": load(),
        "Python": platform.python_version(),
        "torch": torch.__version__,
    }
    if device.type != "cuda":
        return {**found, "CUDA": "not used", "cuDNN": "not used"}
    properties = torch.cuda.get_device_properties(device)
    free, total = torch.cuda.mem_get_info(device)
    return {
        **found,
        "CUDA": str(torch.version.cuda),
        "cuDNN": str(torch.backends.cudnn.version()),
        "driver": driver_version(),
        "multiprocessors": str(properties.multi_processor_count),
        "compute capability": f"{properties.major}.{properties.minor}",
        "memory, free of all": f"{free / 2**30:.1f} of {total / 2**30:.1f} GiB",
    }


def driver_version() -> str:
    """Of NVIDIA's kernel module, as it says; "?" where it says nothing."""
    try:
        text = Path("/proc/driver/nvidia/version").read_text(encoding="utf-8")
    except OSError:
        return "?"
    found = re.search(r"(\d+\.\d+(\.\d+)?)", text)
    return found[0] if found else "?"


def slug(text: str) -> str:
    """A text as a file name: letters, digits and single hyphens."""
    kept = "".join(c.lower() if c.isascii() and c.isalnum() else "-" for c in text)
    return "-".join(part for part in kept.split("-") if part)


def load() -> str:
    """Processes that want to run, mean of 1, 5 and 15 minutes."""
    return ", ".join(f"{value:.1f}" for value in os.getloadavg())


def spread(values: list[float]) -> tuple[float, float, float]:
    """Median, smallest, largest."""
    return statistics.median(values), min(values), max(values)
