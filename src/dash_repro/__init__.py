"""The DASH paper as a pipeline, and its trained networks as a library.

``load`` and ``Model`` are those of dash_repro.pretrained, imported on first use: torch
takes seconds, and the code of no stage depends on what it does not run.
"""

from __future__ import annotations

import importlib
from typing import Any

__all__ = ["Model", "load"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(importlib.import_module("dash_repro.pretrained"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
