"""Targets of one step against several taken by hand; trainings that are resumed."""

import json
import math

import numpy as np
import pytest
import torch
from training_tools import (
    CPU,
    FakeJob,
    make_data,
    make_teacher,
    run_students,
    student_job,
    tiny_params,
)

from dash_repro.diffusion.ddim import constant_guidance, ddim_sample
from dash_repro.diffusion.schedule import Schedule, ScheduleError
from dash_repro.models.checkpoint import load_checkpoint
from dash_repro.objectives.objective import Batch, Targets
from dash_repro.training.batches import BatchSource
from dash_repro.training.step_distillation import StepTeacher, distill_steps

SCHEDULE = Schedule(40, "cosine", 0.008, 1e-4, 0.9999)
CLASSES, W = 3, 3.0


def toy(x, t, y):
    """A nonlinear eps, for floats and tensors."""
    tanh = torch.tanh if isinstance(x, torch.Tensor) else math.tanh
    return (0.2 + 0.6 * t / 40) * tanh(x) + 0.1 * y * (1 + x)


def toy_network(batch, features=False):
    t, y = (v.double()[:, None, None, None] for v in (batch.t, batch.labels))
    return Targets(toy(batch.x_t, t, y), toy(batch.x_t, t, CLASSES))


def step_teacher(inner, steps):
    found = StepTeacher(toy_network, SCHEDULE, inner, steps, W, CPU)
    found.sigma = (1.0 / SCHEDULE.alpha_bar - 1.0).sqrt()  # float64
    return found


def batch_of(x, t, labels):
    zeros = torch.zeros_like(x)
    return Batch(x, t, labels, zeros, torch.zeros(len(t) + 1), zeros)


def alpha_bar(t):
    return SCHEDULE.alpha_bar[t].item() if t >= 0 else 1.0


def ddim(x, eps, t, after):
    """One step of Song et al. (2021), Eq. 12, in x."""
    a, b = alpha_bar(t), alpha_bar(after)
    return (
        math.sqrt(b) * (x - math.sqrt(1 - a) * eps) / math.sqrt(a)
        + math.sqrt(1 - b) * eps
    )


def eps_between(x, t, end, after):
    """The eps whose one step leads from x to `end`."""
    at_zero = ddim(x, 0.0, t, after)
    return (end - at_zero) / (ddim(x, 1.0, t, after) - at_zero)


@pytest.mark.parametrize(("inner", "steps"), [(20, 10), (40, 8), (8, 8), (10, 5)])
def test_one_step_lands_where_several_guided_ones_do(inner, steps):
    """Pixel by pixel: guided, both branches along the guided path; t = 0 among them."""
    stride, small = 40 // steps, 40 // inner
    times = torch.arange(steps)[:4] * stride
    times[-1] = 40 - stride
    x = torch.randn(4, 1, 1, 2, generator=torch.Generator().manual_seed(2)).double()
    labels = torch.tensor([0, 1, 2, 1])
    found = step_teacher(inner, steps)(batch_of(x, times, labels))
    for i, t in enumerate(times.tolist()):
        after, y = t - stride, labels[i].item()
        for j in (0, 1):
            start = x[i, 0, 0, j].item()
            path = {"cond": start, "uncond": start, "guided": start}
            now = t
            # from t = 0 the sampler's one step leads to the clean image
            while now > after and (now >= 0):
                cond, uncond = toy(path["guided"], now, y), toy(path["guided"], now, 3)
                eps = {"cond": cond, "uncond": uncond}
                eps["guided"] = uncond + W * (cond - uncond)
                path = {k: ddim(v, eps[k], now, now - small) for k, v in path.items()}
                now -= small
            wanted = {k: eps_between(start, t, v, after) for k, v in path.items()}
            cond, uncond = (
                branch[i, 0, 0, j].item()
                for branch in (found.eps_cond, found.eps_uncond)
            )
            assert cond == pytest.approx(wanted["cond"], rel=1e-9)
            assert uncond == pytest.approx(wanted["uncond"], rel=1e-9)
            guided = uncond + W * (cond - uncond)
            assert guided == pytest.approx(wanted["guided"], rel=1e-9)


def test_a_student_that_meets_its_targets_samples_what_more_steps_sample():
    """10 steps of the targets are 20 of the network, from the same first timestep."""
    targets, labels = step_teacher(20, 10), torch.tensor([0, 2])
    x = torch.randn(2, 1, 2, 2, generator=torch.Generator().manual_seed(3)).double()

    def student(x, t, y):
        half = len(x) // 2
        found = targets(batch_of(x[:half].double(), t[:half], y[:half]))
        return torch.cat([found.eps_cond, found.eps_uncond])

    args = (SCHEDULE, x, labels, CLASSES, 10, constant_guidance(W))
    found = ddim_sample(student, *args, clip_x0=False)
    wanted = x.numpy().copy()
    for index in np.ndindex(wanted.shape):
        value = float(wanted[index])
        for t in range(36, -1, -2):
            y = labels[index[0]].item()
            cond, uncond = toy(value, t, y), toy(value, t, 3)
            value = ddim(value, uncond + W * (cond - uncond), t, t - 2)
        wanted[index] = value
    np.testing.assert_allclose(found.numpy(), wanted, atol=1e-4)


