"""How work is started on a GPU: a setting of the machine, never of the result."""

from __future__ import annotations

import os

from runledger.errors import UserError

VARIABLE = "DASH_LAUNCH"
LAUNCHES = ("eager", "graph", "compile")


def require_launch(name: object, where: str) -> str:
    """Refuse a way of launching that does not exist (UserError)."""
    if name not in LAUNCHES:
        raise UserError(
            f"{name!r} is not a way to launch work on a GPU",
            where,
            f"set it to one of {', '.join(LAUNCHES)}, or leave it out (eager)",
        )
    return str(name)


def launch_mode(device_type: str) -> str:
    """DASH_LAUNCH on a GPU; always "eager" elsewhere, where the others cost more.

    "eager": operation by operation. "graph": a training step, a network forward of the
    sampler, is recorded as a CUDA graph and replayed; the same operations on the same
    random numbers. "compile": that with networks compiled (torch.compile, channels
    last), which moves last bits, as another GPU would; the record says which it was.

    Args:
        device_type: "cuda" or "cpu".
    """
    wanted = require_launch(
        os.environ.get(VARIABLE, "eager"), f"environment {VARIABLE}"
    )
    return wanted if device_type == "cuda" else "eager"


def channels_last(device_type: str, launch: str) -> bool:
    """Whether networks lie channels last in memory, as is fastest there.

    oneDNN's kernels on a CPU need no reordering then, and Inductor's fuse better; eager
    GroupNorm on a GPU has no such kernel and would flip the layout at every block.
    """
    return device_type == "cpu" or launch == "compile"
