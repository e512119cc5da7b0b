"""What must hold before a timing counts (one table row each)."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from bench.plain import plain_dash_loss
from bench.plain_unet import plain_like
from bench.work import OurTraining, Work, same_batch
from dash_repro.diffusion.guidance import guidance_gap
from dash_repro.models.compiled import launched
from dash_repro.models.precision import inference_network
from dash_repro.models.unet import UNet
from dash_repro.objectives.objective import Batch
from dash_repro.training.frozen import FrozenTeacher


@dataclass(frozen=True)
class Gate:
    """A measured error and its bound."""

    name: str
    error: float
    bound: float

    @property
    def passed(self) -> bool:
        return self.error < self.bound  # false for NaN


def relative(found: Tensor, wanted: Tensor) -> float:
    """||found - wanted|| / ||wanted||, in float64."""
    found, wanted = found.double(), wanted.double()
    return ((found - wanted).norm() / wanted.norm()).item()


def gates(work: Work) -> Iterator[Gate]:
    """All gates that this device and preset have."""
    yield Gate("float32 eps against the plain network", eps_error(work), 1e-5)
    yield Gate("one-step gradient against the plain step", gradient_error(work), 1e-4)
    for launch in work.preset.launches:
        bound, name = 1e-5, f"packed = solo over 10 steps, {launch}"
        yield Gate(name, packed_error(work, launch), bound)
        name = f"repeated noise of 20 steps, {launch}"
        yield Gate(name, float(repeated_noise(work, launch)), 0.5)
    if work.preset.numerics == "fp16":
        for launch in work.preset.launches:
            eps, gap = half_errors(work, launch)
            yield Gate(f"fp16 eps, {launch}", eps, 2e-3)
            yield Gate(f"fp16 gap, worst timestep decile, {launch}", gap, 2e-2)


@torch.no_grad()
def eps_error(work: Work) -> float:
    """Of teacher and student, worst."""
    x_t, t, y, _ = same_batch(work)
    errors = []
    for model in (work.teacher, work.network(work.preset.widths[0])):
        model = copy.deepcopy(model).eval()
        errors.append(relative(model(x_t, t, y), plain_like(model).eval()(x_t, t, y)))
    return max(errors)


def gradient_error(work: Work) -> float:
    """Of all parameters of a student after one loss, without dropout."""
    x_t, t, y, noise = same_batch(work)
    ours = OurTraining(work, work.preset.widths[0], 1, "eager", "fp32", dropout=False)
    (learner,) = ours.learners
    plain = plain_like(learner.model).eval()
    coins = torch.zeros(len(t) + 1, device=t.device)
    batch = Batch(x_t, t, y, noise, coins, x_t)
    weights = torch.ones(len(t), device=t.device)
    learner.objective(learner.model, batch, ours.teacher(batch), weights).backward()
    teacher = plain_like(work.teacher).eval()
    plain_dash_loss(plain, teacher, x_t, t, y, noise).backward()
    carried = work.network(work.preset.widths[0])
    for name, parameter in carried.named_parameters():
        parameter.data = dict(learner.model.named_parameters())[name].grad.clone()
    found = dict(plain_like(carried).named_parameters())
    pairs = [(found[name], p.grad) for name, p in plain.named_parameters()]
    found, wanted = (
        torch.cat([v.flatten() for v in side]) for side in zip(*pairs, strict=True)
    )
    return relative(found, wanted)


def packed_error(work: Work, launch: str) -> float:
    """Largest difference of weights between the first of two and one alone."""
    width = work.preset.widths[0]
    values = []
    for pack in (2, 1):
        training = OurTraining(work, width, pack, launch, work.preset.numerics)
        for _ in range(10):
            training.step()
        values.append(training.learners[0].flat.values.detach().clone())
    return (values[0] - values[1]).abs().max().item()


def repeated_noise(work: Work, launch: str) -> int:
    """How many of 20 consecutive steps repeat an earlier step's loss exactly.

    With the same images, timesteps or noise drawn again the losses of a network that
    does not learn (rate 0) would repeat.
    """
    training = OurTraining(work, work.preset.widths[0], 1, launch, work.preset.numerics)
    (learner,) = training.learners
    learner.initial_lr = [0.0] * len(learner.initial_lr)
    learner.settings = dataclasses.replace(learner.settings, lr_min=0.0)
    learner.model.eval()
    losses = []
    for _ in range(20):
        training.step()
        losses.append(learner._latest[0].item())
    return len(losses) - len(set(losses))


@torch.no_grad()
def half_errors(work: Work, launch: str) -> tuple[float, float]:
    """Errors of the sampler's and of the teacher's fp16 against float32.

    Returns:
        of eps, and of the guidance gap in the worst tenth of the timesteps.
    """
    fixed = work.source(work.settings("fp32")).fixed(20 * 10)
    worst = [0.0, 0.0]
    for model in (work.teacher, work.network(work.preset.widths[0])):
        wanted = FrozenTeacher(copy.deepcopy(model), work.device, "fp32")(fixed)
        for fast in _fast(model, work, launch):
            cond, uncond = fast(fixed, model.null_token)
            worst[0] = max(worst[0], relative(cond, wanted.eps_cond))
            gap = guidance_gap(cond, uncond)
            true = guidance_gap(wanted.eps_cond, wanted.eps_uncond)
            tenths = zip(gap.chunk(10), true.chunk(10), strict=True)
            worst[1] = max(worst[1], *(relative(a, b) for a, b in tenths))
    return worst[0], worst[1]


def _fast(model: UNet, work: Work, launch: str):
    """The two ways in which a network runs in half precision: frozen, and sampling."""
    frozen = FrozenTeacher(copy.deepcopy(model), work.device, "fp16", launch)
    half = inference_network(copy.deepcopy(model), "fp16", work.device)
    network = launched(half, launch)

    def training(batch: Batch, null: int) -> tuple[Tensor, Tensor]:
        targets = frozen(batch)
        return targets.eps_cond, targets.eps_uncond

    def sampling(batch: Batch, null: int) -> tuple[Tensor, Tensor]:
        nulls = torch.full_like(batch.labels, null)
        first = network(batch.x_t, batch.t, batch.labels).clone()
        return first, network(batch.x_t, batch.t, nulls).clone()

    return training, sampling
