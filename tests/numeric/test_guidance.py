"""Eq. 1, Eq. 3 and the calibration statistics against brute force."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from dash_repro.diffusion.guidance import (
    gap_statistics,
    guidance_gap,
    guided_eps,
    summarize_gaps,
    tag_scale,
)


def branches(count: int = 4, seed: int = 0) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return list(torch.randn(count, 3, 3, 2, 2, generator=generator))


def test_guided_eps_identities() -> None:
    cond, uncond = branches(2)
    torch.testing.assert_close(guided_eps(cond, uncond, 0.0), uncond, rtol=0, atol=0)
    torch.testing.assert_close(guided_eps(cond, uncond, 1.0), cond)
    for w in (1.5, 4.0):
        expected = w * cond.double() + (1 - w) * uncond.double()
        made = guided_eps(cond, uncond, w).double()
        torch.testing.assert_close(made, expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(guided_eps(cond, cond, 7.0), cond)
    gap = guidance_gap(cond, uncond)
    torch.testing.assert_close(guided_eps(cond, uncond, 4.0), cond + 3.0 * gap)


def test_tag_endpoints_of_the_paper() -> None:
    low, high = (tag_scale(t, 1000, 1.0, 4.0, 5.0) for t in (999, 0))
    assert round(low, 2) == 1.23 and round(high, 2) == 3.77
    assert tag_scale(500, 1000, 1.0, 4.0, 5.0) == 2.5


def test_tag_formula_at_every_timestep() -> None:
    t = np.arange(1000)
    expected = 1.5 + (3.0 - 1.5) / (1 + np.exp(-7.0 * (0.5 - t / 1000)))
    numbers = [tag_scale(int(i), 1000, 1.5, 3.0, 7.0) for i in t]
    tensor = tag_scale(torch.arange(1000), 1000, 1.5, 3.0, 7.0)
    np.testing.assert_allclose(numbers, expected, rtol=1e-12)
    np.testing.assert_allclose(tensor.numpy(), expected, rtol=1e-12)
    assert (np.diff(numbers) < 0).all(), "guidance must grow towards the clean image"


def test_gap_statistics_against_loops() -> None:
    cond_s, uncond_s, cond_t, uncond_t = branches()
    stats = gap_statistics(cond_s, uncond_s, cond_t, uncond_t)
    for i in range(3):
        sums = dict.fromkeys(("ss", "tt", "st", "dd", "cc", "uu"), 0.0)
        for j in np.ndindex(3, 2, 2):
            cs, us, ct, ut = (
                e[i][j].item() for e in (cond_s, uncond_s, cond_t, uncond_t)
            )
            gap_s, gap_t = cs - us, ct - ut
            for key, value in (
                ("ss", gap_s * gap_s),
                ("tt", gap_t * gap_t),
                ("st", gap_s * gap_t),
                ("dd", (gap_s - gap_t) ** 2),
                ("cc", (cs - ct) ** 2),
                ("uu", (us - ut) ** 2),
            ):
                sums[key] += value
        expected = {
            "norm_s": math.sqrt(sums["ss"]),
            "norm_t": math.sqrt(sums["tt"]),
            "dot": sums["st"],
            "gap_sq_err": sums["dd"] / 12,
            "err_cond": sums["cc"] / 12,
            "err_uncond": sums["uu"] / 12,
        }
        assert expected.keys() == stats.keys()
        for key, value in expected.items():
            assert stats[key][i].item() == pytest.approx(value, rel=1e-9), key


def test_summary_is_ratio_of_means_and_mean_of_cosines() -> None:
    stats = {
        "norm_s": torch.tensor([1.0, 6.0]),
        "norm_t": torch.tensor([2.0, 2.0]),
        "dot": torch.tensor([2.0, -6.0]),
        "gap_sq_err": torch.tensor([1.0, 2.0]),
        "err_cond": torch.tensor([3.0, 5.0]),
        "err_uncond": torch.tensor([0.0, 1.0]),
    }
    assert summarize_gaps(stats) == {
        "rho": 3.5 / 2.0,
        "cos": (1.0 - 0.5) / 2,
        "gap_mse": 1.5,
        "err_cond": 4.0,
        "err_uncond": 0.5,
    }
    # Norms that vary over the teacher's samples tell rho from a mean of ratios.
    stats["norm_t"] = torch.tensor([1.0, 9.0])
    assert summarize_gaps(stats)["rho"] == pytest.approx(7.0 / 10.0)


def test_summary_of_known_students() -> None:
    cond, uncond, shift, _ = branches()
    same = summarize_gaps(gap_statistics(cond, uncond, cond, uncond))
    assert same["rho"] == 1 and same["gap_mse"] == same["err_cond"] == 0
    assert same["cos"] == pytest.approx(1.0)
    collapsed = summarize_gaps(gap_statistics(cond, cond, cond, uncond))
    assert collapsed["rho"] == 0 and collapsed["cos"] == 0
    assert collapsed["err_cond"] == 0 and collapsed["err_uncond"] > 0
    wide = uncond + 2.5 * (cond - uncond)
    stretched = summarize_gaps(gap_statistics(wide, uncond, cond, uncond))
    assert stretched["rho"] == pytest.approx(2.5, rel=1e-6)
    assert stretched["cos"] == pytest.approx(1.0)
    moved = summarize_gaps(gap_statistics(cond + shift, uncond + shift, cond, uncond))
    assert moved["gap_mse"] < 1e-12 < 0.1 < moved["err_cond"]
    assert math.isnan(summarize_gaps(gap_statistics(cond, uncond, cond, cond))["rho"])


def test_statistics_keep_float64_accuracy() -> None:
    """Summing 3072 float32 squares in float32 would lose the sixth digit."""
    generator = torch.Generator().manual_seed(1)
    eps = torch.randn(4, 2, 3, 32, 32, generator=generator)
    stats = gap_statistics(*eps)
    gap = eps[0].numpy().astype(np.float64) - eps[1].numpy().astype(np.float64)
    expected = np.sqrt((gap**2).sum(axis=(1, 2, 3)))
    np.testing.assert_allclose(stats["norm_s"].numpy(), expected, rtol=1e-13)
