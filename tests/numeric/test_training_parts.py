"""Parts of training against closed forms: batches, rates, Adam, EMA, clipping."""

import math
import resource
from dataclasses import replace

import numpy as np
import pytest
import torch
from marks import slow_but
from training_tools import CPU, tiny_images, tiny_params, tiny_schedule

from dash_repro import runtime
from dash_repro.models.precision import inference_network
from dash_repro.models.unet import UNetConfig, build_unet
from dash_repro.objectives.objective import (
    NoiseObjective,
    Targets,
    feature_channels,
    student_objective,
)
from dash_repro.objectives.weights import TimestepWeights
from dash_repro.training.batches import BatchSource
from dash_repro.training.flat import FlatParameters, unflatten
from dash_repro.training.frozen import FrozenTeacher
from dash_repro.training.learner import Learner, TrainingDiverged, history_csv
from dash_repro.training.observers import log_spaced, timestep_losses
from dash_repro.training.settings import Cadence, TrainSettings, learning_rate
from runledger.errors import UserError

PARAMS = tiny_params()
CONFIG = UNetConfig(8, 1, 3, (1, 2, 2, 2), 4, 0.0, 4, 1e-6, 8)
BIG = UNetConfig(16, 2, 3, (1, 2, 2, 2), 4, 0.0, 4, 1e-6, 8)
SCHEDULE = tiny_schedule()


def settings_of(**changes):
    return TrainSettings.from_params({**PARAMS["train_student"], **changes})


def source_of(seed=42, stream="student", batch_size=4, holdout=0.0, count=24):
    images = tiny_images(count=count)
    return BatchSource(
        images["train_images"],
        images["train_labels"],
        SCHEDULE,
        seed=seed,
        stream=stream,
        batch_size=batch_size,
        holdout=holdout,
        device=CPU,
    )


def learner_of(objective=None, weights=None, config=CONFIG, **changes):
    return Learner(
        "test",
        build_unet(config, 42),
        objective or NoiseObjective(0.1, "sample"),
        weights or TimestepWeights(torch.ones(50, dtype=torch.float64)),
        settings_of(**changes),
        seed=42,
        lambda_lr=1e-3,
        device=CPU,
    )


def fields(batch):
    return [batch.x_t, batch.t, batch.labels, batch.noise, batch.coins]


def test_batches_are_a_function_of_seed_and_step():
    one, other = source_of(), source_of()
    for step in (9, 0, 3):  # in any order
        pairs = zip(fields(one.draw(step)), fields(other.draw(step)), strict=True)
        assert all(torch.equal(a, b) for a, b in pairs)
    other = source_of()
    noises = [other.draw(step).noise for step in range(4)]
    noises += [
        source_of(seed=43).draw(0).noise,
        source_of(stream="teacher").draw(0).noise,
    ]
    for i, a in enumerate(noises):
        assert all(not torch.equal(a, b) for b in noises[i + 1 :])


