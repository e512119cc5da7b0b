"""What must hold before a timing counts, with the bound of each error and its reason.

Truth is float64 on the CPU, by the plain implementation (bench/truth.py).
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from bench.plain_unet import plain_like
from bench.truth import (
    IMAGES,
    brought,
    cpu_batches,
    flat,
    plain_on_cpu,
    relative,
    true_gradient,
    true_samples,
    true_updates,
)
from bench.work import GivenBatches, OurTraining, Work
from dash_repro.diffusion.ddim import constant_guidance, ddim_sample
from dash_repro.diffusion.guidance import guidance_gap
from dash_repro.diffusion.noise import image_noise
from dash_repro.models.compiled import launched
from dash_repro.models.precision import inference_network
from dash_repro.models.unet import UNet
from dash_repro.objectives.objective import Batch
from dash_repro.training.frozen import FrozenTeacher

STEPS = 20  # of the training gates
W = 4.0
# Unit roundoff of float32 is 6e-8. Errors of some 40 layers add up like a random walk,
# and sums of a thousand terms have their own: 1e-6 is usual, 1e-5 is wrong code.
EPS32, GRADIENT32 = 1e-5, 1e-4
# That of half precision is 2^-11 = 4.9e-4, and the same walk ends near 1.3e-3 in an
# untrained network of the paper's size: the bound is three times that. The guidance gap
# is the small difference of two such outputs, hence five times as much again.
EPS16, GAP16 = 4e-3, 2e-2
# Adam divides a gradient by its own size, so that rounding decides the sign of the
# steps of weights that hardly have one. Another device may err as far from float64 as
# the CPU's float32 does, times this; half precision may turn some of the update.
UPDATE_FACTOR, UPDATE16 = 4.0, 0.2
# After 10 guided steps, w = 4: a guided branch error is 7 times a branch's.
SAMPLE32, SAMPLE16 = 1e-4, 5e-2


@dataclass(frozen=True)
class Gate:
    """A measured error and its bound."""

    name: str
    error: float
    bound: float

    @property
    def passed(self) -> bool:
        return self.error < self.bound  # false for NaN


Unit = tuple[str, Callable[[Work], Iterator[Gate]]]


def gate_units(work: Work) -> list[Unit]:
    """All gates that this device and preset have, in groups that run on their own."""
    units: list[Unit] = [("forward", _forward), ("gradient", _gradient)]
    units.append(("sampling, eager, fp32", lambda w: _sampling(w, "eager", "fp32")))
    units.append(("training steps, eager, fp32", lambda w: _steps(w, "eager", "fp32")))
    for launch in work.preset.launches:
        units.append((f"training, {launch}", lambda w, k=launch: _training(w, k)))
        if work.numerics == "fp16":
            name = f"half precision, {launch}"
            units.append((name, lambda w, k=launch: _half(w, k)))
    return units


def gates(work: Work) -> Iterator[Gate]:
    """All of them, one after the other."""
    for _, measure in gate_units(work):
        yield from measure(work)


def _both(work: Work) -> tuple[UNet, UNet]:
    return work.teacher, work.network(work.preset.widths[0])


@torch.no_grad()
def _forward(work: Work) -> Iterator[Gate]:
    (batch,) = cpu_batches(work, 1)
    here = brought(batch, work.device)
    errors = []
    for model in _both(work):
        true = plain_on_cpu(model, torch.float64)
        wanted = true(batch.x_t.double(), batch.t, batch.labels)
        found = copy.deepcopy(model).eval()(here.x_t, here.t, here.labels)
        errors.append(relative(found, wanted))
    yield Gate("float32 eps against float64 on the CPU", max(errors), EPS32)


def _gradient(work: Work) -> Iterator[Gate]:
    (batch,) = cpu_batches(work, 1)
    width = work.preset.widths[0]
    source = GivenBatches([batch], work.device)
    args = (work, width, 1, "eager", "fp32")
    ours = OurTraining(*args, dropout=False, source=source)
    (learner,) = ours.learners
    wanted = true_gradient(work, learner.model, batch)
    here = source.drawn()
    weights = torch.ones(IMAGES, device=work.device)
    learner.objective(learner.model, here, ours.teacher(here), weights).backward()
    carried = work.network(width)
    gradients = {name: p.grad for name, p in learner.model.named_parameters()}
    for name, parameter in carried.named_parameters():
        parameter.data = gradients[name].clone()
    error = relative(flat(plain_like(carried)), wanted)
    yield Gate("one-step gradient against float64 on the CPU", error, GRADIENT32)


def _steps(work: Work, launch: str, numerics: str) -> Iterator[Gate]:
    """20 training steps on batches that the CPU drew."""
    batches = cpu_batches(work, STEPS)
    width = work.preset.widths[0]
    source = GivenBatches(batches, work.device)
    args = (work, width, 1, launch, numerics)
    ours = OurTraining(*args, dropout=False, source=source)
    (learner,) = ours.learners
    start = copy.deepcopy(learner.model).cpu()
    for _ in range(STEPS):
        ours.step()
    found = flat(plain_like(_filed(work, learner))) - flat(plain_like(start))

    def true(dtype: torch.dtype) -> Tensor:
        return work.once(
            ("updates", dtype), lambda: true_updates(work, start, batches, dtype)
        )

    wanted = true(torch.float64)
    error = relative(found, wanted)
    if numerics == "fp32":
        single = true(torch.float32)
        bound = UPDATE_FACTOR * relative(single, wanted)
    else:
        bound = UPDATE16
    name = f"update of {STEPS} steps against float64 on the CPU, {launch}, {numerics}"
    yield Gate(name, error, bound)


def _filed(work: Work, learner) -> UNet:
    """A learner's present weights as a network in the layout of files."""
    model = work.network(work.preset.widths[0])
    tensors = dict(learner.model.named_parameters())
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(tensors[name])
    return model


