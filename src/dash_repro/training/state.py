"""State for resuming: two generations, so that a kill while writing loses nothing."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from dash_repro.models.tensorfile import TensorFileError, load_tensors, save_tensors

NETWORK = "network.safetensors"  # as of the last state; `dash-repro live` samples it
_PATTERN = "state-*.safetensors"


def save_state(
    folder: Path, step: int, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]
) -> None:
    """Write the state after `step` iterations; keeps it and the one before.

    Args:
        folder: private to this training.
        step: iterations done.
        tensors, metadata: whatever `load_state` shall return.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"state-{step:010d}.safetensors"
    save_tensors(path, tensors, {**metadata, "step": str(step)})
    for old in _generations(folder)[2:]:
        old.unlink(missing_ok=True)
    for leftover in folder.glob("*.partial"):
        leftover.unlink(missing_ok=True)


def load_state(
    folder: Path, log: logging.Logger
) -> tuple[dict[str, Tensor], dict[str, str]] | None:
    """The newest whole state, or None where there is none.

    A damaged generation is reported and passed over.
    """
    for path in _generations(folder):
        try:
            return load_tensors(path)
        except TensorFileError as error:
            log.warning("passing over a damaged state: %s", error)
    return None


def _generations(folder: Path) -> list[Path]:
    """State files, newest first."""
    return sorted(folder.glob(_PATTERN), reverse=True)
