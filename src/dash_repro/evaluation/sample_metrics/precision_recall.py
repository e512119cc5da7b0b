"""Precision and recall of samples: how real they are, how much of the real they show.

Source: Kynkaanniemi et al. (2019), "Improved precision and recall metric for assessing
generative models". A set of images stands for the union of balls about its features,
each as large as the distance to its k-th nearest other image.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from dash_repro.evaluation.distances import distances
from dash_repro.evaluation.jackknife import GROUPS, group_of, standard_error
from dash_repro.evaluation.metric import Measured, metric

if TYPE_CHECKING:
    from dash_repro.evaluation.reference import Reference


def matrix(rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """All distances of (N, D) and (M, D), float32 (N, M): of 10,000 each, 400 MB."""
    found = np.empty((len(rows), len(columns)), np.float32)
    start = 0
    for block in distances(rows, columns):
        found[start : start + len(block)] = block
        start += len(block)
    return found


def radii(within: np.ndarray, k: int) -> np.ndarray:
    """Distance of each image to its k-th nearest other one, of few to the last: (N,).

    Args:
        within: (N, N), distances of a set to itself; an image is its own nearest.
        k: 1 or more.
    """
    k = min(k, len(within) - 1)
    return np.partition(within, k, axis=1)[:, k]


def precision(between: np.ndarray, real: np.ndarray) -> np.ndarray:
    """Whether each sample lies in a ball of a real image, bool (N,).

    Args:
        between: (N, M), distances of samples to real images.
        real: (M,), radii of the real images.
    """
    return (between <= real).any(axis=1)


def recall(between: np.ndarray, made: np.ndarray) -> float:
    """Share of real images that lie in a ball of a sample.

    Args:
        between: (N, M), distances of samples to real images.
        made: (N,), radii of the samples.
    """
    return float((between <= made[:, None]).any(axis=0).mean())


def _chosen(
    features: np.ndarray, reference: Reference, settings: Mapping[str, Any]
) -> tuple[np.ndarray, np.ndarray]:
    """As many samples as real images, at most precision_images, at random in order."""
    sets = features, reference.features
    count = min(*map(len, sets), settings["precision_images"])
    rng = np.random.default_rng(settings["shuffle_seed"])
    rows = [np.sort(rng.permutation(len(one))[:count]) for one in sets]
    return features[rows[0]], reference.features[rows[1]]


@metric("precision", label="precision", short="precision")
def precision_of_images(
    features: np.ndarray,
    classes: np.ndarray,
    reference: Reference,
    settings: Mapping[str, Any],
) -> Measured:
    """Share of samples among the real images; see metric.Metric."""
    made, real = _chosen(features, reference, settings)
    balls = radii(matrix(real, real), settings["precision_k"])
    hits = precision(matrix(made, real), balls)
    return share(hits)


@metric("recall", label="recall", short="recall")
def recall_of_images(
    features: np.ndarray,
    classes: np.ndarray,
    reference: Reference,
    settings: Mapping[str, Any],
) -> Measured:
    """Share of real images among the samples; see metric.Metric."""
    made, real = _chosen(features, reference, settings)
    between, within = matrix(made, real), matrix(made, made)
    k, group = settings["precision_k"], group_of(len(made))
    without = None
    if group is not None:
        left = [group != g for g in range(GROUPS)]
        without = [
            recall(between[rows], radii(within[np.ix_(rows, rows)], k)) for rows in left
        ]
    value = recall(between, radii(within, k))
    return Measured(value, standard_error=standard_error(without))


def share(hits: np.ndarray) -> Measured:
    """Share of samples of which something is true, bool (N,), and its error."""
    group, without = group_of(len(hits)), None
    if group is not None:
        without = [hits[group != g].mean() for g in range(GROUPS)]
    return Measured(float(hits.mean()), standard_error=standard_error(without))
