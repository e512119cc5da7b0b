"""DDIM steps against brute-force loops in float64."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from dash_repro.diffusion.ddim import (
    SamplerError,
    constant_guidance,
    ddim_coefficients,
    ddim_sample,
    ddim_step,
    ddim_timesteps,
    tag_guidance,
)
from dash_repro.diffusion.schedule import Schedule

SCHEDULE = Schedule(40, "cosine", 0.008, 1e-4, 0.9999)
CLASSES = 3


def toy_eps(x: Tensor, t: Tensor, y: Tensor) -> Tensor:
    """A nonlinear eps that depends on everything it is given."""
    factor = (0.2 + 0.6 * t.float() / 40)[:, None, None, None]
    return factor * torch.tanh(x) + 0.1 * y.float()[:, None, None, None]


def toy_eps_float(x: float, t: int, y: int) -> float:
    return (0.2 + 0.6 * t / 40) * math.tanh(x) + 0.1 * y


def brute_force(
    noise: np.ndarray,
    label: int,
    times: list[int],
    scales: list[float],
    eta: float,
    clip: bool,
    recompute: bool,
    drawn: list[np.ndarray],
) -> np.ndarray:
    """One image, pixel by pixel, written from the definition."""
    out = np.empty_like(noise)
    for j in np.ndindex(noise.shape):
        x = float(noise[j])
        for k, t in enumerate(times):
            a = SCHEDULE.alpha_bar[t].item()
            last = k == len(times) - 1
            b = 1.0 if last else SCHEDULE.alpha_bar[times[k + 1]].item()
            null = toy_eps_float(x, t, CLASSES)
            eps = null + scales[k] * (toy_eps_float(x, t, label) - null)
            x0 = (x - math.sqrt(1 - a) * eps) / math.sqrt(a)
            if clip:
                x0 = min(1.0, max(-1.0, x0))
            if recompute:
                eps = (x - math.sqrt(a) * x0) / math.sqrt(1 - a)
            variance = eta**2 * (1 - b) / (1 - a) * (1 - a / b)
            x = math.sqrt(b) * x0 + math.sqrt(1 - b - variance) * eps
            x += math.sqrt(variance) * float(drawn[k][j])
        out[j] = x
    return out


def test_timesteps_run_from_the_top_down() -> None:
    assert ddim_timesteps(1000, 50) == list(range(980, -1, -20))
    assert ddim_timesteps(1000, 5) == [800, 600, 400, 200, 0]
    assert ddim_timesteps(10, 10) == list(range(9, -1, -1))
    assert ddim_timesteps(10, 1) == [0]


@pytest.mark.parametrize("steps", [3, 0, 2000, -5])
def test_steps_that_do_not_divide_are_refused(steps: int) -> None:
    with pytest.raises(SamplerError, match=f"{steps} sampling steps do not divide"):
        ddim_timesteps(1000, steps)


@pytest.mark.parametrize(
    ("clip", "recompute"), [(False, False), (True, False), (True, True)]
)
@pytest.mark.parametrize("eta", [0.0, 0.7])
@pytest.mark.parametrize("guidance", ["constant", "tag"])
def test_sampler_against_loops(
    guidance: str, eta: float, clip: bool, recompute: bool
) -> None:
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(3, 2, 2, 2, generator=generator)
    drawn = [torch.randn(3, 2, 2, 2, generator=generator) for _ in range(8)]
    labels = torch.tensor([0, 2, 1])
    times = list(range(35, -1, -5))
    if guidance == "constant":
        scale, scales = constant_guidance(3.0), [3.0] * 8
    else:
        scale = tag_guidance(40, 1.0, 4.0, 5.0)
        scales = [1 + 3 / (1 + math.exp(-5 * (0.5 - t / 40))) for t in times]
    made = ddim_sample(
        *(toy_eps, SCHEDULE, noise, labels, CLASSES, 8, scale, eta, clip),
        step_noise=lambda k: drawn[k],
        use_clipped_model_output=recompute,
    )
    assert made.dtype == torch.float32
    for i in range(3):
        expected = brute_force(
            *(noise[i].double().numpy(), int(labels[i]), times, scales, eta, clip),
            recompute,
            [draw[i].numpy() for draw in drawn],
        )
        np.testing.assert_allclose(made[i].numpy(), expected, rtol=2e-4, atol=2e-4)


def test_clipping_leaves_eps_as_it_was() -> None:
    """With eps recomputed from the clamped x0 the second term would differ."""
    row = ddim_coefficients(SCHEDULE, 8, constant_guidance(1.0), 0.0)[3]
    x, eps = torch.full((1, 1, 1, 1), 3.0), torch.full((1, 1, 1, 1), 0.5)
    a, b = (SCHEDULE.alpha_bar[t].item() for t in (20, 15))
    assert (3.0 - math.sqrt(1 - a) * 0.5) / math.sqrt(a) > 1
    expected = math.sqrt(b) * 1.0 + math.sqrt(1 - b) * 0.5
    assert ddim_step(x, eps, row, True).item() == pytest.approx(expected, rel=1e-6)


def test_eps_follows_the_clipped_x0_if_asked() -> None:
    """The state keeps its place: x_t is again what the two are mixed from."""
    row = ddim_coefficients(SCHEDULE, 8, constant_guidance(1.0), 0.0)[3]
    x, eps = torch.full((1, 1, 1, 1), 3.0), torch.full((1, 1, 1, 1), 0.5)
    a, b = (SCHEDULE.alpha_bar[t].item() for t in (20, 15))
    implied = (3.0 - math.sqrt(a)) / math.sqrt(1 - a)
    expected = math.sqrt(b) + math.sqrt(1 - b) * implied
    found = ddim_step(x, eps, row, True, use_clipped_model_output=True).item()
    assert found == pytest.approx(expected, rel=1e-6)
    unclipped = ddim_step(x, eps, row, False, use_clipped_model_output=True)
    assert unclipped.equal(ddim_step(x, eps, row, False))


def test_last_step_returns_x0() -> None:
    row = ddim_coefficients(SCHEDULE, 8, constant_guidance(1.0), 1.0)[-1]
    assert row[3:].tolist() == [1.0, 0.0, 0.0]
    made = ddim_sample(
        lambda x, t, y: torch.zeros_like(x),
        *(SCHEDULE, torch.full((1, 3, 2, 2), 9.0), torch.tensor([0])),
        *(CLASSES, 8, constant_guidance(4.0)),
    )
    torch.testing.assert_close(made, torch.ones_like(made))


def test_eta_one_has_the_posterior_variance() -> None:
    """sigma^2 = beta (1 - alpha_bar_{t-1}) / (1 - alpha_bar_t) at K = T (DDPM)."""
    rows = ddim_coefficients(SCHEDULE, 40, constant_guidance(1.0), 1.0).double()
    level = SCHEDULE.alpha_bar
    for k, t in enumerate(range(39, 0, -1)):
        beta = 1 - level[t] / level[t - 1]
        expected = beta * (1 - level[t - 1]) / (1 - level[t])
        assert rows[k, 5].item() ** 2 == pytest.approx(expected.item(), rel=1e-5)


def test_coefficients_keep_the_level_of_noise() -> None:
    """The variance brought by eps and fresh noise is 1 - alpha_bar of the next."""
    for eta in (0.0, 0.5, 1.0):
        rows = ddim_coefficients(SCHEDULE, 20, constant_guidance(1.0), eta).double()
        noise_level = rows[:, 4] ** 2 + rows[:, 5] ** 2
        torch.testing.assert_close(
            noise_level + rows[:, 3] ** 2, torch.ones(20).double(), atol=1e-6, rtol=0
        )


def test_one_forward_a_step_with_both_branches() -> None:
    calls = []

    def model(x: Tensor, t: Tensor, y: Tensor) -> Tensor:
        calls.append((x.clone(), t.tolist(), y.tolist()))
        return toy_eps(x, t, y)

    noise = torch.randn(2, 3, 2, 2, generator=torch.Generator().manual_seed(1))
    asked = []

    def scale(t: int) -> float:
        asked.append(t)
        return 2.0

    ddim_sample(model, SCHEDULE, noise, torch.tensor([1, 2]), CLASSES, 4, scale)
    assert [t for _, t, _ in calls] == [[t] * 4 for t in (30, 20, 10, 0)]
    assert asked == [30, 20, 10, 0]
    assert all(y == [1, 2, 3, 3] for _, _, y in calls)
    assert torch.equal(calls[0][0], torch.cat([noise, noise]))


def test_without_guidance_there_is_one_evaluation_a_step() -> None:
    """At w = 1 Eq. 1 is the conditional branch, which then is all that is computed."""
    calls = []

    def model(x: Tensor, t: Tensor, y: Tensor) -> Tensor:
        calls.append(y.tolist())
        return toy_eps(x, t, y)

    noise = torch.randn(2, 3, 2, 2, generator=torch.Generator().manual_seed(1))
    labels = torch.tensor([1, 2])
    arguments = (SCHEDULE, noise, labels, CLASSES, 4)
    found = ddim_sample(model, *arguments, constant_guidance(1.0))
    assert calls == [[1, 2]] * 4
    for image, label, one in zip(noise, labels.tolist(), found, strict=True):
        times = [30, 20, 10, 0]
        drawn = [np.zeros(image.shape)] * 4
        wanted = brute_force(
            *(image.numpy(), label, times, [1.0] * 4, 0.0, True, False, drawn)
        )
        np.testing.assert_allclose(one.numpy(), wanted, atol=1e-6)
    nearly = ddim_sample(model, *arguments, lambda t: 1.0 + (t == 0))
    assert len(calls[-1]) == 4 and not torch.allclose(nearly, found)


def test_eta_without_noise_is_refused() -> None:
    arguments = (toy_eps, SCHEDULE, torch.zeros(1, 3, 2, 2), torch.tensor([0]))
    with pytest.raises(SamplerError, match="noise of each step"):
        ddim_sample(*arguments, CLASSES, 4, constant_guidance(1.0), eta=0.5)


def test_network_gradients_are_not_tracked_and_the_result_is_usable() -> None:
    weight = torch.ones(1, requires_grad=True)
    made = ddim_sample(
        lambda x, t, y: weight * x,
        *(SCHEDULE, torch.ones(1, 3, 2, 2), torch.tensor([0]), CLASSES, 4),
        constant_guidance(1.0),
    )
    assert not made.requires_grad and not made.is_inference()
