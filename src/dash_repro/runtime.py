"""How this process computes: device, precision, threads, determinism."""

from __future__ import annotations

import ctypes
import os
import platform
from pathlib import Path
from typing import Any

import torch

from dash_repro.devices import claim_gpu
from dash_repro.launch import launch_mode
from runledger.errors import UserError

PRECISIONS = ("fp32", "fp16")
DEVICE = "DASH_DEVICE"  # auto | cuda | cpu, of the environment
DEVICE_FILES = Path("/dev")
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h


def configure(numerics: str = "fp32") -> torch.device:
    """Make the process's arithmetic repeatable and choose its device.

    Threads: the environment variable RUNLEDGER_THREADS, 1 if unset. (Another count may
    move last bits; so may another processor.) Float32 means float32: no TF32.

    Args:
        numerics: "fp32" or "fp16", which a CPU without instructions for it computes
            several times more slowly than float32.

    Returns:
        The GPU where there is one, else the CPU; DASH_DEVICE=cpu: the CPU.

    Raises:
        UserError: unknown precision or device, a bad thread count, or a GPU that was
            given to this process and cannot be used.
    """
    # Read by cuBLAS when it starts; deterministic matmuls need a fixed workspace.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.set_num_threads(_threads())
    # What use_deterministic_algorithms(True) does, less an import of torch's compiler,
    # 0.8 s of every program; compile_network tells that one.
    torch.set_deterministic_debug_mode("error")
    # Filling fresh memory costs time, and no code of ours reads it before writing.
    torch.utils.deterministic.fill_uninitialized_memory = False
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False
    device = choose_device()
    if device.type == "cpu":
        _keep_freed_memory()
    require_numerics(numerics)
    return device


def choose_device() -> torch.device:
    """The GPU where this process has one, else the CPU; one of its own, of several.

    torch.cuda.is_available() is false without a word where the driver is too old for
    this torch, or CUDA_VISIBLE_DEVICES names a GPU that does not exist. A training
    that was given a GPU would then spend weeks on the CPU.

    Raises:
        UserError: a GPU was given and cannot be used, or DASH_DEVICE is neither auto,
            cuda nor cpu.
    """
    wanted = os.environ.get(DEVICE, "auto")
    if wanted not in ("auto", "cuda", "cpu"):
        raise UserError(
            f"{DEVICE}={wanted!r} is not a kind of device",
            "environment",
            "unset it, or set it to auto, cuda or cpu",
        )
    if wanted == "cpu":
        return torch.device("cpu")
    claim_gpu(_device_files())
    if torch.cuda.is_available():
        return torch.device("cuda")
    given = "DASH_DEVICE=cuda asks for one" if wanted == "cuda" else gpu_given()
    if given:
        raise UserError(
            f"no GPU can be used, and {given}. {_cuda_complaint()}",
            "torch.cuda.is_available()",
            "see that nvidia-smi lists a GPU, that CUDA_VISIBLE_DEVICES names it and "
            f"that its driver is new enough for CUDA {torch.version.cuda}; to compute "
            f"on the CPU all the same, set {DEVICE}=cpu",
        )
    return torch.device("cpu")


def gpu_given() -> str | None:
    """What says that this process was given a GPU, in words; None: nothing does.

    Slurm sets SLURM_JOB_GPUS and CUDA_VISIBLE_DEVICES for a job that asked for a GPU;
    a person sets the latter; the driver's device files are those of an own machine.
    """
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None and visible.strip() in ("", "-1", "NoDevFiles"):
        return None  # hidden on purpose
    for name in ("CUDA_VISIBLE_DEVICES", "SLURM_JOB_GPUS", "SLURM_STEP_GPUS"):
        if value := os.environ.get(name, "").strip():
            return f"{name}={value} gives this process one"
    files = _device_files()
    if files and torch.version.cuda:  # a torch for CPUs was chosen for a reason
        return f"this machine has one ({DEVICE_FILES / files[0]})"
    return None


def _device_files() -> list[str]:
    """Names of the driver's files, one a GPU."""
    return sorted(path.name for path in DEVICE_FILES.glob("nvidia[0-9]*"))


def _cuda_complaint() -> str:
    """What torch says when it is asked for the GPU."""
    try:
        torch.cuda.init()
    except (RuntimeError, AssertionError) as error:
        return f"torch: {str(error).splitlines()[0]}"
    return "torch counts no device"


def require_numerics(numerics: str) -> None:
    """Refuse a precision that is not known (UserError)."""
    if numerics not in PRECISIONS:
        raise UserError(
            f"unknown precision {numerics!r}",
            "numerics in params.yaml",
            f"set it to one of {', '.join(PRECISIONS)}",
        )


def generator_of(device: torch.device) -> str:
    """What a device's random numbers depend on besides their seed, in words.

    A CUDA kernel that fills a large tensor shares it out among the multiprocessors:
    which numbers an element gets depends on how many there are. The CPU's generator is
    the same everywhere.
    """
    if device.type != "cuda":
        return "a CPU"
    properties = torch.cuda.get_device_properties(device)
    return f"{properties.name}, {properties.multi_processor_count} multiprocessors"


def describe() -> dict[str, Any]:
    """What the arithmetic ran on, for a record: device, launch, versions, threads."""
    used = choose_device()
    gpu = torch.cuda.get_device_name(0) if used.type == "cuda" else None
    return {
        "device": gpu or platform.processor() or platform.machine(),
        "launch": launch_mode("cuda" if gpu else "cpu"),
        "torch": torch.__version__,
        "cuda": torch.version.cuda if gpu else None,
        "threads": torch.get_num_threads(),
        **({"generator": generator_of(used)} if gpu else {}),
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
