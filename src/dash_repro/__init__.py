"""The DASH paper as a pipeline, and its trained networks as a library."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dash_repro.pretrained import Model, load

__all__ = ["Model", "load"]


def __getattr__(name: str) -> Any:
    """Load what is public on first use: importing torch costs seconds."""
    if name in __all__:
        from dash_repro import pretrained

        return getattr(pretrained, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
