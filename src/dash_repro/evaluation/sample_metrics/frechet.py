"""Frechet distance of two Gaussians fitted to features, in float64."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from dash_repro.evaluation.errors import EvaluationError, require_finite
from dash_repro.evaluation.jackknife import GROUPS, group_of, standard_error
from dash_repro.evaluation.metric import Measured, metric

if TYPE_CHECKING:
    from dash_repro.evaluation.reference import Reference


def gaussian_statistics(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and unbiased covariance of features (N, D), in float64.

    Returns:
        (D,) and (D, D).

    Raises:
        EvaluationError: fewer than two rows, or values that are not finite.
    """
    if len(features) < 2:
        raise EvaluationError(
            f"a covariance of {len(features)} images", "", "use two or more"
        )
    centred = require_finite(features, "features").astype(np.float64)
    mean = centred.mean(axis=0)
    centred -= mean  # in place: in float64 the features are most of the memory
    return mean, centred.T @ centred / (len(centred) - 1)


def frechet_distance(
    mean1: np.ndarray, cov1: np.ndarray, mean2: np.ndarray, cov2: np.ndarray
) -> float:
    """||m1 - m2||^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2)) (Heusel et al. 2017).

    S1 S2 has the eigenvalues of the symmetric S1^(1/2) S2 S1^(1/2), so that two
    symmetric decompositions do, and rank deficiency needs no added diagonal.

    Args:
        mean1, mean2: (D,).
        cov1, cov2: (D, D), symmetric, positive semidefinite.

    Raises:
        EvaluationError: shapes that differ, or values that are not finite.
    """
    _require_alike(mean1, mean2)
    for values in (mean1, cov1, mean2, cov2):
        require_finite(np.asarray(values), "statistics")
    root = _root(cov1)
    cross = np.linalg.eigvalsh(_symmetric(root @ cov2 @ root))
    return _distance(mean1, np.trace(cov1), mean2, np.trace(cov2), cross)


def frechet_to_reference(
    features: np.ndarray, mean: np.ndarray, cov: np.ndarray
) -> float:
    """`frechet_distance` of features (N, D) to reference statistics.

    With fewer images than dimensions the eigenvalues that count are those of the
    N x N matrix X S X^T / (N - 1), X the centred features and S the reference's
    covariance: the same distance, without a D x D decomposition.
    """
    count, dimension = features.shape
    if count > dimension:
        return frechet_distance(*gaussian_statistics(features), mean, cov)
    _require_alike(features[0], mean)
    if count < 2:
        raise EvaluationError(f"a covariance of {count} images", "", "use two or more")
    values = require_finite(features, "features").astype(np.float64)
    require_finite(cov, "reference statistics")
    centre = values.mean(axis=0)
    scaled = (values - centre) / np.sqrt(count - 1)
    cross = np.linalg.eigvalsh(_symmetric(scaled @ cov @ scaled.T))
    return _distance(centre, np.square(scaled).sum(), mean, np.trace(cov), cross)


def frechet_of_subsets(
    features: np.ndarray,
    subsets: Iterable[np.ndarray],
    mean: np.ndarray,
    cov: np.ndarray,
) -> list[float]:
    """`frechet_to_reference` of each of some subsets.

    With as many images as dimensions or fewer from one N x N matrix, with more from
    one D x D scatter matrix, less what is not in a subset.

    Args:
        features: (N, D).
        subsets: row numbers of each.
        mean, cov: of the reference.
    """
    count, dimension = features.shape
    total, found = np.trace(cov), []
    centred = features.astype(np.float64)
    centre = centred.mean(axis=0)
    centred -= centre
    many = count > dimension
    root = _root(cov) if many else None
    whole = centred.T @ centred if many else centred @ cov @ centred.T
    for rows in subsets:
        part, size = centred[rows], len(rows)
        shift = part.mean(axis=0)  # that of all images is at zero
        trace = np.square(part).sum() - size * np.square(shift).sum()
        if many:
            rest = np.delete(centred, rows, axis=0)
            less = len(rest) < size
            scatter = whole - rest.T @ rest if less else part.T @ part
            cross = root @ (scatter - size * np.outer(shift, shift)) @ root
        else:
            cross = whole[np.ix_(rows, rows)]
            cross = cross - cross.mean(axis=0)
            cross -= cross.mean(axis=1, keepdims=True)
        levels = np.linalg.eigvalsh(_symmetric(cross) / (size - 1))
        own = centre + shift, trace / (size - 1)
        found.append(_distance(*own, mean, total, levels))
    return found


def frechet_without_groups(
    features: np.ndarray, mean: np.ndarray, cov: np.ndarray
) -> list[float] | None:
    """`frechet_to_reference` without each group of jackknife.group_of.

    Returns:
        GROUPS distances, or None of fewer images than there are groups.
    """
    group = group_of(len(features))
    if group is None:
        return None
    left = (np.flatnonzero(group != number) for number in range(GROUPS))
    return frechet_of_subsets(features, left, mean, cov)


def _root(cov: np.ndarray) -> np.ndarray:
    """Symmetric square root of a symmetric, positive semidefinite matrix."""
    levels, axes = np.linalg.eigh(cov)
    return (axes * np.sqrt(levels.clip(min=0.0))) @ axes.T


def _distance(
    mean1: np.ndarray,
    trace1: float,
    mean2: np.ndarray,
    trace2: float,
    cross: np.ndarray,
) -> float:
    shift = np.square(mean1 - mean2).sum()
    overlap = np.sqrt(cross.clip(min=0.0)).sum()
    return float(shift + trace1 + trace2 - 2.0 * overlap)


def _symmetric(matrix: np.ndarray) -> np.ndarray:
    return (matrix + matrix.T) / 2.0


def _require_alike(first: np.ndarray, second: np.ndarray) -> None:
    if np.shape(first) != np.shape(second):
        raise EvaluationError(
            f"features of {np.shape(first)} against {np.shape(second)} dimensions",
            "reference statistics",
            "make both with the same extractor",
        )


@metric("frechet", label="FID", short="fd")
def of_images(
    features: np.ndarray,
    classes: np.ndarray,
    reference: Reference,
    settings: Mapping[str, Any],
) -> Measured:
    """The distance of a set of images to the reference; see metric.Metric."""
    against = reference.mu, reference.sigma
    value = frechet_to_reference(features, *against)
    error = standard_error(frechet_without_groups(features, *against))
    return Measured(value, standard_error=error)
