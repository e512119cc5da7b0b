"""Statistics of real images that samples are measured against, and their floor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dash_repro.arrays import ArrayFileError, load_npz, save_npz
from dash_repro.data.dataset import Dataset
from dash_repro.evaluation.extractors import Extractor
from dash_repro.evaluation.features import extract_features
from dash_repro.evaluation.frechet import frechet_to_reference, gaussian_statistics
from dash_repro.evaluation.kid import kid
from dash_repro.evaluation.progress import Progress

KEPT_FEATURES = 10_000  # images whose features are stored, for KID's subsets


@dataclass(frozen=True)
class Reference:
    """What reference.npz holds.

    Attributes:
        extractor: identity of the extractor that made it.
        split: "train" or "test".
        n: images of the split, all of which are in mean and covariance.
        mu, sigma: float64 (D,) and (D, D).
        features: float32 (min(n, KEPT_FEATURES), D), a random choice for KID.
        floor_split: the other real images that were measured against it.
        floor_n: how many they are.
        floor_frechet, floor_kid, floor_kid_std: real against real.
    """

    extractor: str
    split: str
    n: int
    mu: np.ndarray
    sigma: np.ndarray
    features: np.ndarray
    floor_split: str
    floor_n: int
    floor_frechet: float
    floor_kid: float
    floor_kid_std: float


def build_reference(
    dataset: Dataset,
    extractor: Extractor,
    splits: Mapping[str, str],
    metrics: Mapping[str, Any],
    device: torch.device,
    progress: Progress | None = None,
) -> Reference:
    """Statistics of one split, and the distance of another one to it.

    The floor is what real images score; it shrinks as 1/n.

    Args:
        dataset: of prepare_data.
        extractor: on `device`.
        splits: section `extract_reference` (split, floor_split).
        metrics: section `compute_metrics` (KID settings, shuffle_seed).
        progress: called with (images done, images in all) of each split.

    Raises:
        EvaluationError: too few images for the KID subsets.
    """
    images, others = (dataset.split(splits[k])[0] for k in ("split", "floor_split"))
    features, _ = extract_features(images, extractor, device, progress=progress)
    mu, sigma = gaussian_statistics(features)
    kept = _some(features, metrics["shuffle_seed"])
    floor, _ = extract_features(others, extractor, device, progress=progress)
    floor_kid, floor_kid_std = kid_of(floor, kept, metrics)
    return Reference(
        extractor=extractor.identity,
        split=splits["split"],
        n=len(features),
        mu=mu,
        sigma=sigma,
        features=kept,
        floor_split=splits["floor_split"],
        floor_n=len(floor),
        floor_frechet=frechet_to_reference(floor, mu, sigma),
        floor_kid=floor_kid,
        floor_kid_std=floor_kid_std,
    )


def _some(features: np.ndarray, seed: int) -> np.ndarray:
    """At most KEPT_FEATURES rows, chosen at random, in their order."""
    order = np.random.default_rng(seed).permutation(len(features))
    return features[np.sort(order[:KEPT_FEATURES])]


def kid_of(
    features: np.ndarray, reference: np.ndarray, metrics: Mapping[str, Any]
) -> tuple[float, float]:
    """`kid` with the settings of section `compute_metrics`."""
    return kid(
        features,
        reference,
        metrics["kid_subsets"],
        metrics["kid_subset_size"],
        metrics["shuffle_seed"],
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
