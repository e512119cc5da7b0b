"""Guided DDIM sampling (Table A2; Song et al. 2021, Eq. 12)."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from dash_repro.diffusion.guidance import guided_eps, tag_scale
from dash_repro.diffusion.schedule import Schedule
from dash_repro.models.eps import EpsModel
from runledger.errors import UserError

# w at a timestep
Guidance = Callable[[int], float]
# noise of sampler step k, shaped like the images; asked for only if eta > 0
StepNoise = Callable[[int], Tensor]


class SamplerError(UserError):
    """Sampler settings that cannot be carried out."""


def constant_guidance(scale: float) -> Guidance:
    """w(t) = scale at every timestep."""
    return lambda t: float(scale)


def tag_guidance(timesteps: int, w_min: float, w_max: float, beta: float) -> Guidance:
    """w(t) of TAG (Eq. 3) as a function of the timestep."""
    return lambda t: float(tag_scale(t, timesteps, w_min, w_max, beta))


def ddim_timesteps(timesteps: int, steps: int) -> list[int]:
    """Timesteps range(0, T, T/K), from the top down.

    Args:
        timesteps: T.
        steps: K.

    Raises:
        SamplerError: K does not divide T, or is not in 1..T.
    """
    if not 1 <= steps <= timesteps or timesteps % steps:
        raise SamplerError(
            f"{steps} sampling steps do not divide the {timesteps} timesteps",
            "sampling steps in section `experiments`, diffusion.timesteps",
            "choose a number of steps that divides the timesteps",
        )
    return list(range(0, timesteps, timesteps // steps))[::-1]


def ddim_coefficients(
    schedule: Schedule, steps: int, guidance: Guidance, eta: float
) -> Tensor:
    """What each step multiplies by, computed in float64.

    With a = alpha_bar_t, b = alpha_bar of the next timestep (1 after the last):
    sigma = eta sqrt((1 - b) / (1 - a)) sqrt(1 - a / b).

    Returns:
        (K, 6) float32, a row a step from the top down: w(t), 1 / sqrt(a),
        sqrt(1 - a) / sqrt(a), sqrt(b), sqrt(1 - b - sigma^2), sigma.
    """
    times = ddim_timesteps(schedule.timesteps, steps)
    levels = [*schedule.alpha_bar[times].tolist(), 1.0]
    rows = []
    for t, a, b in zip(times, levels, levels[1:], strict=False):
        sigma = eta * math.sqrt((1 - b) / (1 - a)) * math.sqrt(1 - a / b)
        direction = math.sqrt(max(1 - b - sigma**2, 0.0))
        to_x0 = (1 / math.sqrt(a), math.sqrt(1 - a) / math.sqrt(a))
        rows.append([guidance(t), *to_x0, math.sqrt(b), direction, sigma])
    return torch.tensor(rows, dtype=torch.float64).float()


def ddim_step(
    x: Tensor,
    eps: Tensor,
    coefficients: Tensor,
    clip_x0: bool,
    noise: Tensor | None = None,
    use_clipped_model_output: bool = False,
) -> Tensor:
    """One DDIM step from x_t to the next timestep, given the guided eps.

    Args:
        x, eps: (B, ...) float32.
        coefficients: (6,), a row of `ddim_coefficients`, on the same device.
        clip_x0: clamp x0 to [-1, 1].
        noise: like x; None for eta = 0.
        use_clipped_model_output: go on with the eps that x_t and the clamped x0 imply
            (Dhariwal & Nichol 2021), not with the one that was given.
    """
    _, x_scale, eps_scale, signal, direction, sigma = coefficients.unbind()
    x0 = x_scale * x - eps_scale * eps
    if clip_x0:
        x0 = x0.clamp(-1.0, 1.0)
    if clip_x0 and use_clipped_model_output:
        eps = (x_scale * x - x0) / eps_scale
    following = signal * x0 + direction * eps
    return following if noise is None else following + sigma * noise


def ddim_sample(
    model: EpsModel,
    schedule: Schedule,
    noise: Tensor,
    labels: Tensor,
    num_classes: int,
    steps: int,
    guidance: Guidance,
    eta: float = 0.0,
    clip_x0: bool = True,
    step_noise: StepNoise | None = None,
    use_clipped_model_output: bool = False,
) -> Tensor:
    """Guided samples; both branches go through the network in one batch of 2B.

    Where w is 1 at every step, the conditional branch is all there is: a batch of B.

    Args:
        model: eps of (2B, ...), the conditional half first; or of (B, ...).
        schedule: the one the model was trained with.
        noise: (B, ...) the state at the top timestep; its device is where it runs.
        labels: (B,) int64 in [0, num_classes).
        num_classes: also the index of the null token.
        steps: K, a divisor of T.
        guidance: w at a timestep (`constant_guidance`, `tag_guidance`).
        eta: 0 is deterministic, 1 DDPM's posterior variance.
        clip_x0: clamp x0 at each step.
        step_noise: noise of step k = 0.., needed if eta > 0.
        use_clipped_model_output: eps follows the clamped x0 (see `ddim_step`).

    Returns:
        (B, ...) float32: x0 of the last step.

    Raises:
        SamplerError: K does not divide T.
    """
    x = noise.float()
    batch, device = x.shape[0], x.device
    times = ddim_timesteps(schedule.timesteps, steps)
    rows = ddim_coefficients(schedule, steps, guidance, eta)
    alone = bool((rows[:, 0] == 1.0).all())
    rows, labels = rows.to(device), labels.to(device)
    if not alone:
        labels = torch.cat([labels, torch.full_like(labels, num_classes)])
    copies = len(labels) // batch
    with torch.inference_mode():
        for k, t in enumerate(times):
            at = torch.full((len(labels),), t, dtype=torch.int64, device=device)
            eps = model(torch.cat([x] * copies), at, labels).float()
            eps = eps if alone else guided_eps(*eps.chunk(2), rows[k, 0])
            fresh = _drawn(step_noise, k).to(device) if eta > 0 else None
            x = ddim_step(x, eps, rows[k], clip_x0, fresh, use_clipped_model_output)
    return x.clone()


def _drawn(step_noise: StepNoise | None, step: int) -> Tensor:
    if step_noise is None:
        raise SamplerError(
            "eta > 0 needs the noise of each step", "ddim_sample", "pass step_noise"
        )
    return step_noise(step).float()
