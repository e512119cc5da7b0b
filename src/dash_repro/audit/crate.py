"""What the RO-Crate of a run says of this project, for people (runledger writes it)."""

from __future__ import annotations

from pathlib import Path

from dash_repro.paper.scale import mark
from runledger import load_pipeline
from runledger.audit import About, write_crate


def write(root: Path, folder: Path) -> str:
    """Write the crate of a checkout whose planned instances are all valid.

    Raises:
        UserError: an instance is stale, or the folder holds something else.
    """
    scale = load_pipeline(root).params.get("scale", "")
    about = About(
        name="A run of the dual-branch score distillation pipeline",
        description=f"{About.description} {mark(scale).page}".rstrip(),
        workflow="Dual-branch score distillation, reproduced",
        license=("MIT", "MIT License"),
    )
    return write_crate(root, folder, about)
