"""DDIM with the analytic eps of a Gaussian mixture: moments, and guidance's effect."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from dash_repro.diffusion.ddim import constant_guidance, ddim_sample
from dash_repro.diffusion.noise import image_noise
from dash_repro.diffusion.sampling import balanced_labels
from dash_repro.diffusion.schedule import Schedule

SCHEDULE = Schedule(1000, "cosine", 0.008, 1e-4, 0.9999)
# One Gaussian a class in two dimensions, as images of two channels and one pixel.
MEANS = torch.tensor([[0.5, 0.1], [-0.4, 0.3], [0.0, -0.6]], dtype=torch.float64)
STDS = torch.tensor([0.10, 0.15, 0.08], dtype=torch.float64)
SHARES = torch.tensor([0.5, 0.2, 0.3], dtype=torch.float64)
CLASSES = 3


def scaled_eps(x: Tensor, sigma: Tensor | float, y: Tensor) -> Tensor:
    """eps of x = x0 + sigma noise (N, 2) in float64: -sigma times the score.

    A class's density is N(mean, std^2 + sigma^2); the null token's is their mixture.
    """
    variance = STDS**2 + sigma**2
    offset = x[:, None, :] - MEANS
    log_density = (
        SHARES.log() - variance.log() - offset.square().sum(-1) / (2 * variance)
    )
    mixed = torch.softmax(log_density, dim=1)
    picked = torch.nn.functional.one_hot(y.clamp(max=CLASSES - 1), CLASSES).double()
    weight = torch.where((y == CLASSES)[:, None], mixed, picked)
    return sigma * (weight[..., None] * offset / variance[..., None]).sum(1)


def model(x: Tensor, t: Tensor, y: Tensor) -> Tensor:
    level = SCHEDULE.alpha_bar[int(t[0])]
    flat = x.flatten(1).double() / level.sqrt()
    eps = scaled_eps(flat, ((1 - level) / level).sqrt(), y)
    return eps.float().reshape(x.shape)


def sample(
    count: int, steps: int, w: float, labels: Tensor, clip: bool = True
) -> np.ndarray:
    noise = image_noise(0, range(count), (2, 1, 1))
    made = ddim_sample(
        *(model, SCHEDULE, noise, labels, CLASSES, steps, constant_guidance(w)),
        clip_x0=clip,
    )
    return made.flatten(1).double().numpy()


@pytest.mark.parametrize("clip", [False, True])
def test_conditional_moments_without_guidance(clip: bool) -> None:
    labels = balanced_labels(range(6000), CLASSES)
    made = sample(6000, 250, 1.0, labels, clip)
    for y in range(CLASSES):
        part = made[labels.numpy() == y]
        error = STDS[y].item() / math.sqrt(2000)
        np.testing.assert_allclose(part.mean(0), MEANS[y], atol=4 * error)
        covariance = np.cov(part.T) / STDS[y].item() ** 2
        np.testing.assert_allclose(covariance, np.eye(2), atol=0.16)


def test_each_sample_follows_the_exact_flow() -> None:
    """For one Gaussian the flow is linear: mean + std (x_T - mean) / deviation."""
    labels = balanced_labels(range(300), CLASSES)
    noise = image_noise(0, range(300), (2,)).double()
    mean, std = MEANS[labels], STDS[labels][:, None]
    errors = []
    for steps in (50, 100, 200):
        level = SCHEDULE.alpha_bar[1000 - 1000 // steps]
        start, variance = noise / level.sqrt(), std**2 + (1 - level) / level
        exact = mean + std * (start - mean) / variance.sqrt()
        made = sample(300, steps, 1.0, labels, clip=False)
        errors.append(np.abs(made - exact.numpy()).max())
    assert errors[0] < 0.1 and errors[2] < 0.03
    assert errors[1] < 0.75 * errors[0] and errors[2] < 0.75 * errors[1]


def test_null_branch_recovers_the_mixture() -> None:
    """w = 0 is the unconditional branch, whatever the labels."""
    count = 8000
    made = sample(count, 250, 0.0, torch.zeros(count, dtype=torch.int64))
    distance = ((made[:, None, :] - MEANS.numpy()) ** 2).sum(-1)
    nearest = distance.argmin(1)
    shares = np.bincount(nearest, minlength=CLASSES) / count
    np.testing.assert_allclose(shares, SHARES, atol=4 * math.sqrt(0.25 / count))
    mean = (SHARES[:, None] * MEANS).sum(0).numpy()
    np.testing.assert_allclose(made.mean(0), mean, atol=0.03)
    centred = MEANS.numpy() - mean
    covariance = (SHARES.numpy()[:, None] * centred).T @ centred
    covariance += np.eye(2) * (SHARES * STDS**2).sum().item()
    np.testing.assert_allclose(np.cov(made.T), covariance, atol=0.012)


def guided_flow(start: Tensor, sigma: float, labels: Tensor, w: float) -> np.ndarray:
    """The probability flow dx/dsigma = guided eps, solved by Runge-Kutta down to 0."""
    null = torch.full_like(labels, CLASSES)

    def slope(s: float, flat: np.ndarray) -> np.ndarray:
        x = torch.from_numpy(flat.reshape(-1, 2))
        uncond = scaled_eps(x, s, null)
        eps = uncond + w * (scaled_eps(x, s, labels) - uncond)
        return eps.numpy().ravel()

    from scipy.integrate import solve_ivp  # half a second to import

    span = (sigma, 1e-6)
    solved = solve_ivp(slope, span, start.numpy().ravel(), rtol=1e-8, atol=1e-9)
    return solved.y[:, -1].reshape(-1, 2)


@pytest.mark.parametrize("w", [0.0, 1.0, 4.0])
def test_guided_samples_follow_the_guided_flow(w: float) -> None:
    labels = balanced_labels(range(60), CLASSES)
    errors = []
    for steps in (50, 250, 1000):
        level = SCHEDULE.alpha_bar[1000 - 1000 // steps].item()
        start = image_noise(0, range(60), (2,)).double() / math.sqrt(level)
        sigma = math.sqrt((1 - level) / level)
        exact = guided_flow(start, sigma, labels, w)
        made = sample(60, steps, w, labels, clip=False)
        # The median: near the border of two modes a step decides between them.
        errors.append(np.median(np.abs(made - exact)))
    assert errors[2] < 0.004 and errors[2] < errors[1] < errors[0] < 0.1, errors


def test_guidance_moves_away_from_the_other_classes_and_narrows() -> None:
    labels = torch.zeros(2000, dtype=torch.int64)
    plain, guided = (sample(2000, 100, w, labels, clip=False) for w in (1.0, 4.0))
    others = (SHARES[1:, None] * MEANS[1:]).sum(0) / SHARES[1:].sum()
    away = (MEANS[0] - others).numpy()
    away /= np.linalg.norm(away)
    assert ((guided - plain).mean(0) @ away) > 0.02
    assert (guided @ away).std() < (plain @ away).std()
    assert np.linalg.det(np.cov(guided.T)) < 0.8 * np.linalg.det(np.cov(plain.T))
