"""Branches that only a GPU takes, without one: fake tensors, and what memory allows."""

import logging

import pytest
import torch
from capture import Rules
from fake_cuda import CUDA, FakeStream, fake_cuda
from training_tools import (
    CPU,
    ROOT,
    make_data,
    make_teacher,
    result,
    run_students,
    student_job,
    tiny_params,
)

from bench.presets import PRESETS
from bench.work import OurTraining, Work
from dash_repro.evaluation.profile import LiveTensors
from dash_repro.launch import channels_last
from dash_repro.models.unet import UNetConfig, build_unet
from dash_repro.params import load_params
from dash_repro.training import memory, steps, students
from dash_repro.training.learner import TrainingDiverged
from runledger.errors import UserError

pytestmark = pytest.mark.slow

TINY = UNetConfig(8, 1, 3, (1, 2, 2, 2), 4, 0.1, 4, 1e-6, 8)
NAMES = ["dash", "scratch", "tirt_learned"]


@pytest.mark.parametrize("numerics", ["fp32", "fp16"])
def test_a_recorded_step_on_a_fake_gpu(numerics):
    """All of it is on the GPU, nothing waits; scaler and optimiser work in place."""
    preset, found = PRESETS["rehearsal"], []

    def record(work, generators):
        rules = Rules(generators, "cuda")
        with rules:
            work()
        found.append(rules)
        return lambda: None

    with fake_cuda() as operations:
        work = Work(preset, load_params(ROOT / preset.params), CUDA)
        training = OurTraining(work, 8, 3, "graph", numerics)
        training.steps = steps.GraphSteps(training.source, training.teacher, record)
        for _ in range(steps.WARM_UP + 1):
            failures = training.steps(training.learners, training.learners[0].step)
            assert failures == {}
        (rules,) = found
        assert len(rules.ops) > 1000
        half = operations.called["_amp_update_scale_"]
        assert half == (12 if numerics == "fp16" else 0)
        assert operations.called["_fused_adam_"] == 12
        for learner in training.learners:
            (group,) = learner.optimizer.param_groups
            assert group["capturable"] and group["lr"].device.type == "cuda"
            (state,) = learner.optimizer.state.values()
            assert state["step"].device.type == "cuda"
        streams = training.steps._streams
        assert len(streams) == 3
        # each student's work comes after the batch, and the step's end after all
        assert all(isinstance(one, FakeStream) and one.waited for one in streams)
        assert set(streams) <= set(training.steps._stream.waited)


def test_layouts_by_device_and_launch():
    assert channels_last("cpu", "eager") and channels_last("cuda", "compile")
    assert not channels_last("cuda", "graph")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("memory")
    make_data(folder)
    make_teacher(folder, tiny_params())
    return folder


@pytest.fixture(scope="module")
def wanted(root):
    jobs = [student_job(root, tiny_params(), name) for name in NAMES]
    assert run_students(jobs)
    return {job.item["student"]: result(job) for job in jobs}


@pytest.fixture
def jobs(root, tmp_path):
    for name in ("prepare_data", "train_teacher", "export_tirt"):
        (tmp_path / name).symlink_to(root / name)
    return [student_job(tmp_path, tiny_params(), name) for name in NAMES]


@pytest.fixture
def packs(monkeypatch):
    """How many were trained together, each time."""
    found, right = [], students.train

    def train(tasks, *rest):
        found.append(len(tasks))
        return right(tasks, *rest)

    monkeypatch.setattr(students, "train", train)
    return found


def test_students_that_do_not_fit_are_trained_in_halves(
    wanted, jobs, packs, monkeypatch
):
    """Foreseen: nothing is begun that would end at the recording."""
    teacher = UNetConfig(8, 2, 3, (1, 2, 2, 2), 4, 0.1, 4, 1e-6, 8)
    two = memory.pack_bytes([(TINY, 2)] * 2, teacher, 4, "fp32", "eager")
    monkeypatch.setattr(students, "free_bytes", lambda _: two)
    assert run_students(jobs)
    assert packs == [1, 2]
    assert {job.item["student"]: result(job) for job in jobs} == wanted


def test_running_out_of_memory_on_the_way_halves_the_pack(
    wanted, jobs, packs, monkeypatch
):
    right, failed = steps.EagerSteps.__call__, []

    def call(self, learners, step):
        if step == 5 and len(learners) > 1:
            failed.append(step)
            raise torch.OutOfMemoryError("CUDA out of memory")
        return right(self, learners, step)

    monkeypatch.setattr(steps.EagerSteps, "__call__", call)
    assert run_students(jobs)
    assert packs == [3, 1, 2, 1, 1] and failed == [5, 5]
    assert {job.item["student"]: result(job) for job in jobs} == wanted


