"""Inception score: how sure and how varied a classifier's answers are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from dash_repro.evaluation.errors import EvaluationError, require_finite
from dash_repro.evaluation.metric import metric

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
    count = len(probabilities)
    if not 1 <= splits <= count:
        raise EvaluationError(
            f"{count} images cannot be shared among {splits} splits",
            "compute_metrics.is_splits in params.yaml",
            "generate more images or use fewer splits",
        )
    order = np.random.default_rng(seed).permutation(count)
    shuffled = require_finite(probabilities, "probabilities")[order]
    scores = [_score(part) for part in np.array_split(shuffled, splits)]
    return float(np.mean(scores)), float(np.std(scores))


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
) -> tuple[float, float]:
    """The score of a set of images; see metric.Metric."""
    return inception_score(classes, settings["is_splits"], settings["shuffle_seed"])
