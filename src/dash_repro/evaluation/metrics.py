"""All image metrics of one sample set, from one pass of features."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from dash_repro.evaluation.errors import EvaluationError
from dash_repro.evaluation.extractors import Extractor
from dash_repro.evaluation.features import extract_features
from dash_repro.evaluation.jackknife import interval
from dash_repro.evaluation.metric import Measured
from dash_repro.evaluation.progress import Progress
from dash_repro.evaluation.reference import Reference
from dash_repro.evaluation.sample_metrics import METRICS
from dash_repro.evaluation.sample_metrics.nearest import closest
from dash_repro.evaluation.sample_metrics.precision_recall import share

ACCURACY = "class_accuracy"


def compute_metrics(
    images: np.ndarray,
    reference: Reference,
    extractor: Extractor,
    settings: Mapping[str, Any],
    device: torch.device,
    progress: Progress | None = None,
    keep: Callable[[np.ndarray, np.ndarray, np.ndarray | None], None] | None = None,
    hits: np.ndarray | None = None,
) -> dict[str, Any]:
    """Every metric of sample_metrics, with names that say whose they are.

    Args:
        images: uint8 (N, H, W, C).
        reference: made with the same extractor.
        settings: section `compute_metrics` of params.yaml.
        progress: called with (images done, images in all).
        keep: called with the features (N, D), class probabilities (N, C) and hits.
        hits: bool (N,), of `recognised`; None: the class accuracy is not measured.

    Returns:
        The content of metrics.json.

    Raises:
        EvaluationError: another extractor's reference, or too few images.
    """
    _require_same(reference, extractor)
    features, classes = extract_features(images, extractor, device, progress=progress)
    if keep is not None:
        keep(features, classes, hits)
    return {
        "extractor": extractor.name,
        "num_samples": len(images),
        "reference": {"split": reference.split, "n": reference.n},
        "metrics": quality(features, classes, reference, extractor, settings, hits),
        "closest": closest(features, reference, settings["closest_pairs"]),
    }


def recognised(
    images: np.ndarray, labels: np.ndarray, classifier: Extractor, device: torch.device
) -> np.ndarray:
    """Whether the classifier sees in each image the class that it should show.

    Args:
        images: uint8 (N, H, W, C).
        labels: (N,), the classes asked for.
        classifier: the extractor of that name, of the same dataset, on `device`.

    Returns:
        bool (N,).
    """
    _, probabilities = extract_features(images, classifier, device)
    return probabilities.argmax(axis=1) == labels


def quality(
    features: np.ndarray,
    classes: np.ndarray,
    reference: Reference,
    extractor: Extractor,
    settings: Mapping[str, Any],
    hits: np.ndarray | None = None,
) -> dict[str, dict[str, Any]]:
    """The metrics of a set of images, each with the name it may be called by.

    Args:
        features: (N, D).
        classes: (N, C), class probabilities.
        reference, extractor, settings, hits: see `compute_metrics`.
    """
    found: dict[str, dict[str, Any]] = {}
    for key, metric in METRICS.items():
        one = metric.measure(features, classes, reference, settings)
        if one is not None:
            found[key] = {"name": extractor.metric_name(metric), **_entry(one)}
    if hits is not None:
        about = {"name": ACCURACY, "extractor": "classifier"}
        found[ACCURACY] = {**about, **_entry(share(hits))}
    return found


def _entry(one: Measured) -> dict[str, Any]:
    entry: dict[str, Any] = {"value": one.value}
    entry |= {} if one.std is None else {"std": one.std}
    if one.standard_error is not None:
        entry["standard_error"] = one.standard_error
        entry["interval"] = interval(one.value, one.standard_error)
    return entry


def _require_same(reference: Reference, extractor: Extractor) -> None:
    if reference.extractor != extractor.identity:
        raise EvaluationError(
            f"the reference was made with extractor {reference.extractor!r}, "
            f"the samples are measured with {extractor.identity!r}",
            "reference.npz",
            "run extract_reference again; statistics of two extractors (or modes) "
            "cannot be compared",
        )
