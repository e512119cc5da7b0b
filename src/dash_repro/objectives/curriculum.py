"""The teacher's weighting of timesteps as a file of its own (Eqs. 2, 10)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dash_repro.diffusion.schedule import Schedule, require_same_schedule
from dash_repro.models.checkpoint import Checkpoint
from dash_repro.models.tensorfile import (
    REMEDY,
    TensorFileError,
    load_tensors,
    save_tensors,
)
from dash_repro.objectives.weights import base_weight, omega_hat, tirt_omega

FORMAT = "dash_repro.tirt/1"
# of a block of `teachers:`, what a student that does not copy omega_hat needs
_WEIGHTING = ("gamma", "base", "normalizer", "normalizer_gradient")


@dataclass(frozen=True)
class Curriculum:
    """A converged weighting of the timesteps.

    Attributes:
        lambda_: (T,) float64, raw; zero where none was learned.
        omega_hat: (T,) float64 of mean 1 (Eq. 2).
        schedule: the schedule whose timesteps these are.
        weighting: gamma, base, normalizer and normalizer_gradient it was made with.
    """

    lambda_: Tensor
    omega_hat: Tensor
    schedule: Schedule
    weighting: dict[str, Any]


def curriculum_of(checkpoint: Checkpoint, block: Mapping[str, Any]) -> Curriculum:
    """Eq. 2 in float64 of a trained teacher, always normalised over the T timesteps.

    Args:
        checkpoint: the teacher.
        block: its block of `teachers:`.
    """
    schedule = Schedule.from_params(checkpoint.schedule)
    return curriculum_from(checkpoint.tirt_lambda, block, schedule)


def curriculum_from(
    lambda_: Tensor | None, block: Mapping[str, Any], schedule: Schedule
) -> Curriculum:
    """Eq. 2 in float64 of raw weights; None (Min-SNR) counts as lambda = 0."""
    base = base_weight(schedule.snr(), block["gamma"], block["base"])
    raw = torch.zeros_like(base) if lambda_ is None else lambda_.detach().cpu().double()
    weighting = {key: block[key] for key in _WEIGHTING}
    return Curriculum(raw, omega_hat(tirt_omega(base, raw)), schedule, weighting)


def save_curriculum(path: Path | str, curriculum: Curriculum) -> None:
    """Write a curriculum as a safetensors file."""
    tensors = {"lambda": curriculum.lambda_, "omega_hat": curriculum.omega_hat}
    metadata = {
        "format": FORMAT,
        "schedule": json.dumps(curriculum.schedule.to_dict(), sort_keys=True),
        "weighting": json.dumps(curriculum.weighting, sort_keys=True),
    }
    save_tensors(path, tensors, metadata)


def load_curriculum(path: Path | str, schedule: Schedule) -> Curriculum:
    """Read it.

    Raises:
        TensorFileError: the file is missing, damaged or something else.
        ScheduleError: it belongs to another schedule than the one given.
    """
    tensors, metadata = load_tensors(path)
    if metadata.get("format") != FORMAT or set(tensors) != {"lambda", "omega_hat"}:
        raise TensorFileError("not an exported TIRT weighting", str(path), REMEDY)
    require_same_schedule(json.loads(metadata["schedule"]), schedule, path)
    weighting = json.loads(metadata["weighting"])
    return Curriculum(tensors["lambda"], tensors["omega_hat"], schedule, weighting)
