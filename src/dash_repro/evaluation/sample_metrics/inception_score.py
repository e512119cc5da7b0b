"""Inception score: how sure and how varied a classifier's answers are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from dash_repro.evaluation.errors import EvaluationError, require_finite
from dash_repro.evaluation.jackknife import GROUPS, group_of, standard_error
from dash_repro.evaluation.metric import Measured, metric

if TYPE_CHECKING:
    from dash_repro.evaluation.reference import Reference


def inception_score(
    probabilities: np.ndarray, splits: int, seed: int
) -> tuple[float, float]:
    """exp E_x KL(p(y|x) || p(y)), mean and spread over splits (Salimans et al. 2016).

    Args:
        probabilities: (N, C), rows that sum to 1.
        splits: number of parts; sizes differ by at most one.
        seed: of the shuffle before the split (samples come ordered by class).

    Returns:
        Mean and population standard deviation (ddof 0) over the splits.

    Raises:
        EvaluationError: fewer images than splits, or values that are not finite.
    """
    parts = _splits(len(probabilities), splits, seed)
    require_finite(probabilities, "probabilities")
    scores = [_score(probabilities[part]) for part in parts]
    return float(np.mean(scores)), float(np.std(scores))


def score_without_groups(
    probabilities: np.ndarray, splits: int, seed: int
) -> np.ndarray | None:
    """`inception_score`'s mean without each group of jackknife.group_of.

    Every split keeps its other images; one without any scores 1, as one image does.
    log IS is the entropy of the mean row less the rows' mean entropy, of both of which
    a group's part is taken away.

    Returns:
        (GROUPS,), or None of fewer images than there are groups.
    """
    group = group_of(len(probabilities))
    if group is None:
        return None
    scores = []
    for part in _splits(len(probabilities), splits, seed):
        values = probabilities[part].astype(np.float64)
        sure = _x_log_x(values).sum(axis=1)
        inside = np.eye(GROUPS)[group[part]].T  # (GROUPS, images)
        left = np.maximum(len(part) - inside.sum(axis=1), 1)
        marginal = (values.sum(axis=0) - inside @ values) / left[:, None]
        marginal = marginal.clip(min=0.0)  # of what is left of a sum, less than zero
        varied = _x_log_x(marginal).sum(axis=1)
        scores.append(np.exp((sure.sum() - inside @ sure) / left - varied))
    return np.mean(scores, axis=0)


def _x_log_x(values: np.ndarray) -> np.ndarray:
    """p log p; 0 log 0 = 0."""
    return values * np.log(values, out=np.zeros_like(values), where=values > 0)


def _splits(count: int, splits: int, seed: int) -> list[np.ndarray]:
    """Indices of the images of each split."""
    if not 1 <= splits <= count:
        raise EvaluationError(
            f"{count} images cannot be shared among {splits} splits",
            "compute_metrics.is_splits in params.yaml",
            "generate more images or use fewer splits",
        )
    return np.array_split(np.random.default_rng(seed).permutation(count), splits)


def _score(probabilities: np.ndarray) -> float:
    values = probabilities.astype(np.float64)
    marginal = values.mean(axis=0)
    # 0 log 0 = 0: a float32 softmax underflows to exact zeros.
    ratio = np.divide(values, marginal, out=np.ones_like(values), where=values > 0)
    return float(np.exp((values * np.log(ratio)).sum(axis=1).mean()))


@metric("inception_score", label="IS", short="is")
def of_images(
    features: np.ndarray,
    classes: np.ndarray,
    reference: Reference,
    settings: Mapping[str, Any],
) -> Measured | None:
    """The score of a set of images; None without classes; see metric.Metric."""
    if classes.shape[1] == 0:
        return None
    how = settings["is_splits"], settings["shuffle_seed"]
    error = standard_error(score_without_groups(classes, *how))
    return Measured(*inception_score(classes, *how), error)