def test_timesteps_are_those_of_the_sampler():
    images = np.zeros((6, 4, 4, 3), np.uint8)
    args = (images, np.zeros(6, np.int64), SCHEDULE)
    about = {"seed": 1, "stream": "a", "batch_size": 4, "holdout": 0.0, "device": CPU}
    plain, spaced = BatchSource(*args, **about), BatchSource(*args, **about, stride=8)
    drawn = [(plain.draw(step).t, spaced.draw(step).t) for step in range(50)]
    assert all(torch.equal(b, a // 8 * 8) for a, b in drawn)
    assert {t for _, b in drawn for t in b.tolist()} == {0, 8, 16, 24, 32}
    assert spaced.fixed(10).t.tolist() == [0, 0, 8, 8, 16, 16, 24, 24, 32, 32]


PARAMS = tiny_params(
    distill_steps__iterations=8,
    distill_steps__pairs=20,
    distill_steps__guidance_scale=W,
)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A folder with data, a teacher and a DASH student."""
    folder = tmp_path_factory.mktemp("stepwise")
    make_data(folder)
    make_teacher(folder, PARAMS)
    student = student_job(folder, PARAMS, "dash")
    assert run_students([student])
    return folder


def step_job(root, folder, params=PARAMS, start=None, steps=5, start_steps=10):
    """The job of a student of `steps` steps, in a folder of its own."""
    student = start or student_job(root, params, "dash").output("model.safetensors")
    folder.mkdir(exist_ok=True)
    for name in ("prepare_data", "train_teacher", "export_tirt"):
        if not (folder / name).exists():
            (folder / name).symlink_to(root / name)
    start_stage = "train_student" if start is None else "start"
    if not (folder / start_stage).exists():
        (folder / start_stage).symlink_to(student.parent)
    item = {"dataset": "toy", "student": f"dash_k{steps}", "width": 8, "seed": 42}
    item |= {"origin": "dash", "steps": steps, "start_steps": start_steps}
    item |= {"full_steps": 10, "start_stage": start_stage}
    return FakeJob(folder, "distill_steps", params, **item)


FILES = ("model.safetensors", "history.csv", "gap.json")


def files(job):
    return [job.output(name).read_bytes() for name in FILES]


@pytest.mark.slow
def test_resumed_equals_uninterrupted_and_chains(root, tmp_path):
    whole = step_job(root, tmp_path / "whole")
    assert distill_steps(whole, CPU)
    parts = [step_job(root, tmp_path / "parts") for _ in range(3)]
    for part, stop in zip(parts, (3, 2, None), strict=True):
        part.stop_after = stop
        assert distill_steps(part, CPU) == (stop is None)
    assert files(parts[-1]) == files(whole)
    found = load_checkpoint(whole.output("model.safetensors"))
    start = load_checkpoint(student_job(root, PARAMS, "dash").output(FILES[0]))
    assert (found.role, found.step, found.config) == ("student", 8, start.config)
    rows = whole.output("history.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in rows[1:]] == [str(i) for i in range(9)]
    gap = json.loads(whole.output("gap.json").read_text())
    assert gap["pairs"] == 20 and 0 < gap["rho"] < 10
    last = step_job(root, tmp_path / "last", start=whole.output(FILES[0]), steps=1,
                    start_steps=5)  # fmt: skip
    assert distill_steps(last, CPU)
    other = json.loads(last.output("gap.json").read_text())
    assert other["rho"] != gap["rho"]


@pytest.mark.slow
def test_it_starts_as_the_student_and_moves_towards_its_targets(root, tmp_path):
    changes = {"iterations": 60, "pairs": 20, "guidance_scale": W}
    params = {**PARAMS, "distill_steps": changes}
    params["train_student"] = {**PARAMS["train_student"], "learning_rate": 2e-3}
    params["train_student"] |= {"ema_decay": 0.5}
    job = step_job(root, tmp_path / "job", params)
    assert distill_steps(job, CPU)
    lines = job.output("history.csv").read_text().splitlines()
    names = lines[0].split(",")
    losses = [float(line.split(",")[names.index("loss")]) for line in lines[2:]]
    assert np.mean(losses[-10:]) < 0.8 * np.mean(losses[:10])
    first, trained = (
        load_checkpoint(path).model.state_dict()
        for path in (student_job(root, params, "dash").output(FILES[0]),
                     job.output(FILES[0]))
    )  # fmt: skip
    moved = [float((trained[k] - first[k]).abs().max()) for k in first]
    assert 0 < max(moved) < 0.2


def test_another_schedule_is_refused(root, tmp_path):
    params = {**PARAMS, "diffusion": {**PARAMS["diffusion"], "timesteps": 100}}
    with pytest.raises(ScheduleError):
        distill_steps(step_job(root, tmp_path / "job", params), CPU)
