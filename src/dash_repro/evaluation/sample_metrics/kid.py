"""Kernel inception distance: an unbiased two-sample statistic, fit for few images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from dash_repro.evaluation.errors import EvaluationError, require_finite
from dash_repro.evaluation.extractor import KEPT_IMAGES
from dash_repro.evaluation.jackknife import GROUPS, group_of, standard_error
from dash_repro.evaluation.metric import Measured, metric

if TYPE_CHECKING:
    from dash_repro.evaluation.reference import Reference


def kid(
    features: np.ndarray,
    reference: np.ndarray,
    subsets: int,
    subset_size: int,
    seed: int,
) -> tuple[float, float]:
    """Squared MMD with kernel (x . y / D + 1)^3 over subsets (Binkowski et al. 2018).

    Args:
        features, reference: (N, D) and (M, D).
        subsets: pairs of subsets to average over.
        subset_size: images drawn from each side, without replacement.
        seed: of the draws.

    Returns:
        Mean and population standard deviation (ddof 0) over the subsets; the mean may
        be below zero, for the estimator is unbiased.

    Raises:
        EvaluationError: fewer images than a subset, or values that are not finite.
    """
    fewest = min(len(features), len(reference))
    if not 2 <= subset_size <= fewest:
        raise EvaluationError(
            f"KID subsets of {subset_size} from {len(features)} images and "
            f"{len(reference)} reference images",
            "compute_metrics.kid_subset_size in params.yaml",
            f"set it to 2..{fewest}, or use more images",
        )
    ours = require_finite(features, "features")
    theirs = require_finite(reference, "reference features")
    rng = np.random.default_rng(seed)
    values = []
    for _ in range(subsets):
        # only the subsets in float64: all of 50,000 images would be a gigabyte
        x = ours[rng.choice(len(ours), subset_size, replace=False)]
        y = theirs[rng.choice(len(theirs), subset_size, replace=False)]
        values.append(squared_mmd(x.astype(np.float64), y.astype(np.float64)))
    return float(np.mean(values)), float(np.std(values))


def squared_mmd(x: np.ndarray, y: np.ndarray) -> float:
    """Unbiased squared maximum mean discrepancy of x (m, D) and y (n, D)."""
    within = sum(_off_diagonal_mean(kernel(z, z)) for z in (x, y))
    return float(within - 2.0 * kernel(x, y).mean())


def kernel(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """k(x_i, y_j) = (x_i . y_j / D + 1)^3; (m, n)."""
    return (x @ y.T / x.shape[1] + 1.0) ** 3


def _off_diagonal_mean(matrix: np.ndarray) -> float:
    size = len(matrix)
    return (matrix.sum() - np.trace(matrix)) / (size * (size - 1))


def mmd_without_groups(x: np.ndarray, y: np.ndarray) -> np.ndarray | None:
    """`squared_mmd` of x (m, D) without each group of jackknife.group_of and y (n, D).

    From sums of the kernel over rows, a block of x at a time.

    Returns:
        (GROUPS,), or None of fewer images than there are groups.
    """
    group = group_of(len(x))
    if group is None:
        return None
    inside = np.eye(GROUPS)[group].T  # (GROUPS, m)
    pairs, across = np.zeros((GROUPS, GROUPS)), np.zeros(GROUPS)
    for first in range(0, len(x), 1000):
        block = slice(first, first + 1000)
        others = kernel(x[block], x)
        others[:, block] -= np.diag(np.diag(others[:, block]))
        pairs += inside[:, block] @ others @ inside.T
        across += inside[:, block] @ kernel(x[block], y).sum(axis=1)
    left = len(x) - inside.sum(axis=1)
    within = pairs.sum() - 2.0 * pairs.sum(axis=1) + np.diag(pairs)
    crossed = (across.sum() - across) / (left * len(y))
    return within / (left * (left - 1)) - 2.0 * crossed  # y's own part is the same


def kid_standard_error(
    features: np.ndarray, reference: np.ndarray, spread: float, subsets: int
) -> float | None:
    """Of `kid` over sets of as many images, against the same reference.

    The variance of the statistic of all images, to which the choice of subsets adds
    what their spread says. Of many images it is that of the first KEPT_IMAGES,
    divided by as much as all are more: it goes with 1 / N. Of a large reference every
    so manieth is taken, so that KEPT_IMAGES or fewer remain.

    Args:
        features, reference: (N, D) and (M, D).
        spread: of `kid`, over the subsets.
        subsets: their number.

    Returns:
        None of one subset, or of fewer images than there are groups.
    """
    every = -(-len(reference) // KEPT_IMAGES)
    some = features[:KEPT_IMAGES], reference[::every]
    x, y = (part.astype(np.float64) for part in some)
    error = standard_error(mmd_without_groups(x, y)) if subsets > 1 else None
    if error is None:
        return None
    whole = error**2 * len(x) / len(features)
    return float(np.sqrt(whole + spread**2 / (subsets - 1)))


@metric("kid", label="KID", short="kid")
def of_images(
    features: np.ndarray,
    classes: np.ndarray,
    reference: Reference,
    settings: Mapping[str, Any],
) -> Measured:
    """The distance of a set of images to the kept features; see metric.Metric."""
    subsets, theirs = settings["kid_subsets"], reference.features
    size, seed = settings["kid_subset_size"], settings["shuffle_seed"]
    value, std = kid(features, theirs, subsets, size, seed)
    return Measured(value, std, kid_standard_error(features, theirs, std, subsets))
