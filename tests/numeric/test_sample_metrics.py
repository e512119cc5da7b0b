"""Precision, recall, nearest images and FID at infinity, against plain formulae."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from dash_repro.evaluation import distances as blocks
from dash_repro.evaluation.distances import distances, nearest
from dash_repro.evaluation.errors import EvaluationError
from dash_repro.evaluation.jackknife import GROUPS, group_of
from dash_repro.evaluation.reference import Reference
from dash_repro.evaluation.sample_metrics import METRICS, frechet_infinity
from dash_repro.evaluation.sample_metrics.frechet import (
    frechet_distance,
    frechet_of_subsets,
    gaussian_statistics,
)
from dash_repro.evaluation.sample_metrics.frechet_infinity import at_infinity
from dash_repro.evaluation.sample_metrics.nearest import closest

SETTINGS = {
    "infinity_points": 8,
    "infinity_least": 500,
    "precision_k": 3,
    "precision_images": 10_000,
    "shuffle_seed": 0,
}


def reference_of(features: np.ndarray, held_out_distance: float = 1.0) -> Reference:
    mean, cov = gaussian_statistics(features)
    count = len(features)
    about = {"extractor": "toy", "split": "train", "n": count}
    return Reference(
        **about,
        mu=mean,
        sigma=cov,
        features=features,
        held_out_distance=held_out_distance,
    )


def measured(name: str, features: np.ndarray, reference: Reference, **changed):
    return METRICS[name].measure(features, None, reference, {**SETTINGS, **changed})


def normal(seed: int, count: int, dimension: int, shift: float = 0.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rng.standard_normal((count, dimension)) + shift).astype(np.float32)


def test_distances_are_scipys_also_far_from_the_origin(monkeypatch) -> None:
    monkeypatch.setattr(blocks, "BLOCK", 7)  # several blocks, the last one short
    rows, columns = normal(0, 30, 5, 1e4), normal(1, 20, 5, 1e4)
    wanted = cdist(rows.astype(np.float64), columns.astype(np.float64))
    np.testing.assert_allclose(np.concatenate([*distances(rows, columns)]), wanted)
    numbers, far = nearest(rows, columns)
    np.testing.assert_array_equal(numbers, wanted.argmin(axis=1))
    np.testing.assert_allclose(far, wanted.min(axis=1))


def balls(centres: np.ndarray, points: np.ndarray, k: int) -> float:
    """Share of points in a ball about a centre to its k-th nearest other, by loops."""
    radii = [
        sorted(np.linalg.norm(np.delete(centres, i, axis=0) - centre, axis=1))[k - 1]
        for i, centre in enumerate(centres)
    ]
    inside = [
        any(np.linalg.norm(centres - point, axis=1) <= np.array(radii))
        for point in points
    ]
    return sum(inside) / len(points)


@pytest.mark.parametrize("k", [1, 3])
def test_precision_and_recall_are_those_of_loops(k) -> None:
    """As many images of either; the samples are wider than the real ones."""
    made, real = 1.6 * normal(0, 60, 3), normal(1, 60, 3)
    reference = reference_of(real)
    precision = measured("precision", made, reference, precision_k=k)
    recall = measured("recall", made, reference, precision_k=k)
    assert precision.value == pytest.approx(balls(real, made, k))
    assert recall.value == pytest.approx(balls(made, real, k))
    assert 0 < precision.value < recall.value < 1
    group = group_of(60)
    for metric, points, share in (
        (recall, real, lambda kept: balls(kept, real, k)),
        (precision, made, lambda kept: balls(real, kept, k)),
    ):
        without = [share(made[group != g]) for g in range(GROUPS)]
        error = np.sqrt(
            (GROUPS - 1) / GROUPS * np.square(without - np.mean(without)).sum()
        )
        assert metric.standard_error == pytest.approx(error), points.shape


def test_precision_and_recall_see_what_is_missing_and_what_is_wrong() -> None:
    """Two clusters of real images; samples of one, or of both and a third."""
    one, two, wrong = (normal(i, 200, 2, 40.0 * i) for i in range(3))
    reference = reference_of(np.concatenate([one, two]))
    half, third = normal(7, 400, 2), np.concatenate([one[::2], two[::2], wrong])
    assert measured("precision", half, reference).value > 0.9
    assert 0.35 < measured("recall", half, reference).value < 0.5
    assert measured("precision", third, reference).value == pytest.approx(0.5, abs=0.02)
    assert measured("recall", third, reference).value > 0.9


def test_sets_are_cut_to_one_size() -> None:
    made, real = normal(0, 50, 3), normal(1, 400, 3)
    reference = reference_of(real)
    kept = np.sort(np.random.default_rng(0).permutation(50)[:50])
    rng = np.random.default_rng(0)
    rng.permutation(50)
    some = real[np.sort(rng.permutation(400)[:50])]
    assert (kept == np.arange(50)).all()
    found = measured("precision", made, reference)
    assert found == measured("precision", made, reference_of(some))
    few = measured("recall", made, reference, precision_images=3)
    assert 0 <= few.value <= 1, "three images have no third neighbour"


def test_copies_are_at_nought_and_new_images_at_one() -> None:
    train, held_out = normal(0, 500, 4), normal(1, 301, 4)
    base = np.median(cdist(held_out, train).min(axis=1))
    reference = reference_of(train, float(base))
    new, copies = normal(2, 301, 4), train[:300] + 1e-5
    ratio = measured("nearest", new, reference)
    wanted = np.median(cdist(new, train).min(axis=1)) / base
    assert ratio.value == pytest.approx(wanted, rel=1e-5)
    assert abs(ratio.value - 1) < 3 * ratio.standard_error < 0.3
    assert measured("nearest", copies, reference).value < 1e-3
    assert (
        measured("nearest", new, replace(reference, held_out_distance=np.nan)) is None
    )
    with pytest.raises(EvaluationError, match=r"held-out(.|\n)*floor_split"):
        measured("nearest", new, replace(reference, held_out_distance=0.0))


def test_the_closest_pairs_are_those_of_a_sort() -> None:
    made, train = normal(0, 40, 3), normal(1, 30, 3)
    found = closest(made, reference_of(train, 0.5), 6)
    table = cdist(made, train)
    pairs = sorted((table[i].min(), i, int(table[i].argmin())) for i in range(40))[:6]
    assert found["samples"] == [i for _, i, _ in pairs]
    assert found["training"] == [j for _, _, j in pairs]
    np.testing.assert_allclose(found["ratios"], [2 * d for d, _, _ in pairs], rtol=1e-5)
    assert closest(made, reference_of(train, np.nan), 6)["ratios"] is None


@pytest.mark.parametrize("dimension", [4, 60])
def test_subsets_have_the_distance_of_their_own_statistics(dimension) -> None:
    """With more images than dimensions, and with fewer."""
    features = normal(0, 50, dimension, 3.0)
    mean, cov = gaussian_statistics(1.3 * normal(1, 300, dimension))
    rng = np.random.default_rng(0)
    subsets = [rng.permutation(50)[:size] for size in (50, 40, 9, 2)]
    found = frechet_of_subsets(features, subsets, mean, cov)
    for value, rows in zip(found, subsets, strict=True):
        own = gaussian_statistics(features[rows])
        assert value == pytest.approx(frechet_distance(*own, mean, cov), rel=1e-6)


def test_at_infinity_the_bias_of_few_samples_is_gone() -> None:
    """Samples of the reference's own Gaussian: the true distance is nought."""
    assert at_infinity(np.array([10, 20, 40]), 7 + 300 / np.array([10, 20, 40])) == (
        pytest.approx(7)
    )
    dimension, count = 20, 2000
    reference = replace(
        reference_of(normal(0, 50, dimension)),
        mu=np.zeros(dimension),
        sigma=np.eye(dimension),
    )
    biased, free = [], []
    for seed in range(4):
        features = normal(10 + seed, count, dimension)
        biased.append(measured("frechet", features, reference).value)
        free.append(measured("frechet_infinity", features, reference).value)
    assert abs(np.mean(free)) < 0.25 * np.mean(biased)
    shifted = measured("frechet_infinity", normal(9, count, dimension, 0.5), reference)
    assert shifted.value == pytest.approx(dimension * 0.25, rel=0.1)
    assert np.isfinite(
        measured(
            "frechet_infinity", normal(9, 3, 2), reference_of(normal(1, 9, 2))
        ).value
    )


@pytest.mark.parametrize("dimension", [6, pytest.param(300, marks=pytest.mark.slow)])
def test_the_error_at_infinity_is_the_spread_over_sets_of_samples(
    dimension, monkeypatch
) -> None:
    """With more images than dimensions, and with fewer."""
    reference = replace(
        reference_of(normal(0, 50, dimension)),
        mu=np.zeros(dimension),
        sigma=np.eye(dimension),
    )
    found = [
        measured(
            "frechet_infinity",
            1.2 * normal(seed, 200, dimension, 0.5),
            reference,
            infinity_least=50,
        )
        for seed in range(100)
    ]
    errors = [one.standard_error for one in found]
    spread = np.std([one.value for one in found], ddof=1)
    assert np.sqrt(np.mean(np.square(errors))) == pytest.approx(spread, rel=0.3)
    few = measured("frechet_infinity", normal(0, 18, 2), reference_of(normal(1, 9, 2)))
    assert few.standard_error is None, "subsets of nine lose too much"
    monkeypatch.setattr(frechet_infinity, "LARGEST", min(200, dimension) - 1)
    large = measured("frechet_infinity", normal(0, 200, dimension), reference)
    assert large.standard_error is None and np.isfinite(large.value)