def test_one_that_does_not_fit_alone_says_so(jobs, monkeypatch):
    def call(self, learners, step):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(steps.EagerSteps, "__call__", call)
    assert run_students(jobs)
    for job in jobs:
        assert isinstance(job.error, UserError)
        assert "memory is too small" in str(job.error)


@pytest.mark.parametrize("numerics", ["fp32", "fp16"])
def test_activations_are_foreseen(numerics):
    """Against the tensors that live after a forward with gradients."""
    model, rows = build_unet(TINY, 0).train(), 4
    x, t = torch.randn(rows, 3, 8, 8), torch.zeros(rows, dtype=torch.int64)
    half = torch.autocast("cpu", torch.float16, enabled=numerics == "fp16")
    with LiveTensors(model.parameters()) as live, half:
        before = live.live
        out = model(x, t, t)
        kept = live.live - before
    assert out.requires_grad
    foreseen = memory.activation_bytes(TINY, rows, numerics)
    assert 0.7 * kept < foreseen < 1.3 * kept


def test_the_papers_packs_need_what_docs_say():
    """Sixteen students of width 96 are too many for 40 GiB, and eager ones are not."""
    teacher = UNetConfig(128, 2, 10, (1, 2, 2, 2), 16, 0.1, 32, 1e-6, 32)
    wide = UNetConfig(96, 1, 10, (1, 2, 2, 2), 16, 0.1, 32, 1e-6, 32)
    args = ([(wide, 2)] * 16, teacher, 64, "fp16")
    assert 40 < memory.pack_bytes(*args, "graph") / memory.GIB < 60
    assert memory.pack_bytes(*args, "eager") / memory.GIB < 12


def a_learner(numerics="fp16"):
    preset = PRESETS["rehearsal"]
    work = Work(preset, load_params(ROOT / preset.params), CPU)
    training = OurTraining(work, 8, 1, "eager", numerics)
    training.step()
    return training, training.learners[0]


def test_a_failed_learner_keeps_no_activations(monkeypatch):
    """Its error is kept to the end of the pack; its traceback's variables are not."""
    training, learner = a_learner("fp32")
    seen = []

    def fail(*args):
        large = torch.zeros(10)
        seen.append(
            memory.torch.multiprocessing.reductions.StorageWeakRef(
                large.untyped_storage()
            )
        )
        raise ValueError("broken")

    monkeypatch.setattr(learner, "compute", fail)
    failures = training.steps([learner], learner.step)
    assert str(failures[learner]) == "broken" and failures[learner].__traceback__
    assert seen[0].expired()


def test_skipped_steps_do_not_empty_the_gradient_norm():
    _, learner = a_learner()
    learner._pending[:3] = torch.tensor([[1.0, 2.0], [1.0, float("inf")], [1.0, 4.0]])
    learner._filled = 3
    learner.record({})
    assert learner.history[-1]["grad_norm"] == 3.0
    learner._pending[:2] = torch.tensor([[1.0, float("inf")]] * 2)
    learner._filled = 2
    learner.record({})
    assert learner.history[-1]["grad_norm"] != learner.history[-1]["grad_norm"]


def test_a_training_whose_every_step_is_skipped_is_stopped(monkeypatch):
    """Gradients that overflow at any scale: the network would stay as it was."""
    training, learner = a_learner()
    learner.check()
    forward = learner.objective.forward

    def huge(*args):
        loss = forward(*args)
        return loss + (loss - loss.detach()) * float("inf")

    monkeypatch.setattr(learner.objective, "forward", huge)
    before = learner.flat.values.detach().clone()
    for _ in range(15):
        training.steps(training.learners, learner.step)
    learner._pending[:, 0] = 1.0
    learner.check()  # as many may be skipped at the beginning of any training
    for _ in range(3):
        training.steps(training.learners, learner.step)
    assert torch.equal(learner.flat.values, before)
    learner._pending[:, 0] = 1.0
    with pytest.raises(TrainingDiverged, match="step after step is skipped"):
        learner.check()


def test_going_on_with_another_model_of_gpu_is_said(jobs, caplog, monkeypatch):
    name = "NVIDIA A100, 108 multiprocessors"
    job = jobs[0]
    job.stop_after = 5
    with monkeypatch.context() as patch:
        patch.setattr("dash_repro.training.learner.generator_of", lambda _: name)
        assert not run_students([job])
    job.stop_after = None
    with caplog.at_level(logging.WARNING):
        assert run_students([job])
    assert name in caplog.text and "as with another seed" in caplog.text
    caplog.clear()
    job = jobs[1]
    job.stop_after = 5
    assert not run_students([job])
    job.stop_after = None
    assert run_students([job])
    assert "seed" not in caplog.text
