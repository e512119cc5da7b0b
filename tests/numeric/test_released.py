"""config/released.params.yaml against a loop written from the released formulae.

Ten iterations of a teacher and of a DASH student. Batches and initial weights are the
project's own; losses, weights of timesteps, clipping, AdamW, annealing and EMA are
written out below with plain tensors.
"""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from test_training_parts import CONFIG, SCHEDULE, learner_of, source_of
from torch.func import functional_call

from dash_repro.models.unet import build_unet
from dash_repro.objectives.objective import NoiseObjective, Targets, student_objective
from dash_repro.objectives.weights import student_weights, teacher_weights
from dash_repro.params import load_params
from dash_repro.params.lookup import at, keys
from dash_repro.training.flat import unflatten

ROOT = Path(__file__).resolve().parents[2]
RELEASED = load_params(ROOT / "config" / "released.params.yaml")
STEPS, PER_EPOCH, NULL = 10, 3, CONFIG.num_classes
SNR, LAMBDA_LR = SCHEDULE.snr(), 1e-3  # of learner_of
SMALL = {"iterations": STEPS, "lr_epoch": PER_EPOCH, "batch_size": 4, "holdout": 0.0}
SMALL["numerics"] = "fp32"


def settings(section: str) -> dict:
    return {
        key: value
        for key, value in {**RELEASED[section], **SMALL}.items()
        if key in learner_of().settings.__dataclass_fields__
    }


class Plain:
    """Weights, AdamW and EMA of one network and one lambda, as plain tensors."""

    def __init__(self, seed: int, lambda_: torch.Tensor | None, decay: float) -> None:
        self.model = build_unet(CONFIG, seed).train()
        self.values = {n: p.detach().clone() for n, p in self.model.named_parameters()}
        self.names = list(self.values)
        if lambda_ is not None:
            self.values["lambda"] = lambda_
        self.first = {n: torch.zeros_like(v) for n, v in self.values.items()}
        self.second = {n: torch.zeros_like(v) for n, v in self.values.items()}
        self.ema = {n: self.values[n].clone() for n in self.names}
        self.decay, self.steps = decay, 0

    def predict(self, x: torch.Tensor, t: torch.Tensor, y: torch.Tensor):
        weights = {name: self.values[name] for name in self.names}
        return functional_call(self.model, weights, (x, t, y))

    def update(self, loss_of, rates: dict[str, float], weight_decay: float) -> float:
        for value in self.values.values():
            value.requires_grad_(True)
        loss = loss_of()
        found = torch.autograd.grad(loss, [*self.values.values()])
        grads = dict(zip(self.values, found, strict=True))
        norm = math.sqrt(sum(grads[n].square().sum().item() for n in self.names))
        scale = min(1.0, 1.0 / (norm + 1e-6))
        self.steps += 1
        for name, value in self.values.items():
            value = value.detach()
            grad = grads[name] * (scale if name in self.names else 1.0)
            rate = rates["lambda" if name == "lambda" else "network"]
            value = value * (1 - rate * weight_decay)
            self.first[name] = 0.9 * self.first[name] + 0.1 * grad
            self.second[name] = 0.999 * self.second[name] + 0.001 * grad**2
            mean = self.first[name] / (1 - 0.9**self.steps)
            spread = (self.second[name] / (1 - 0.999**self.steps)).sqrt()
            self.values[name] = value - rate * mean / (spread + 1e-8)
        for name in self.names:
            new = self.values[name]
            self.ema[name] = self.decay * self.ema[name] + (1 - self.decay) * new
        return loss.item()


def annealed(initial: float, step: int) -> float:
    """Per epoch, down to 1e-6."""
    epoch, epochs = step // PER_EPOCH, math.ceil(STEPS / PER_EPOCH)
    return 1e-6 + (initial - 1e-6) * (1 + math.cos(math.pi * epoch / epochs)) / 2


