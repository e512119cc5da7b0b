"""Statistics of real images that samples are measured against."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from dash_repro.arrays import ArrayFileError, load_npz, save_npz
from dash_repro.data.dataset import Dataset
from dash_repro.evaluation.extractor import KEPT_IMAGES
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
        features: float32 (min(n, KEPT_IMAGES), D), a random choice for KID.
    """

    extractor: str
    split: str
    n: int
    mu: np.ndarray
    sigma: np.ndarray
    features: np.ndarray


def build_reference(
    dataset: Dataset,
    extractor: Extractor,
    split: str,
    seed: int,
    device: torch.device,
    progress: Progress | None = None,
) -> Reference:
    """Statistics of one split.

    Args:
        dataset: of prepare_data.
        extractor: on `device`.
        split: "train" or "test".
        seed: of the choice of features that are kept.
        progress: called with (images done, images in all).
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
        features=_some(features, seed),
    )


def _some(features: np.ndarray, seed: int) -> np.ndarray:
    """At most KEPT_IMAGES rows, chosen at random, in their order."""
    order = np.random.default_rng(seed).permutation(len(features))
    return features[np.sort(order[:KEPT_IMAGES])]


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