@torch.no_grad()
def _sampling(work: Work, launch: str, numerics: str) -> Iterator[Gate]:
    """Guided DDIM images from the same noise."""
    shape = (3, work.preset.image_size, work.preset.image_size)
    noise, labels = image_noise(0, range(4), shape), torch.arange(4)
    labels, steps = labels % work.preset.classes, 10
    bound = SAMPLE32 if numerics == "fp32" else SAMPLE16
    for role, model in zip(("teacher", "student"), _both(work), strict=True):
        wanted = true_samples(work, model, noise, labels, steps, W)
        network = inference_network(copy.deepcopy(model), numerics, work.device)
        found = ddim_sample(
            launched(network, launch),
            work.schedule,
            noise.to(work.device),
            labels,
            work.preset.classes,
            steps,
            constant_guidance(W),
        )
        name = f"samples against float64 on the CPU, {role}, {launch}, {numerics}"
        yield Gate(name, relative(found, wanted), bound)


def _training(work: Work, launch: str) -> Iterator[Gate]:
    """Packed and alone are equal, resumed and not; noise is fresh."""
    yield Gate(f"packed = solo over 10 steps, {launch}", packed(work, launch), 1e-5)
    name = f"resumed = uninterrupted over 10 steps, {launch}"
    yield Gate(name, resumed(work, launch), 1e-7)
    name = f"repeated noise of {STEPS} steps, {launch}"
    yield Gate(name, float(repeated_noise(work, launch)), 0.5)
    if work.numerics == "fp16" or launch != "eager":
        yield from _steps(work, launch, work.numerics)


def _half(work: Work, launch: str) -> Iterator[Gate]:
    eps, gap = half_errors(work, launch)
    yield Gate(f"fp16 eps, {launch}", eps, EPS16)
    yield Gate(f"fp16 gap, worst timestep decile, {launch}", gap, GAP16)
    yield from _sampling(work, launch, "fp16")


def packed(work: Work, launch: str) -> float:
    """Largest difference of weights between the first of two and one alone."""
    values = [_weights(work, launch, pack) for pack in (2, 1)]
    return (values[0] - values[1]).abs().max().item()


def _weights(work: Work, launch: str, pack: int) -> Tensor:
    training = OurTraining(work, work.preset.widths[0], pack, launch, work.numerics)
    for _ in range(10):
        training.step()
    return training.learners[0].flat.values.detach().clone()


def resumed(work: Work, launch: str) -> float:
    """Largest difference of weights between 10 steps, and 5 and 5 after a restore."""
    wanted = _weights(work, launch, 1)
    args = (work, work.preset.widths[0], 1, launch, work.numerics)
    first = OurTraining(*args)
    for _ in range(5):
        first.step()
    tensors, metadata = first.learners[0].state()
    tensors = {name: value.cpu().clone() for name, value in tensors.items()}
    second = OurTraining(*args)
    second.learners[0].restore(tensors, {**metadata, "step": "5"})
    for _ in range(5):
        second.step()
    return (second.learners[0].flat.values.detach() - wanted).abs().max().item()


def repeated_noise(work: Work, launch: str) -> int:
    """How many of 20 consecutive steps repeat an earlier step's loss exactly.

    With the same images, timesteps or noise drawn again the losses of a network that
    does not learn (rate 0) would repeat.
    """
    training = OurTraining(work, work.preset.widths[0], 1, launch, work.numerics)
    (learner,) = training.learners
    learner.initial_lr = [0.0] * len(learner.initial_lr)
    learner.settings = dataclasses.replace(learner.settings, lr_min=0.0)
    learner.model.eval()
    losses = []
    for _ in range(STEPS):
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
    for model in _both(work):
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