def of_batch(omega: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    return omega[t] / omega[t].mean()


def mse(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return (a - b).square().mean(dim=(1, 2, 3))


def compare(learner, plain: Plain, losses: list[float]) -> None:
    found = [row["loss"] for row in learner.history]
    assert found == pytest.approx(losses, rel=1e-4)
    trained = unflatten(learner.flat.canonical(learner.flat.values), learner.model)
    averaged = learner.ema_state_dict()
    for name in plain.names:
        close = {"rtol": 1e-3, "atol": 3e-5}
        torch.testing.assert_close(trained[name].detach(), plain.values[name], **close)
        torch.testing.assert_close(averaged[name], plain.ema[name], **close)


def test_every_key_in_which_the_released_code_differs_is_set_to_its_value() -> None:
    named = {path: node["code"] for path, node in keys() if "code" in node}
    assert len(named) >= 20
    for path, value in named.items():
        section, _, rest = path.partition(".<name>.")
        blocks = RELEASED[section].values() if rest else [RELEASED]
        found = [at(block, (rest or path).split(".")) for block in blocks]
        assert found == [value] * len(found), path
    seeds = {
        tuple(e["seeds"]) for e in RELEASED["experiments"].values() if "seeds" in e
    }
    assert seeds == {(42,)}, "one training"


def test_ten_steps_of_the_released_teacher() -> None:
    section, block = RELEASED["train_teacher"], RELEASED["teachers"]["tirt"]
    share = 0.5  # so that both sides of the coin are seen in ten steps
    learner = learner_of(
        NoiseObjective(share, section["label_dropout_mode"]),
        teacher_weights(block, SNR),
        **settings("train_teacher"),
    )
    lambda_ = torch.full((SCHEDULE.timesteps,), block["lambda_init"])
    plain = Plain(42, lambda_, section["ema_decay"])
    source, losses, dropped = source_of(), [], []
    for step in range(STEPS):
        batch = source.draw(step)
        learner.update(batch, None)
        learner.record({})
        coin = batch.coins[-1].item() < share  # one for the whole batch
        labels = torch.full_like(batch.labels, NULL) if coin else batch.labels

        def loss(batch=batch, labels=labels) -> torch.Tensor:
            base = SNR.clamp(max=5.0).float()
            omega = base * torch.sigmoid(plain.values["lambda"])
            eps = plain.predict(batch.x_t, batch.t, labels)
            return (of_batch(omega, batch.t) * mse(eps, batch.noise)).mean()

        rates = {
            "network": annealed(2e-4, step),
            "lambda": annealed(LAMBDA_LR, step),
        }
        losses.append(plain.update(loss, rates, weight_decay=0.01))
        dropped.append(coin)
    assert len(set(dropped)) == 2
    compare(learner, plain, losses)
    moved = learner.lambda_() - block["lambda_init"]
    assert moved.abs().max() > 1e-4
    torch.testing.assert_close(
        learner.lambda_(), plain.values["lambda"], rtol=1e-3, atol=1e-6
    )


def test_ten_steps_of_the_released_student() -> None:
    """TIRT Transfer divides by the mean over the batch; the student has no lambda."""
    section, block = RELEASED["train_student"], RELEASED["students"]["dash"]
    assert block["weighting"] == "transfer"
    raw = torch.linspace(-2, 2, SCHEDULE.timesteps, dtype=torch.float64)
    omega = SNR.clamp(max=5.0) * torch.sigmoid(raw)
    transferred = omega / omega.mean()
    weights = student_weights(
        "transfer",
        transferred,
        RELEASED["teachers"]["tirt"],
        SNR,
        block["normalizer"],
    )
    mode = section["label_dropout_mode"]
    objective = student_objective(block, mode, SCHEDULE.timesteps, None, {})
    learner = learner_of(objective, weights, **settings("train_student"))
    teacher = build_unet(CONFIG, 7).eval()
    plain = Plain(42, None, section["ema_decay"])
    source, losses = source_of(), []
    for step in range(STEPS):
        batch = source.draw(step)
        null = torch.full_like(batch.labels, NULL)
        with torch.no_grad():
            cond = teacher(batch.x_t, batch.t, batch.labels)
            uncond = teacher(batch.x_t, batch.t, null)
        learner.update(batch, Targets(eps_cond=cond, eps_uncond=uncond))
        learner.record({})

        def loss(batch=batch, null=null, cond=cond, uncond=uncond) -> torch.Tensor:
            y = plain.predict(batch.x_t, batch.t, batch.labels)
            empty = plain.predict(batch.x_t, batch.t, null)
            each = mse(y, cond) + mse(empty, uncond) + 0.1 * mse(y, batch.noise)
            return (of_batch(omega.float(), batch.t) * each).mean()

        rates = {"network": annealed(2e-4, step)}
        losses.append(plain.update(loss, rates, weight_decay=0.001))
    compare(learner, plain, losses)


def test_lambda_can_be_clipped_with_the_network_or_left_alone() -> None:
    """Of the same first gradient, one keeps lambda's and the other scales it."""
    grads = []
    for together in (True, False):
        weights = teacher_weights(RELEASED["teachers"]["tirt"], SNR)
        learner = learner_of(weights=weights, grad_clip=0.01, grad_clip_lambda=together)
        learner.update(source_of().draw(0), None)
        grads.append([p.grad.clone() for p in learner.trained])
    (network, lambda_), (alone, free) = grads
    assert alone.norm().item() == pytest.approx(0.01, rel=1e-4)
    both = math.hypot(network.norm().item(), lambda_.norm().item())
    assert both == pytest.approx(0.01, rel=1e-4)
    scale = network.norm() / alone.norm()
    assert free.norm() > 5 * lambda_.norm(), "it is far above the bound by itself"
    assert 0 < scale <= 1
