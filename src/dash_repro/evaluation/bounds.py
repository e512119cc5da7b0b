"""What bounds the metrics from either side: real images, one constant image, noise."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch

from dash_repro.data.dataset import Dataset
from dash_repro.evaluation.extractors import Extractor
from dash_repro.evaluation.features import extract_features
from dash_repro.evaluation.metrics import quality, recognised
from dash_repro.evaluation.progress import Progress
from dash_repro.evaluation.reference import Reference
from dash_repro.evaluation.sample_metrics.nearest import closest

# features (N, D), class probabilities (N, C), whether the class is recognised (N,)
Features = tuple[np.ndarray, ...]


def measure_bounds(
    dataset: Dataset,
    reference: Reference,
    extractor: Extractor,
    params: Mapping[str, Mapping[str, Any]],
    device: torch.device,
    progress: Progress | None = None,
    held_out: tuple[np.ndarray, np.ndarray] | None = None,
    classifier: Extractor | None = None,
) -> dict[str, Any]:
    """The metrics of three sets that are as large as a set of samples.

    "real": images of the split that the reference does not hold, in several random
    subsets if there are more than samples, all of them once if there are fewer;
    "constant": copies of the reference split's mean image; "noise": uniform levels.

    Args:
        dataset: of prepare_data.
        reference: of one of its splits.
        extractor: on `device`; the one the reference was made with.
        params: sections generate_samples (num_samples), extract_reference
            (floor_split, floor_sets) and compute_metrics.
        progress: called with (images done, images in all) of each set.
        held_out: features and class probabilities of the floor split, if known.
        classifier: that tells the class accuracy; None: it is not measured.

    Returns:
        The content of bounds.json: {"extractor", "reference", "bounds": {name: {"n",
        "sets": [metrics of each set, as in metrics.json]}}, "closest": pairs of all
        real images and the reference's, as in metrics.json}.

    Raises:
        EvaluationError: fewer images than the metrics need.
    """
    count = int(params["generate_samples"]["num_samples"])
    floor, metrics = params["extract_reference"], params["compute_metrics"]
    seed = metrics["shuffle_seed"]

    def extracted(images: np.ndarray) -> Features:
        return extract_features(images, extractor, device, progress=progress)

    def judged(images: np.ndarray, labels: np.ndarray) -> Features:
        if classifier is None:
            return ()
        return (recognised(images, labels, classifier, device),)

    real, labels = dataset.split(floor["floor_split"])
    images, _ = dataset.split(reference.split)
    asked = np.arange(count) % dataset.num_classes  # as of samples
    mean, noise = (
        mean_image(images)[None],
        uniform_noise((count, *images.shape[1:]), seed),
    )
    all_real = (*(held_out or extracted(real)), *judged(real, labels))
    copies = _copies(extracted(mean), count)
    found = {
        "real": list(_subsets(all_real, count, floor["floor_sets"], seed)),
        "constant": [(*copies, *judged(np.repeat(mean, count, axis=0), asked))],
        "noise": [(*extracted(noise), *judged(noise, asked))],
    }
    return {
        "extractor": extractor.name,
        "reference": {"split": reference.split, "n": reference.n},
        "bounds": {
            name: {
                "n": len(sets[0][0]),
                "sets": [
                    quality(*one[:2], reference, extractor, metrics, *one[2:])
                    for one in sets
                ],
            }
            for name, sets in found.items()
        },
        "closest": closest(all_real[0], reference, metrics["closest_pairs"]),
    }


def _subsets(found: Features, count: int, sets: int, seed: int) -> Iterator[Features]:
    """Random subsets of `count` rows; all rows once where there are no more."""
    total = len(found[0])
    if total <= count:
        yield found
        return
    rng = np.random.default_rng(seed)
    for _ in range(sets):
        rows = rng.choice(total, count, replace=False)
        yield tuple(one[rows] for one in found)


def _copies(found: Features, count: int) -> Features:
    """The one row `count` times: equal images have equal features."""
    return tuple(np.repeat(one, count, axis=0) for one in found)


def mean_image(images: np.ndarray) -> np.ndarray:
    """Mean of uint8 images (N, H, W, C), rounded: uint8 (H, W, C)."""
    return np.rint(images.mean(axis=0, dtype=np.float64)).astype(np.uint8)


def uniform_noise(shape: tuple[int, ...], seed: int) -> np.ndarray:
    """Independent uniform levels, uint8; a function of shape and seed."""
    rng = np.random.Generator(np.random.Philox(key=seed))
    return rng.integers(0, 256, shape, dtype=np.uint8)
