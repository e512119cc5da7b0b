"""Standard errors over samples: against recomputation and against many new sets."""

import numpy as np
import pytest
import torch
from scipy import stats

from dash_repro.diffusion.guidance import summarize_gaps
from dash_repro.evaluation.calibration import standard_errors
from dash_repro.evaluation.jackknife import (
    GROUPS,
    STUDENT_T,
    group_of,
    interval,
    standard_error,
)
from dash_repro.evaluation.sample_metrics.frechet import (
    frechet_to_reference,
    frechet_without_groups,
    gaussian_statistics,
)
from dash_repro.evaluation.sample_metrics.inception_score import (
    inception_score,
    score_without_groups,
)
from dash_repro.evaluation.sample_metrics.kid import (
    kid,
    kid_standard_error,
    mmd_without_groups,
    squared_mmd,
)

CLASSES = 7


def _features(rng, count, dimension):
    """Skewed, correlated, with a mean that the classes (in turn) move."""
    mixing = np.linalg.qr(np.random.default_rng(9).normal(size=(dimension,) * 2))[0]
    x = rng.gamma(2.0, size=(count, dimension)) * np.linspace(0.2, 2.0, dimension)
    x[:, 0] += np.arange(count) % 5
    return (x @ mixing).astype(np.float32)


def _probabilities(rng, count):
    logits = 2.0 * rng.normal(size=(count, CLASSES))
    found = np.exp(logits)
    return (found / found.sum(axis=1, keepdims=True)).astype(np.float32)


def test_groups_are_neighbours_and_of_equal_size():
    group = group_of(107)
    assert (np.diff(group) >= 0).all()
    assert set(np.bincount(group)) == {10, 11} and len(np.bincount(group)) == GROUPS
    assert group_of(GROUPS - 1) is None and len(group_of(GROUPS)) == GROUPS


def test_of_a_mean_it_is_the_textbooks():
    values = np.random.default_rng(0).normal(size=GROUPS)  # a group is one value
    without = [np.delete(values, k).mean() for k in range(GROUPS)]
    error = stats.sem(values)
    assert standard_error(without) == pytest.approx(error, rel=1e-12)
    wanted = stats.t.interval(0.95, GROUPS - 1, values.mean(), error)
    assert interval(values.mean(), error) == pytest.approx(wanted, rel=1e-9)
    assert pytest.approx(stats.t.isf(0.025, GROUPS - 1), rel=1e-9) == STUDENT_T
    assert standard_error(None) is None


@pytest.mark.parametrize(("count", "dimension"), [(43, 60), (90, 6)])
def test_distances_without_a_group_are_those_of_what_is_left(count, dimension):
    rng = np.random.default_rng(count)
    x, y = _features(rng, count, dimension), _features(rng, 200, dimension) + 0.1
    against, group = gaussian_statistics(y), group_of(count)
    left = [x[group != k] for k in range(GROUPS)]
    found = frechet_without_groups(x, *against)
    wanted = [frechet_to_reference(part, *against) for part in left]
    assert found == pytest.approx(wanted, rel=1e-6)
    found = mmd_without_groups(x.astype(float), y.astype(float))
    wanted = [squared_mmd(part.astype(float), y.astype(float)) for part in left]
    assert np.ptp(found - wanted) < 1e-9  # y's own part is left out
    assert frechet_without_groups(x[: GROUPS - 1], *against) is None


def test_scores_without_a_group_are_those_of_what_is_left_of_each_split():
    rng = np.random.default_rng(3)
    probabilities = _probabilities(rng, 61)
    probabilities[5] = np.eye(CLASSES)[2]
    found, group = score_without_groups(probabilities, 3, 8), group_of(61)
    parts = np.array_split(np.random.default_rng(8).permutation(61), 3)
    for k in range(GROUPS):
        kept = [part[group[part] != k] for part in parts]
        scores = [inception_score(probabilities[part], 1, 0)[0] for part in kept]
        assert found[k] == pytest.approx(np.mean(scores), rel=1e-6)


def _frechet(x, y):
    against = gaussian_statistics(y)
    return frechet_to_reference(x, *against), standard_error(
        frechet_without_groups(x, *against)
    )


def _kid(x, y):
    value, spread = kid(x, y, 6, 30, int(x[0, 0] * 1e6) % 1000)
    return value, kid_standard_error(x, y, spread, 6)


@pytest.mark.parametrize(
    ("measure", "dimension"), [(_frechet, 8), (_frechet, 90), (_kid, 8)]
)
def test_it_is_the_spread_over_new_sets(measure, dimension):
    rng = np.random.default_rng(dimension)
    y = _features(rng, 300, dimension) * 1.2
    found = [measure(_features(rng, 60, dimension), y) for _ in range(150)]
    _require_covered(*np.transpose(found))


def test_so_it_is_of_the_inception_score():
    rng = np.random.default_rng(4)
    found = []
    for _ in range(200):
        probabilities = _probabilities(rng, 80)
        value, _ = inception_score(probabilities, 2, 0)
        error = standard_error(score_without_groups(probabilities, 2, 0))
        found.append((value, error))
    _require_covered(*np.transpose(found))


def _require_covered(values, errors):
    """The variance is right, if anything too large, and so is the interval."""
    assert 0.8 < (errors**2).mean() / values.var(ddof=1) < 1.6
    ends = (interval(*pair) for pair in zip(values, errors, strict=True))
    inside = [low < values.mean() < high for low, high in ends]
    assert 0.9 < np.mean(inside) <= 1.0


@pytest.mark.parametrize("repeated", [1, 3])
def test_it_is_of_calibration_too_and_an_image_is_left_out_whole(repeated):
    rng = np.random.default_rng(repeated)
    names = ("norm_s", "norm_t", "dot", "gap_sq_err", "err_cond", "err_uncond")
    values, errors = [], []
    for _ in range(200):
        size = rng.gamma(4.0, size=50)  # what all pairs of an image share
        columns = {
            name: torch.from_numpy(
                np.tile(size, repeated) * rng.gamma(9.0, size=150)[: 50 * repeated]
            )
            for name in names
        }
        images = torch.from_numpy(np.tile(rng.permutation(50), repeated))
        values.append([summarize_gaps(columns)[k] for k in ("rho", "gap_mse")])
        found = standard_errors(columns, images)
        errors.append([found[k] for k in ("rho", "gap_mse")])
    for column in range(2):
        _require_covered(np.array(values)[:, column], np.array(errors)[:, column])
    few = {name: column[:9] for name, column in columns.items()}
    assert set(standard_errors(few, images[:9]).values()) == {None}


def test_more_images_than_are_kept_have_the_smaller_error(monkeypatch):
    from dash_repro.evaluation.sample_metrics import kid as module

    rng = np.random.default_rng(0)
    y, squares = 3.0 * _features(rng, 200, 6), {}  # far: no degenerate statistic
    sets = [_features(rng, 1000, 6) for _ in range(30)]
    for kept in (1000, 250):
        monkeypatch.setattr(module, "KEPT_IMAGES", kept)
        errors = [kid_standard_error(x, y, 0.0, 2) for x in sets]
        squares[kept] = np.square(errors).mean()
    assert squares[250] == pytest.approx(squares[1000], rel=0.4)
    x = sets[-1]
    more = kid_standard_error(x, y, 9.0, 10)  # with the mean's error over subsets
    assert more**2 - errors[-1] ** 2 == pytest.approx(9.0, rel=1e-6)
    assert kid_standard_error(x, y, 0.0, 1) is None
