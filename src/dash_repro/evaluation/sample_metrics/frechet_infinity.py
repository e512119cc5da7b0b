"""Frechet distance at infinitely many samples, where its bias is gone.

Source: Chong and Forsyth (2020), "Effectively unbiased FID and Inception Score and
where to find them": the bias is linear in 1/N, so a line through the distances of
random subsets of several sizes meets 1/N = 0 at the distance without it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from dash_repro.evaluation.metric import Measured, metric
from dash_repro.evaluation.sample_metrics.frechet import frechet_of_subsets

if TYPE_CHECKING:
    from dash_repro.evaluation.reference import Reference


def at_infinity(sizes: np.ndarray, distances: np.ndarray) -> float:
    """Where the least-squares line of distances over 1/size meets 1/size = 0.

    Args:
        sizes, distances: (P,); of a single size the mean distance is taken.
    """
    if np.ptp(sizes) == 0:
        return float(distances.mean())
    return float(np.polynomial.polynomial.polyfit(1 / sizes, distances, 1)[0])


@metric("frechet_infinity", label="FID∞", short="fd_inf")
def of_images(
    features: np.ndarray,
    classes: np.ndarray,
    reference: Reference,
    settings: Mapping[str, Any],
) -> Measured:
    """The distance of infinitely many such images to the reference; see metric.Metric.

    The subsets have from infinity_least, or of few images from half of them, to all. No
    standard error: they overlap, so that the scatter about the line tells none.
    """
    count = len(features)
    least = max(2, min(settings["infinity_least"], count // 2))
    sizes = np.linspace(least, count, settings["infinity_points"]).astype(int)
    rng = np.random.default_rng(settings["shuffle_seed"])
    subsets = [rng.permutation(count)[:size] for size in sizes]
    against = reference.mu, reference.sigma
    found = frechet_of_subsets(features, subsets, *against)
    return Measured(at_infinity(sizes, np.array(found)))
