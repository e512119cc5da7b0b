"""Frechet distance against closed forms, clean-fid, and itself in another form."""

import warnings

import numpy as np
import pytest

from dash_repro.evaluation.errors import EvaluationError
from dash_repro.evaluation.sample_metrics.frechet import (
    frechet_distance,
    frechet_to_reference,
    gaussian_statistics,
)


def _random_covariance(rng: np.random.Generator, size: int, rank: int) -> np.ndarray:
    root = rng.standard_normal((size, rank))
    return root @ root.T / rank


def test_diagonal_gaussians_have_a_closed_form():
    rng = np.random.default_rng(0)
    mean1, mean2 = rng.standard_normal((2, 7))
    sd1, sd2 = rng.uniform(0.1, 3.0, (2, 7))
    expected = ((mean1 - mean2) ** 2).sum() + ((sd1 - sd2) ** 2).sum()
    found = frechet_distance(mean1, np.diag(sd1**2), mean2, np.diag(sd2**2))
    assert found == pytest.approx(expected, rel=1e-12)


def test_commuting_rotated_gaussians_have_a_closed_form():
    rng = np.random.default_rng(1)
    axes, _ = np.linalg.qr(rng.standard_normal((6, 6)))
    sd1, sd2 = rng.uniform(0.1, 3.0, (2, 6))
    cov1, cov2 = (axes * sd1**2) @ axes.T, (axes * sd2**2) @ axes.T
    found = frechet_distance(np.zeros(6), cov1, np.zeros(6), cov2)
    assert found == pytest.approx(((sd1 - sd2) ** 2).sum(), rel=1e-10)


def test_identical_gaussians_are_at_zero_and_a_shift_adds_its_square():
    rng = np.random.default_rng(2)
    mean, cov = rng.standard_normal(40), _random_covariance(rng, 40, 80)
    assert frechet_distance(mean, cov, mean, cov) == pytest.approx(0, abs=1e-10)
    shift = rng.standard_normal(40)
    found = frechet_distance(mean, cov, mean + shift, cov)
    assert found == pytest.approx((shift**2).sum(), rel=1e-10)


@pytest.mark.parametrize("rank", [64, 20])
def test_agrees_with_clean_fid(rank):
    from cleanfid.fid import frechet_distance as reference

    rng = np.random.default_rng(rank)
    means = rng.standard_normal((2, 32))
    cov1, cov2 = _random_covariance(rng, 32, 64), _random_covariance(rng, 32, rank)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scipy's sqrtm deprecates `disp`
        expected = reference(means[0], cov1, means[1], cov2)
    found = frechet_distance(means[0], cov1, means[1], cov2)
    assert found == pytest.approx(expected, rel=1e-7 if rank < 32 else 1e-11)


def test_is_symmetric_where_neither_covariance_has_full_rank():
    rng = np.random.default_rng(3)
    one = (rng.standard_normal(30), _random_covariance(rng, 30, 5))
    two = (rng.standard_normal(30), _random_covariance(rng, 30, 9))
    there, back = frechet_distance(*one, *two), frechet_distance(*two, *one)
    assert there == pytest.approx(back, rel=1e-6)
    assert there > ((one[0] - two[0]) ** 2).sum()


def test_orthogonal_subspaces_do_not_overlap():
    cov1, cov2 = np.diag([4.0, 1.0, 0.0, 0.0]), np.diag([0.0, 0.0, 9.0, 2.0])
    zero = np.zeros(4)
    assert frechet_distance(zero, cov1, zero, cov2) == pytest.approx(16.0, rel=1e-7)


@pytest.mark.parametrize("count", [2, 10, 48, 49, 200])
def test_few_images_give_the_same_distance_by_the_small_matrix(count):
    rng = np.random.default_rng(count)
    features = rng.standard_normal((count, 48)) * rng.uniform(0.1, 2, 48) + 0.3
    mean, cov = rng.standard_normal(48), _random_covariance(rng, 48, 200)
    expected = frechet_distance(*gaussian_statistics(features), mean, cov)
    assert frechet_to_reference(features, mean, cov) == pytest.approx(
        expected, rel=1e-7
    )


def test_statistics_are_mean_and_unbiased_covariance_in_float64():
    rng = np.random.default_rng(4)
    # A large offset: float32 arithmetic would lose the covariance.
    features = (rng.standard_normal((50, 3)) + 1e4).astype(np.float32)
    mean, cov = gaussian_statistics(features)
    wide = features.astype(np.float64)
    np.testing.assert_allclose(mean, wide.mean(axis=0), rtol=1e-14)
    np.testing.assert_allclose(cov, np.cov(wide, rowvar=False), rtol=1e-9)
    assert cov.dtype == np.float64


def test_nan_features_are_refused_with_their_row():
    features = np.ones((10, 4))
    features[7, 2] = np.nan
    with pytest.raises(EvaluationError, match="row 7"):
        gaussian_statistics(features)
    with pytest.raises(EvaluationError, match="1 of 10 rows"):
        frechet_to_reference(np.tile(features, 4), np.zeros(16), np.eye(16))


def test_another_dimension_and_a_single_image_are_refused():
    with pytest.raises(EvaluationError, match="same extractor"):
        frechet_to_reference(np.ones((9, 4)), np.zeros(5), np.eye(5))
    with pytest.raises(EvaluationError, match="covariance of 1 images"):
        gaussian_statistics(np.ones((1, 4)))
    with pytest.raises(EvaluationError, match="covariance of 1 images"):
        frechet_to_reference(np.ones((1, 4)), np.zeros(4), np.eye(4))
