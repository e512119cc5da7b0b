"""Inception score against closed forms and loops."""

import math

import numpy as np
import pytest

from dash_repro.evaluation.errors import EvaluationError
from dash_repro.evaluation.sample_metrics.inception_score import inception_score


def _by_loops(rows) -> float:
    marginal = [sum(column) / len(rows) for column in zip(*rows, strict=True)]
    total = 0.0
    for row in rows:
        total += sum(
            p * math.log(p / q) for p, q in zip(row, marginal, strict=True) if p > 0
        )
    return math.exp(total / len(rows))


def _softmax(rng: np.random.Generator, count: int, classes: int) -> np.ndarray:
    logits = np.exp(2 * rng.standard_normal((count, classes)))
    return logits / logits.sum(axis=1, keepdims=True)


def test_sure_and_balanced_answers_score_the_number_of_classes():
    assert inception_score(np.eye(8).repeat(5, axis=0), 1, 0) == (
        pytest.approx(8.0, rel=1e-12),
        0.0,
    )


def test_answers_that_do_not_depend_on_the_image_score_one():
    row = _softmax(np.random.default_rng(0), 1, 12)
    mean, spread = inception_score(row.repeat(40, axis=0), 4, 0)
    assert mean == pytest.approx(1.0, rel=1e-12)
    assert spread == pytest.approx(0.0, abs=1e-12)


def test_equals_the_sums_written_out_split_by_split():
    rows = _softmax(np.random.default_rng(1), 50, 6)
    order = np.random.default_rng(9).permutation(50)
    scores = [_by_loops(rows[order][k : k + 10]) for k in range(0, 50, 10)]
    mean, spread = inception_score(rows, 5, 9)
    assert mean == pytest.approx(np.mean(scores), rel=1e-12)
    assert spread == pytest.approx(np.std(scores), rel=1e-12)


def test_uneven_splits_use_every_image_once():
    rows = _softmax(np.random.default_rng(2), 7, 5)
    order = np.random.default_rng(0).permutation(7)
    sizes = [(0, 3), (3, 5), (5, 7)]
    scores = [_by_loops(rows[order][low:high]) for low, high in sizes]
    assert inception_score(rows, 3, 0)[0] == pytest.approx(np.mean(scores), rel=1e-12)


def test_samples_ordered_by_class_are_shuffled_before_the_split():
    rows = np.eye(10).repeat(100, axis=0)
    # Without the shuffle each of the ten splits would hold one class: a score of 1.
    assert inception_score(rows, 10, 0)[0] > 9


def test_float32_probabilities_that_underflow_are_no_nan():
    rows = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1e-45]], dtype=np.float32)
    assert math.isfinite(inception_score(rows, 1, 0)[0])


def test_too_few_images_and_nan_are_refused():
    with pytest.raises(EvaluationError, match="9 images cannot be shared among 10"):
        inception_score(np.ones((9, 1)), 10, 0)
    with pytest.raises(EvaluationError, match="NaN"):
        inception_score(np.full((20, 2), np.nan), 2, 0)