def test_every_image_once_an_epoch_in_changing_order():
    source = source_of(batch_size=7, count=24)
    images = np.moveaxis(tiny_images()["train_images"], 3, 1)
    known = {image.tobytes(): i for i, image in enumerate(images)}
    drawn = []
    for step in range(24 * 7 // 7):
        x0 = source.draw(step).x0
        pixels = ((x0 + 1.0) * 127.5).round().numpy().astype(np.uint8)
        drawn += [known[image.tobytes()] for image in pixels]
    epochs = [drawn[i : i + 24] for i in range(0, len(drawn), 24)]
    assert all(sorted(epoch) == list(range(24)) for epoch in epochs)
    assert epochs[0] != epochs[1]


def test_noisy_images_are_the_forward_process():
    batch = source_of(batch_size=6).draw(2)
    for i in range(6):
        alpha_bar = SCHEDULE.alpha_bar[batch.t[i]].item()
        x0, noise = batch.x0[i].double(), batch.noise[i].double()
        wanted = math.sqrt(alpha_bar) * x0 + math.sqrt(1 - alpha_bar) * noise
        torch.testing.assert_close(batch.x_t[i].double(), wanted, rtol=0, atol=1e-6)
    assert batch.x0.min() >= -1 and batch.x0.max() <= 1


def test_timesteps_cover_the_schedule_uniformly():
    t = torch.cat([source_of().draw(step).t for step in range(2000)])
    counts = torch.bincount(t, minlength=50).double()  # 160 each, sd 12.5
    assert len(counts) == 50 and (counts - 160).abs().max() < 60
    fixed = source_of().fixed(25).t
    assert torch.equal(fixed // 2, torch.arange(25))  # stratified


def test_holdout_is_the_same_share_for_teacher_and_student():
    kept = [source_of(holdout=0.25, stream=s).images for s in ("teacher", "student")]
    assert len(kept[0]) == 18 and torch.equal(*kept)
    assert not torch.equal(kept[0], source_of(holdout=0.25, seed=1).images)
    with pytest.raises(UserError, match="no training image is left"):
        source_of(holdout=1.0)


def test_learning_rates():
    cosine = settings_of(iterations=100, learning_rate=2e-4, lr_min=1e-6)
    for step in (0, 1, 50, 99):
        wanted = 1e-6 + (2e-4 - 1e-6) * 0.5 * (1 + math.cos(math.pi * step / 100))
        assert learning_rate(cosine, step, 2e-4) == pytest.approx(wanted, rel=1e-12)
    assert learning_rate(cosine, 0, 2e-4) == 2e-4
    epochs = settings_of(lr_schedule="cosine_epoch", iterations=10, lr_epoch=4)
    rates = [learning_rate(epochs, step, 1.0) for step in range(10)]
    wanted = [0.5 * (1 + math.cos(math.pi * e / 3)) for e in (0, 1, 2)]
    assert rates == pytest.approx([wanted[step // 4] for step in range(10)])
    assert learning_rate(settings_of(lr_schedule="constant"), 7, 0.3) == 0.3
    with pytest.raises(UserError, match="lr_schedule: 'linear'"):
        learning_rate(settings_of(lr_schedule="linear"), 7, 0.3)


def test_flat_parameters_are_the_modules_own():
    model = build_unet(CONFIG, 1)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    flat = FlatParameters([model])
    found = unflatten(flat.values.detach(), model)
    assert found.keys() == before.keys()
    assert all(torch.equal(found[name], before[name]) for name in found)
    with torch.no_grad():
        flat.values.mul_(2.0)
    assert torch.equal(model.conv_in.weight, 2.0 * before["conv_in.weight"])
    x, t = torch.randn(2, 3, 8, 8), torch.tensor([0, 1])
    model(x, t, t).square().sum().backward()
    grads = [p.grad for p in model.parameters()]
    norm = torch.stack([grad.norm() for grad in grads]).norm()
    assert flat.values.grad.norm().item() == pytest.approx(norm.item(), rel=1e-5)


@pytest.mark.parametrize("optimizer", ["adam", "adamw"])
def test_adam_ema_and_clipping_against_the_formulas(optimizer):
    changes = {
        "optimizer": optimizer,
        "weight_decay": 0.1,
        "grad_clip": 0.05,
        "ema_decay": 0.9,
        "iterations": 5,
        "learning_rate": 1e-2,
    }
    weights = TimestepWeights(torch.rand(50, dtype=torch.float64) + 0.1, 0.0)
    learner, source = learner_of(weights=weights, **changes), source_of()
    values = [p.detach().double().clone() for p in learner.trained]
    ema = values[0].clone()
    first = [torch.zeros_like(v) for v in values]
    second = [torch.zeros_like(v) for v in values]
    for step in range(5):
        learner.update(source.draw(step), None)
        learner.record({})
        clipped = [p.grad.double() for p in learner.trained]
        norm = math.sqrt(sum(g.square().sum().item() for g in clipped))
        assert norm == pytest.approx(0.05, rel=1e-3)
        for i, (grad, initial) in enumerate(zip(clipped, (1e-2, 1e-3), strict=True)):
            lr = initial * 0.5 * (1 + math.cos(math.pi * step / 5))
            if optimizer == "adamw":
                values[i] -= lr * 0.1 * values[i]
            first[i] = 0.9 * first[i] + 0.1 * grad
            second[i] = 0.999 * second[i] + 0.001 * grad.square()
            mean = first[i] / (1 - 0.9 ** (step + 1))
            spread = (second[i] / (1 - 0.999 ** (step + 1))).sqrt()
            values[i] -= lr * mean / (spread + 1e-8)
        ema = 0.9 * ema + 0.1 * values[0]
        for found, wanted in zip(learner.trained, values, strict=True):
            torch.testing.assert_close(
                found.detach().double(), wanted, rtol=2e-4, atol=2e-5
            )
        torch.testing.assert_close(learner.ema.double(), ema, rtol=2e-4, atol=2e-5)
    assert learner.lambda_().abs().max() > 0


def test_gradients_below_the_bound_are_not_scaled():
    loose, tight = learner_of(grad_clip=1e9), learner_of(grad_clip=1e-3)
    batch = source_of().draw(0)
    for learner in (loose, tight):
        learner.update(batch, None)
    norm = loose.flat.values.grad.norm().item()
    assert tight.flat.values.grad.norm().item() == pytest.approx(1e-3, rel=1e-3)
    for learner in (loose, tight):  # what is recorded is the norm before clipping
        learner.record({})
        assert learner.history[0]["grad_norm"] == pytest.approx(norm, rel=1e-5)


def test_networks_on_a_cpu_lie_channels_last():
    """Kernels and maps, in training, as a teacher and in sampling; grey images, too."""
    last = {"memory_format": torch.channels_last}
    for config in (CONFIG, replace(CONFIG, channels=1)):
        learner = learner_of(NoiseObjective(0.0, "sample"), config=config)
        frozen = FrozenTeacher(build_unet(config, 0), CPU, "fp32").model
        sampler = inference_network(build_unet(config, 0), "fp32", "cpu")
        x, zeros = torch.randn(2, *config.image_shape), torch.zeros(2).long()
        for model in (learner.model, frozen, sampler):
            _, maps = model(x, zeros, zeros, features=True)
            assert model.middle1.conv1.weight.is_contiguous(**last)
            # of one pixel, every layout is any other
            shown = [found for found in maps.values() if found.shape[2] > 1]
            assert shown and all(found.is_contiguous(**last) for found in shown)


def test_freed_memory_is_kept_for_the_next_step():
    """Twenty blocks of 2 MB, freed and taken again: 10,240 pages were zeroed anew."""
    runtime.configure()

    def step():
        blocks = [np.empty(2**21, np.uint8) for _ in range(20)]
        for block in blocks:
            block.fill(1)

    step()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(5):
        step()
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
    assert faults < 2000, faults


def test_first_step_against_a_plain_implementation():
    """Dropout off: the same gradient as autograd on a separate network."""
    learner, source = (
        learner_of(NoiseObjective(0.0, "sample"), grad_clip=1e9),
        source_of(),
    )
    batch = source.draw(0)
    learner.update(batch, None)
    plain = build_unet(CONFIG, 42)
    eps = plain(batch.x_t, batch.t, batch.labels)
    loss = (eps - batch.noise).square().mean()
    loss.backward()
    gradient = learner.flat.canonical(learner.flat.values.grad)
    mine = unflatten(gradient, learner.model)
    for name, parameter in plain.named_parameters():
        torch.testing.assert_close(mine[name], parameter.grad, rtol=1e-4, atol=1e-7)
    learner.record({})
    assert learner.history[0]["loss"] == pytest.approx(loss.item(), rel=1e-5)


def test_averaged_weights_are_swapped_in_and_out():
    learner, source = learner_of(ema_decay=0.5), source_of()
    for step in range(3):
        learner.update(source.draw(step), None)
        learner.record({})
    before = learner.flat.values.detach().clone()
    with learner.averaged() as model:
        assert not model.training
        wanted = learner.ema_state_dict()
        assert torch.equal(model.conv_out.weight, wanted["conv_out.weight"])
    assert learner.model.training
    assert torch.equal(learner.flat.values.detach(), before)
    assert not torch.equal(before[: len(learner.ema)], learner.ema)


OBJECTIVES = ["dash", "scratch", "cond_only", "composite", "fitnets", "gap_match"]
OBJECTIVES += ["no_im"]


@pytest.mark.parametrize("name", slow_but(["fitnets"], OBJECTIVES))
def test_each_objective_overfits_one_batch(name):
    block = PARAMS["students"][name]
    channels = feature_channels(CONFIG, BIG) if name == "fitnets" else {}
    torch.manual_seed(0)
    objective = student_objective(block, "sample", 50, None, channels)
    batch = source_of().draw(0)
    teacher = build_unet(BIG, 7).eval()
    with torch.no_grad():
        cond, maps = teacher(batch.x_t, batch.t, batch.labels, features=True)
        null = torch.full_like(batch.labels, teacher.null_token)
        targets = Targets(cond, teacher(batch.x_t, batch.t, null), maps)
    learner = learner_of(
        objective,
        iterations=120,
        learning_rate=4e-3,
        grad_clip=10.0,
        lr_schedule="constant",
    )
    values = []
    for _ in range(120):
        learner.update(batch, targets)
        learner.record({})
        values.append(learner.history[-1]["loss"])
    assert np.mean(values[-5:]) < 0.25 * values[0], values[::20]


def test_nan_is_reported_with_its_iteration():
    learner, source = learner_of(iterations=2000), source_of()  # rows every 4
    learner.update(source.draw(0), None)
    learner.check()
    with torch.no_grad():
        learner.model.conv_out.bias.fill_(float("nan"))
    learner.update(source.draw(1), None)
    learner.update(source.draw(2), None)
    with pytest.raises(TrainingDiverged, match="iteration 1"):
        learner.record({})
    with pytest.raises(TrainingDiverged):
        learner.state()


def test_per_timestep_losses_against_one_by_one():
    source, model = source_of(), build_unet(CONFIG, 0).eval()
    found = timestep_losses(model, source, 3)
    assert found["loss_steps"].tolist() == list(range(50))
    for t in (0, 17, 49):
        batch = source.fixed_at(3, torch.tensor([t]))
        with torch.no_grad():
            eps = model(batch.x_t, batch.t, batch.labels).double()
        each = (eps - batch.noise).square().flatten(1).mean(dim=1)
        assert found["loss_mean"][t] == pytest.approx(each.mean().item(), rel=1e-4)
        spread = each.std(correction=0).item()
        assert found["loss_std"][t] == pytest.approx(spread, rel=1e-3)
        again = source_of().fixed_at(3, torch.tensor([0]))
        assert torch.equal(again.noise, batch.noise)


def test_log_spaced_steps():
    assert log_spaced(40, 391_000)[0] == 0 and log_spaced(40, 391_000)[-1] == 391_000
    assert 35 <= len(log_spaced(40, 391_000)) <= 40
    assert log_spaced(5, 3) == [0, 1, 2, 3]
    assert log_spaced(1, 7) == [0, 1, 7] or log_spaced(2, 7) == [0, 1, 7]


def test_history_text():
    rows = [{"step": 0, "rho": 0.5}, {"step": 3, "loss": 0.25, "rho": float("nan")}]
    text = history_csv(rows, ["step", "loss", "rho"])
    assert text == "step,loss,rho\n0,,0.5\n3,0.25,\n"


def test_refusals(monkeypatch):
    with pytest.raises(UserError, match="unknown precision 'bf16'"):
        runtime.require_numerics("bf16")
    with pytest.raises(UserError, match="optimizer: 'sgd'"):
        learner_of(optimizer="sgd")
    monkeypatch.setenv("DASH_SAVE_SECONDS", "often")
    with pytest.raises(UserError, match="DASH_SAVE_SECONDS='often'"):
        Cadence.from_environment()
