"""How work is started on a GPU: a setting of the machine, never of the result."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sysconfig
from pathlib import Path

from runledger.errors import UserError

VARIABLE = "DASH_LAUNCH"
LAUNCHES = ("eager", "graph", "compile")
DEFAULT = "graph"


def require_launch(name: object, where: str) -> str:
    """Refuse a way of launching that does not exist (UserError)."""
    if name not in LAUNCHES:
        raise UserError(
            f"{name!r} is not a way to launch work on a GPU",
            where,
            f"set it to one of {', '.join(LAUNCHES)}, or leave it out ({DEFAULT})",
        )
    return str(name)


def launch_mode(device_type: str) -> str:
    """DASH_LAUNCH on a GPU, "graph" if unset; always "eager" elsewhere: it costs less.

    "eager": operation by operation. "graph": a training step, a network forward of the
    sampler, is recorded as a CUDA graph and replayed; the same operations on the same
    random numbers. "compile": that with networks compiled (torch.compile, channels
    last), which moves last bits, as another GPU would; the record says which it was.

    Args:
        device_type: "cuda" or "cpu".

    Raises:
        UserError: an unknown launch, or "compile" where nothing can be compiled.
    """
    where = f"environment {VARIABLE}"
    wanted = require_launch(os.environ.get(VARIABLE, DEFAULT), where)
    if device_type != "cuda":
        return "eager"
    missing = compiler_missing() if wanted == "compile" else None
    if missing:
        raise UserError(
            f"launch: compile cannot make kernels: {missing}",
            where,
            "install it, or use launch: graph, which compiles nothing",
        )
    return wanted


def channels_last(device_type: str, launch: str) -> bool:
    """Whether networks lie channels last in memory, as is fastest there.

    oneDNN's kernels on a CPU need no reordering then, and Inductor's fuse better; eager
    GroupNorm on a GPU has no such kernel and would flip the layout at every block.
    """
    return device_type == "cpu" or launch == "compile"


def compiler_missing() -> str | None:
    """Why torch.compile cannot make kernels for a GPU here, in words; None: it can.

    Inductor writes Triton kernels, and Triton builds a small C extension to start them:
    that takes a C compiler and Python's headers.
    """
    if importlib.util.find_spec("triton") is None:
        return "the package triton is not installed"
    compilers = (os.environ.get("CC", ""), "gcc", "clang", "cc")
    if not any(name and shutil.which(name) for name in compilers):
        return "there is no C compiler (gcc, clang, or what CC names)"
    header = Path(sysconfig.get_path("include")) / "Python.h"
    if not header.exists():
        return f"Python's headers are not installed: {header}"
    return None
