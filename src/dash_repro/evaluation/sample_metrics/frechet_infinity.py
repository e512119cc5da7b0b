"""Frechet distance at infinitely many samples, where its bias is gone.

Source: Chong and Forsyth (2020), "Effectively unbiased FID and Inception Score and
where to find them": the bias is linear in 1/N, so a line through the distances of
random subsets of several sizes meets 1/N = 0 at the distance without it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from dash_repro.evaluation.jackknife import GROUPS, group_of, standard_error
from dash_repro.evaluation.metric import Measured, metric
from dash_repro.evaluation.sample_metrics.frechet import frechet_of_subsets

if TYPE_CHECKING:
    from dash_repro.evaluation.reference import Reference

LARGEST = 1000  # matrices whose eigenvalues a standard error may take


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

    The subsets have from infinity_least, or of few images from half of them, to all.
    Standard error: without a group of images, each subset takes in its place the next
    ones of its order, so that all subsets of a size shrink alike. None where images
    and dimensions are both more than LARGEST: 150 decompositions would take longer
    than the samples.
    """
    count = len(features)
    least = max(2, min(settings["infinity_least"], count // 2))
    sizes = np.linspace(least, count, settings["infinity_points"]).astype(int)
    rng = np.random.default_rng(settings["shuffle_seed"])
    orders = [rng.permutation(count) for _ in sizes]
    lines = [[order[:size] for order, size in zip(orders, sizes, strict=True)]]
    group = group_of(count)
    if group is not None and least > GROUPS and min(features.shape) <= LARGEST:
        for number in range(GROUPS):
            left = [order[group[order] != number] for order in orders]
            fewer = sizes * len(left[0]) // count
            lines.append([rows[:n] for rows, n in zip(left, fewer, strict=True)])
    every = [rows for line in lines for rows in line]
    found = frechet_of_subsets(features, every, reference.mu, reference.sigma)
    ends = [
        at_infinity(np.array([len(rows) for rows in line]), distances)
        for line, distances in zip(
            lines, np.array(found).reshape(len(lines), -1), strict=True
        )
    ]
    return Measured(ends[0], standard_error=standard_error(ends[1:] or None))
