"""Statistics of real images that samples are measured against."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from dash_repro.arrays import ArrayFileError, load_npz, save_npz
from dash_repro.data.dataset import Dataset
from dash_repro.evaluation.distances import nearest
from dash_repro.evaluation.extractors import Extractor
from dash_repro.evaluation.features import extract_features
from dash_repro.evaluation.progress import Progress
from dash_repro.evaluation.sample_metrics.frechet import gaussian_statistics


@dataclass(frozen=True)
class Reference:
    """What reference.npz holds.

    Attributes:
        extractor: identity of the extractor that made it.
        split: "train" or "test".
        n: images of the split, all of which are in mean and covariance.
        mu, sigma: float64 (D,) and (D, D).
        features: float32 (n, D), in the order of the split.
        held_out_distance: median distance of held-out images to their nearest image of
            the split; NaN where none were measured.
    """

    extractor: str
    split: str
    n: int
    mu: np.ndarray
    sigma: np.ndarray
    features: np.ndarray
    held_out_distance: float = math.nan


def build_reference(
    dataset: Dataset,
    extractor: Extractor,
    split: str,
    device: torch.device,
    progress: Progress | None = None,
    held_out: np.ndarray | None = None,
) -> Reference:
    """Statistics of one split.

    Args:
        dataset: of prepare_data.
        extractor: on `device`.
        split: "train" or "test".
        progress: called with (images done, images in all).
        held_out: (M, D), features of images that are not of the split.
    """
    images, _ = dataset.split(split)
    features, _ = extract_features(images, extractor, device, progress=progress)
    mu, sigma = gaussian_statistics(features)
    return Reference(
        extractor=extractor.identity,
        split=split,
        n=len(features),
        mu=mu,
        sigma=sigma,
        features=features,
        held_out_distance=math.nan
        if held_out is None
        else float(np.median(nearest(held_out, features)[1])),
    )


def save_reference(path: Path | str, reference: Reference) -> None:
    """Write reference.npz."""
    save_npz(path, **asdict(reference))


def load_reference(path: Path | str) -> Reference:
    """Read reference.npz.

    Raises:
        ArrayFileError: missing, cut short, or not a reference.
    """
    names = list(Reference.__dataclass_fields__)
    arrays = load_npz(path, names)
    values = {
        name: arrays[name].item() if arrays[name].ndim == 0 else arrays[name]
        for name in names
    }
    reference = Reference(**values)
    dimension = np.shape(reference.mu)
    if np.shape(reference.sigma) != dimension * 2:
        raise ArrayFileError(
            f"mu {dimension} and sigma {np.shape(reference.sigma)} do not fit",
            str(path),
            "delete the file and run extract_reference again",
        )
    return reference
