"""Calibration of a student's guidance gap against its teacher's (Eq. 9)."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dash_repro.diffusion.guidance import gap_statistics, summarize_gaps
from dash_repro.diffusion.levels import to_model_range
from dash_repro.diffusion.noise import image_noise, step_rng
from dash_repro.diffusion.schedule import Schedule, add_noise
from dash_repro.evaluation.branches import both_branches
from dash_repro.evaluation.errors import EvaluationError
from dash_repro.evaluation.jackknife import GROUPS, group_of, standard_error
from dash_repro.evaluation.progress import Progress
from dash_repro.models.eps import EpsModel

_STREAM = "calibration"


@dataclass(frozen=True)
class Pairs:
    """Which image, timestep and label each measured pair has.

    Attributes:
        indices: int64 (P,), of the image; every image comes once before one comes
            again, and then with other noise and another timestep.
        timesteps: int64 (P,), uniform on [0, T).
        labels: int64 (P,), of the image.
    """

    indices: Tensor
    timesteps: Tensor
    labels: Tensor


def draw_pairs(labels: np.ndarray, pairs: int, timesteps: int, seed: int) -> Pairs:
    """Choose the pairs; a function of its arguments only.

    Args:
        labels: int64 (N,), of the test images.
        pairs: P; more than N uses images again.
        timesteps: T.
        seed: of the order of the images and of the timesteps.

    Raises:
        EvaluationError: no images or no pairs.
    """
    if pairs < 1 or len(labels) < 1:
        raise EvaluationError(
            f"{pairs} pairs of {len(labels)} test images",
            "measure_calibration.pairs in params.yaml",
            "use at least one of each",
        )
    order = torch.randperm(len(labels), generator=step_rng(seed, 0, _STREAM))
    indices = order[torch.arange(pairs) % len(labels)]
    t = torch.randint(timesteps, (pairs,), generator=step_rng(seed, 1, _STREAM))
    return Pairs(indices, t, torch.from_numpy(labels)[indices])


def measure_gaps(
    student: EpsModel,
    teacher: EpsModel,
    images: np.ndarray,
    pairs: Pairs,
    schedule: Schedule,
    null_token: int,
    seed: int,
    batch_size: int,
    device: torch.device,
    progress: Progress | None = None,
) -> dict[str, Tensor]:
    """`gap_statistics` of every pair; both networks see the same x_t.

    Args:
        student, teacher: eps models on the device.
        images: uint8 (N, H, W, C).
        null_token: label of the unconditional branch.
        seed: of the noise, one draw a pair: other batch sizes give the same x_t.
        batch_size: pairs computed together; moves only last bits.
        progress: called with (pairs done, pairs in all).

    Returns:
        (P,) float64 each, on the CPU.
    """
    parts: list[dict[str, Tensor]] = []
    _, height, width, channels = images.shape
    shape = (channels, height, width)
    alpha_bar = schedule.alpha_bar.to(device)
    for rows in torch.arange(len(pairs.indices)).split(batch_size):
        levels = torch.from_numpy(images[pairs.indices[rows].numpy()])
        x0 = to_model_range(levels.permute(0, 3, 1, 2)).to(device)
        noise = image_noise(seed, rows.tolist(), shape, stream=_STREAM).to(device)
        t, y = pairs.timesteps[rows].to(device), pairs.labels[rows].to(device)
        x_t = add_noise(alpha_bar, x0, t, noise)
        with torch.inference_mode():
            own = both_branches(student, x_t, t, y, null_token)
            stats = gap_statistics(*own, *both_branches(teacher, x_t, t, y, null_token))
        parts.append({name: values.cpu() for name, values in stats.items()})
        if progress is not None:
            progress(int(rows[-1]) + 1, len(pairs.indices))
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def summarize_calibration(
    stats: dict[str, Tensor], pairs: Pairs, total: int, bins: int
) -> dict[str, Any]:
    """The content of calibration.json.

    Args:
        stats: of `measure_gaps`.
        pairs: that they are of.
        total: T.
        bins: of equal width; bin k holds t in [T k / bins, T (k + 1) / bins).

    Returns:
        "pairs", the five numbers of `summarize_gaps` (rho is Eq. 9), "err_cos",
        "teacher_gap_norm" = E||Delta_T||, "standard_error" of the six over sets of as
        many test images (jackknife.py), and "bins" with rho(t), cos and gap MSE.
        "err_cos" is the cosine between the two branches' errors, all pairs taken as
        one vector. What is undefined (an empty bin, a teacher without a gap, a branch
        without error, the standard error of too few images) is None.

    Raises:
        EvaluationError: a network gave NaN or infinity, or more bins than timesteps.
    """
    _require_usable(stats, total, bins)
    edges = [total * k / bins for k in range(bins + 1)]
    timesteps = pairs.timesteps
    return {
        "pairs": len(timesteps),
        **_defined(_summary(stats)),
        "standard_error": standard_errors(stats, pairs.indices),
        "teacher_gap_norm": stats["norm_t"].mean().item(),
        "bins": [
            _bin(stats, (timesteps >= low) & (timesteps < high), low, high)
            for low, high in itertools.pairwise(edges)
        ],
    }


def standard_errors(
    stats: dict[str, Tensor], indices: Tensor
) -> dict[str, float | None]:
    """Of the numbers of `summarize_calibration` over sets of as many images.

    All pairs of an image are left out together; images are in the order in which they
    were drawn, so that groups are random.

    Args:
        stats: of `measure_gaps`, (P,) each.
        indices: (P,) of the pairs' images.
    """
    names = ("rho", "cos", "gap_mse", "err_cond", "err_uncond", "err_cos")
    images = indices.unique().numel()
    group = group_of(images)
    if group is None:
        return dict.fromkeys(names)
    # pair p is of the image that came as number p modulo the images there are
    member = group[np.arange(len(indices)) % images]
    without = []
    for number in range(GROUPS):
        left = torch.from_numpy(member != number)
        without.append(_summary({k: column[left] for k, column in stats.items()}))
    found = {name: standard_error([one[name] for one in without]) for name in names}
    return _defined(found)


def _summary(stats: dict[str, Tensor]) -> dict[str, float]:
    """`summarize_gaps`, and the cosine between the branches' errors a and b.

    The gap's error is their difference, so that 2 <a, b> = |a|^2 + |b|^2 - |a - b|^2.
    """
    found = summarize_gaps(stats)
    length = math.sqrt(found["err_cond"] * found["err_uncond"])
    inner = (found["err_cond"] + found["err_uncond"] - found["gap_mse"]) / 2
    return {**found, "err_cos": inner / length if length > 0 else math.nan}


def _require_usable(stats: dict[str, Tensor], total: int, bins: int) -> None:
    if not 1 <= bins <= total:
        raise EvaluationError(
            f"{bins} bins of {total} timesteps",
            "measure_calibration.bins in params.yaml",
            f"use 1 to {total}",
        )
    if not all(bool(torch.isfinite(values).all()) for values in stats.values()):
        raise EvaluationError(
            "the student's or the teacher's eps holds NaN or infinity",
            "checkpoints of measure_calibration",
            "look at their history.csv; the training diverged",
        )


def _bin(
    stats: dict[str, Tensor], inside: Tensor, low: float, high: float
) -> dict[str, Any]:
    values: dict[str, float | None] = {"rho": None, "cos": None, "gap_mse": None}
    if inside.any():
        chosen = {name: column[inside] for name, column in stats.items()}
        found = _defined(summarize_gaps(chosen))
        values = {name: found[name] for name in values}
    return {"t_low": low, "t_high": high, "n": int(inside.sum()), **values}


def _defined(summary: Mapping[str, float]) -> dict[str, float | None]:
    return {
        name: None if math.isnan(value) else value for name, value in summary.items()
    }
