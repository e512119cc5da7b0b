"""KID against loops, and the property that makes it fit for few images."""

import numpy as np
import pytest

from dash_repro.evaluation.errors import EvaluationError
from dash_repro.evaluation.sample_metrics.kid import kid, squared_mmd


def _by_loops(x: np.ndarray, y: np.ndarray) -> float:
    def k(a, b):
        return (sum(p * q for p, q in zip(a, b, strict=True)) / len(a) + 1) ** 3

    m, n = len(x), len(y)
    xx = sum(k(x[i], x[j]) for i in range(m) for j in range(m) if i != j)
    yy = sum(k(y[i], y[j]) for i in range(n) for j in range(n) if i != j)
    xy = sum(k(a, b) for a in x for b in y)
    return xx / (m * (m - 1)) + yy / (n * (n - 1)) - 2 * xy / (m * n)


def test_squared_mmd_equals_the_sums_written_out():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((6, 4)), rng.standard_normal((8, 4)) + 0.5
    assert squared_mmd(x, y) == pytest.approx(_by_loops(x, y), rel=1e-12)


def test_one_subset_of_everything_is_the_squared_mmd():
    rng = np.random.default_rng(1)
    x, y = rng.standard_normal((2, 9, 5)).astype(np.float32)
    mean, spread = kid(x, y, subsets=1, subset_size=9, seed=3)
    assert mean == pytest.approx(_by_loops(x.astype(float), y.astype(float)), rel=1e-9)
    assert spread == 0


def test_mean_and_spread_are_those_of_the_drawn_subsets():
    rng = np.random.default_rng(2)
    x, y = rng.standard_normal((30, 4)), rng.standard_normal((20, 4))
    draws, values = np.random.default_rng(5), []
    for _ in range(7):
        first = x[draws.choice(30, 10, replace=False)]
        second = y[draws.choice(20, 10, replace=False)]
        values.append(_by_loops(first, second))
    mean, spread = kid(x, y, subsets=7, subset_size=10, seed=5)
    assert mean == pytest.approx(np.mean(values), rel=1e-10)
    assert spread == pytest.approx(np.std(values), rel=1e-10)
    assert kid(x, y, 7, 10, seed=6)[0] != mean


def test_the_estimator_is_unbiased_for_one_distribution():
    rng = np.random.default_rng(3)
    values = [squared_mmd(*rng.standard_normal((2, 12, 6))) for _ in range(800)]
    error = np.std(values) / np.sqrt(len(values))
    assert abs(np.mean(values)) < 4 * error
    assert min(values) < 0  # a biased estimator would not go below zero
    shifted = squared_mmd(*rng.normal([[[0.0]], [[0.7]]], size=(2, 300, 6)))
    assert shifted > 100 * error


def test_too_few_images_and_nan_are_refused():
    x = np.ones((5, 3))
    with pytest.raises(EvaluationError, match="subsets of 6 from 9 images and 5"):
        kid(np.ones((9, 3)), x, subsets=2, subset_size=6, seed=0)
    with pytest.raises(EvaluationError, match="subsets of 1 "):
        kid(x, x, subsets=2, subset_size=1, seed=0)
    with pytest.raises(EvaluationError, match="NaN"):
        kid(np.full((5, 3), np.nan), x, subsets=2, subset_size=5, seed=0)
