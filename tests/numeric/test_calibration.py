"""Gap statistics of analytic networks against float64 written out pair by pair."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from dash_repro.diffusion.levels import to_model_range
from dash_repro.diffusion.noise import image_noise
from dash_repro.diffusion.schedule import Schedule
from dash_repro.evaluation.calibration import (
    draw_pairs,
    measure_gaps,
    summarize_calibration,
)
from dash_repro.evaluation.errors import EvaluationError

SCHEDULE = Schedule(40, "cosine", 0.008, 1e-4, 0.9999)
CLASSES, SEED = 3, 11
CPU = torch.device("cpu")


def _images(count: int = 12) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (count, 4, 4, 3), dtype=np.uint8)
    return images, np.arange(count, dtype=np.int64) % CLASSES


def _teacher(x, t, y):
    """A network whose gap depends on x, t and y; the null label is CLASSES."""
    given = (y < CLASSES).reshape(-1, 1, 1, 1)
    level = (1 + t).reshape(-1, 1, 1, 1) / 10
    return x * level + given * (0.3 * x * x + y.reshape(-1, 1, 1, 1) - 0.5 * level)


def _student(x, t, y):
    given = (y < CLASSES).reshape(-1, 1, 1, 1)
    return 0.9 * x * (1 + t).reshape(-1, 1, 1, 1) / 10 + given * (
        0.1 * x + 0.6 * y.reshape(-1, 1, 1, 1) - 0.2
    )


def _measure(student, teacher, pairs, batch_size=5, images=None):
    return measure_gaps(
        student,
        teacher,
        _images()[0] if images is None else images,
        pairs,
        SCHEDULE,
        CLASSES,
        SEED,
        batch_size,
        CPU,
    )


def _by_hand(pairs):
    """(norm_s, norm_t, cos, gap_mse, err_cond, err_uncond, t) of every pair."""
    images, labels = _images()
    rows = []
    for i, (index, t) in enumerate(
        zip(pairs.indices.tolist(), pairs.timesteps.tolist(), strict=True)
    ):
        x0 = images[index].astype(np.float64).transpose(2, 0, 1) / 127.5 - 1
        noise = image_noise(SEED, [i], (3, 4, 4), stream="calibration")[0].numpy()
        level = SCHEDULE.alpha_bar[t].item()
        x = (math.sqrt(level) * x0 + math.sqrt(1 - level) * noise)[None]
        eps = {
            (name, y): model(x, np.array([t]), np.array([y]))
            for name, model in (("s", _student), ("t", _teacher))
            for y in (labels[index], CLASSES)
        }
        s_y, s_0, t_y, t_0 = (
            eps[name, y] for name in "st" for y in (labels[index], CLASSES)
        )
        gap_s, gap_t = s_y - s_0, t_y - t_0
        norms = np.linalg.norm(gap_s), np.linalg.norm(gap_t)
        rows.append(
            [
                *norms,
                (gap_s * gap_t).sum() / (norms[0] * norms[1]),
                ((gap_s - gap_t) ** 2).mean(),
                ((s_y - t_y) ** 2).mean(),
                ((s_0 - t_0) ** 2).mean(),
                t,
                ((s_y - t_y) * (s_0 - t_0)).mean(),
            ]
        )
    return np.array(rows)


def test_summary_equals_float64_written_out():
    pairs = draw_pairs(_images()[1], 30, 40, SEED)
    stats = _measure(_student, _teacher, pairs)
    found = summarize_calibration(stats, pairs, 40, 4)
    rows = _by_hand(pairs)
    mean = rows.mean(axis=0)
    expected = {
        "rho": mean[0] / mean[1],  # Eq. 9: a ratio of means, not a mean of ratios
        "cos": mean[2],
        "gap_mse": mean[3],
        "err_cond": mean[4],
        "err_uncond": mean[5],
        "teacher_gap_norm": mean[1],
        "err_cos": mean[7] / np.sqrt(mean[4] * mean[5]),
    }
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=1e-5), name
    assert found["pairs"] == 30
    for k, part in enumerate(found["bins"]):
        inside = rows[(rows[:, 6] >= 10 * k) & (rows[:, 6] < 10 * k + 10)]
        assert (part["t_low"], part["t_high"]) == (10 * k, 10 * k + 10)
        assert part["n"] == len(inside) > 0
        means = inside.mean(axis=0)
        assert part["rho"] == pytest.approx(means[0] / means[1], rel=1e-5)
        assert part["cos"] == pytest.approx(means[2], rel=1e-5)
        assert part["gap_mse"] == pytest.approx(means[3], rel=1e-5)


def test_a_perfect_student_a_half_gap_and_a_collapsed_one():
    pairs = draw_pairs(_images()[1], 20, 40, SEED)

    def summary(student):
        stats = _measure(student, _teacher, pairs)
        return summarize_calibration(stats, pairs, 40, 2)

    perfect = summary(_teacher)
    assert perfect["rho"] == 1 and perfect["cos"] == pytest.approx(1)
    assert perfect["gap_mse"] == perfect["err_cond"] == perfect["err_uncond"] == 0

    def half(x, t, y):
        null = _teacher(x, t, torch.full_like(y, CLASSES))
        return null + 0.5 * (_teacher(x, t, y) - null)

    halved = summary(half)
    assert halved["rho"] == pytest.approx(0.5, rel=1e-5)
    assert halved["cos"] == pytest.approx(1.0, rel=1e-5)
    assert halved["err_uncond"] == 0 and halved["err_cond"] > 0

    collapsed = summary(lambda x, t, y: _teacher(x, t, torch.full_like(y, CLASSES)))
    assert collapsed["rho"] == 0
    assert collapsed["gap_mse"] == pytest.approx(4 * halved["gap_mse"], rel=1e-4)


def test_batch_size_moves_only_last_bits():
    pairs = draw_pairs(_images()[1], 23, 40, SEED)
    whole = _measure(_student, _teacher, pairs, batch_size=23)
    for size in (1, 7, 100):
        parts = _measure(_student, _teacher, pairs, batch_size=size)
        for name, values in whole.items():
            torch.testing.assert_close(parts[name], values, rtol=1e-5, atol=1e-7)


def test_more_pairs_than_images_use_each_again_with_other_noise():
    images, labels = _images(8)
    pairs = draw_pairs(labels, 20, 40, SEED)
    assert sorted(pairs.indices[:8].tolist()) == list(range(8))
    counts = torch.bincount(pairs.indices)
    assert set(counts.tolist()) == {2, 3}
    torch.testing.assert_close(pairs.labels, torch.from_numpy(labels)[pairs.indices])
    seen = []

    def spy(x, t, y):
        seen.append(x[: len(x) // 2].clone())
        return _student(x, t, y)

    same_t = replace(pairs, timesteps=torch.full_like(pairs.timesteps, 20))
    _measure(spy, _teacher, same_t, batch_size=20, images=images)
    assert len({x.numpy().tobytes() for x in seen[0]}) == 20


def test_both_networks_see_the_same_inputs_and_the_null_token():
    pairs = draw_pairs(_images()[1], 6, 40, SEED)
    calls = []

    def spy(x, t, y):
        calls.append((x.clone(), t.clone(), y.clone()))
        return _teacher(x, t, y)

    _measure(spy, spy, pairs, batch_size=6)
    (x1, t1, y1), (x2, t2, y2) = calls
    assert torch.equal(x1, x2) and torch.equal(t1, t2) and torch.equal(y1, y2)
    assert torch.equal(x1[:6], x1[6:])
    assert y1.tolist() == [*pairs.labels.tolist(), *[CLASSES] * 6]


def test_timesteps_are_uniform_and_the_seed_decides():
    labels = np.zeros(10, dtype=np.int64)
    pairs = draw_pairs(labels, 20_000, 50, 0)
    counts = torch.bincount(pairs.timesteps, minlength=50).double()
    assert len(counts) == 50
    # chi-square with 49 degrees of freedom: mean 49, standard deviation 9.9
    assert ((counts - 400) ** 2 / 400).sum() < 100
    again, other = draw_pairs(labels, 100, 50, 0), draw_pairs(labels, 100, 50, 1)
    assert torch.equal(again.timesteps, draw_pairs(labels, 100, 50, 0).timesteps)
    assert not torch.equal(again.timesteps, other.timesteps)


def test_images_are_scaled_to_the_models_range():
    images = np.zeros((1, 2, 2, 3), dtype=np.uint8)
    images[0, 0, 1] = [255, 51, 0]
    found = to_model_range(torch.from_numpy(images).permute(0, 3, 1, 2))
    assert found.shape == (1, 3, 2, 2) and found.dtype == torch.float32
    assert found[0, :, 0, 1].tolist() == pytest.approx([1.0, -0.6, -1.0])


def test_what_is_undefined_is_none():
    pairs = draw_pairs(_images()[1], 5, 40, SEED)
    stats = _measure(_student, _teacher, pairs)
    bins = summarize_calibration(stats, pairs, 40, 40)["bins"]
    assert sum(part["n"] for part in bins) == 5
    assert all(part["rho"] is None for part in bins if part["n"] == 0)
    flat = _measure(_student, lambda x, t, y: x, pairs)
    summary = summarize_calibration(flat, pairs, 40, 1)
    assert summary["rho"] is None and summary["teacher_gap_norm"] == 0


def test_bad_settings_and_nan_are_refused():
    pairs = draw_pairs(_images()[1], 4, 40, SEED)
    stats = _measure(lambda x, t, y: x * math.nan, _teacher, pairs)
    with pytest.raises(EvaluationError, match="NaN"):
        summarize_calibration(stats, pairs, 40, 2)
    with pytest.raises(EvaluationError, match="41 bins of 40"):
        summarize_calibration(stats, pairs, 40, 41)
    with pytest.raises(EvaluationError, match="0 pairs"):
        draw_pairs(_images()[1], 0, 40, SEED)
