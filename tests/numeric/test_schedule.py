"""The cosine schedule against an independent float64 computation."""

import math

import numpy as np
import pytest
import torch

from dash_repro.diffusion.schedule import (
    Schedule,
    ScheduleError,
    add_noise,
    require_same_schedule,
)

PAPER = {
    "timesteps": 1000,
    "schedule": "cosine",
    "cosine_s": 0.008,
    "beta_min": 1e-4,
    "beta_max": 0.9999,
}


def closed_form(u: np.ndarray) -> np.ndarray:
    return np.cos((u + 0.008) / 1.008 * np.pi / 2) ** 2


def test_alpha_bar_against_numpy() -> None:
    level = closed_form(np.arange(1001) / 1000)
    betas = np.clip(1 - level[1:] / level[:-1], 1e-4, 0.9999)
    expected = np.exp(np.cumsum(np.log1p(-betas)))
    alpha_bar = Schedule.from_params(PAPER).alpha_bar
    assert alpha_bar.dtype == torch.float64 and alpha_bar.shape == (1000,)
    np.testing.assert_allclose(alpha_bar.numpy(), expected, rtol=1e-10)
    assert (alpha_bar.diff() < 0).all()


def test_alpha_bar_is_the_cosine_up_to_the_clipped_betas() -> None:
    """alpha_bar_t belongs to the time (t + 1) / T; clipping acts at the ends only."""
    alpha_bar = Schedule.from_params(PAPER).alpha_bar.numpy()
    level = closed_form(np.arange(1, 1001) / 1000)
    inner = slice(20, 999)
    ratio = alpha_bar[inner] / alpha_bar[20]
    np.testing.assert_allclose(ratio, level[inner] / level[20], rtol=1e-9)
    # Clipping from below costs a little signal: sum of (1e-4 - raw beta).
    assert 0.999 < alpha_bar[20] / level[20] < 1.0


def test_betas_are_clipped_at_both_ends() -> None:
    alpha_bar = Schedule.from_params(PAPER).alpha_bar
    assert alpha_bar[0].item() == 1 - 1e-4
    assert alpha_bar[1].item() == pytest.approx((1 - 1e-4) ** 2, rel=1e-14)
    assert (alpha_bar[999] / alpha_bar[998]).item() == pytest.approx(1e-4, rel=1e-9)
    narrow = Schedule.from_params(PAPER | {"beta_min": 0.01, "beta_max": 0.01})
    expected = 0.99 ** torch.arange(1, 1001, dtype=torch.float64)
    torch.testing.assert_close(narrow.alpha_bar, expected, rtol=1e-11, atol=0)


def test_snr_ends() -> None:
    snr = Schedule.from_params(PAPER).snr()
    assert snr.dtype == torch.float64
    assert snr[0].item() == pytest.approx(9999.0, rel=1e-9)
    assert 1e-10 < snr[-1].item() < 1e-9
    assert (snr.diff() < 0).all()


def test_add_noise_against_loops() -> None:
    schedule = Schedule.from_params(PAPER | {"timesteps": 10})
    generator = torch.Generator().manual_seed(0)
    x0, noise = torch.randn(2, 4, 3, 2, 2, generator=generator)
    t = torch.tensor([0, 9, 3, 3])
    made = add_noise(schedule.alpha_bar, x0, t, noise)
    assert made.dtype == torch.float32
    for i in range(4):
        level = schedule.alpha_bar[t[i]].item()
        for j in np.ndindex(3, 2, 2):
            expected = math.sqrt(level) * x0[i][j].item()
            expected += math.sqrt(1 - level) * noise[i][j].item()
            assert made[i][j].item() == pytest.approx(expected, abs=1e-6)


def test_identity_round_trip_and_mismatch() -> None:
    schedule = Schedule.from_params(PAPER)
    assert Schedule.from_params(schedule.to_dict()) == schedule
    assert schedule.to_dict() == PAPER
    require_same_schedule(PAPER, schedule, "model.safetensors")
    other = PAPER | {"cosine_s": 0.01}
    assert Schedule.from_params(other) != schedule
    with pytest.raises(ScheduleError, match=r"cosine_s: 0.01 there, 0.008 in params"):
        require_same_schedule(other, schedule, "model.safetensors")
    with pytest.raises(ScheduleError, match="timesteps"):
        lacking = {key: PAPER[key] for key in PAPER if key != "timesteps"}
        require_same_schedule(lacking, schedule, "model.safetensors")


def test_unknown_schedule_is_refused() -> None:
    with pytest.raises(ScheduleError, match="linear"):
        Schedule.from_params(PAPER | {"schedule": "linear"})
