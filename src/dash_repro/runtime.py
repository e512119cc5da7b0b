"""How this process computes: device, precision, threads, determinism."""

from __future__ import annotations

import ctypes
import os
import platform
from typing import Any

import torch

from dash_repro.launch import launch_mode
from runledger.errors import UserError

PRECISIONS = ("fp32", "fp16")
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h


def configure(numerics: str = "fp32") -> torch.device:
    """Make the process's arithmetic repeatable and choose its device.

    Threads: the environment variable RUNLEDGER_THREADS, 1 if unset. (Another count may
    move last bits; so may another processor.) Float32 means float32: no TF32.

    Args:
        numerics: "fp32" or "fp16" (GPU only).

    Returns:
        The GPU where there is one, else the CPU.

    Raises:
        UserError: unknown precision, fp16 without a GPU, or a bad thread count.
    """
    # Read by cuBLAS when it starts; deterministic matmuls need a fixed workspace.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.set_num_threads(_threads())
    torch.use_deterministic_algorithms(True)
    # Filling fresh memory costs time, and no code of ours reads it before writing.
    torch.utils.deterministic.fill_uninitialized_memory = False
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.type == "cpu":
        _keep_freed_memory()
    require_numerics(numerics, device)
    return device


def require_numerics(numerics: str, device: torch.device) -> None:
    """Refuse a precision that the device cannot compute in (UserError)."""
    if numerics not in PRECISIONS:
        raise UserError(
            f"unknown precision {numerics!r}",
            "numerics in params.yaml",
            f"set it to one of {', '.join(PRECISIONS)}",
        )
    if numerics == "fp16" and device.type != "cuda":
        raise UserError(
            "numerics: fp16 needs a GPU, and this process sees none",
            "numerics in params.yaml",
            "set it to fp32, or run where torch.cuda.is_available()",
        )


def describe() -> dict[str, Any]:
    """What the arithmetic ran on, for a record: device, launch, versions, threads."""
    gpu = torch.cuda.get_device_name(0) if torch.cuda.is_available() else None
    return {
        "device": gpu or platform.processor() or platform.machine(),
        "launch": launch_mode("cuda" if gpu else "cpu"),
        "torch": torch.__version__,
        "cuda": torch.version.cuda if gpu else None,
        "threads": torch.get_num_threads(),
    }


def _keep_freed_memory() -> None:
    """Make glibc's malloc keep blocks up to 32 MB that are freed, for the next step.

    It would give those above 128 KB back to the system and have it zero them anew,
    which took up to a seventh of a small network's step. Another C library: no change.
    """
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        libc.mallopt(_M_TRIM_THRESHOLD, 256 * 2**20)
        libc.mallopt(_M_MMAP_THRESHOLD, 32 * 2**20)


def _threads() -> int:
    text = os.environ.get("RUNLEDGER_THREADS", "1")
    if not text.isdecimal() or int(text) < 1:
        raise UserError(
            f"RUNLEDGER_THREADS={text!r} is not a number of threads",
            "environment",
            "unset it, or set it to 1 or more",
        )
    return int(text)
