"""Whole trainings: packed = solo, resumed = uninterrupted, failures stay alone."""

import logging

import numpy as np
import pytest
import torch
from training_tools import (
    CPU,
    FakeJob,
    make_data,
    make_teacher,
    result,
    run_students,
    student_job,
    tiny_params,
)

from dash_repro.arrays import load_npz
from dash_repro.diffusion.schedule import ScheduleError
from dash_repro.models.checkpoint import CheckpointError, load_checkpoint
from dash_repro.models.tensorfile import load_tensors
from dash_repro.objectives.curriculum import load_curriculum
from dash_repro.training import state as state_module
from dash_repro.training.flat import unflatten
from dash_repro.training.learner import Learner, TrainingDiverged
from dash_repro.training.state import load_state, save_state
from dash_repro.training.teachers import train_teacher

PARAMS = tiny_params()
PACK = [
    ("dash", 8),
    ("scratch", 8),
    ("cond_only", 8),
    ("composite", 12),
    ("fitnets", 8),
    ("gap_match", 8),
    ("tirt_learned", 8),
    ("tirt_min_snr", 8),
    ("multi_w_composite", 8),
    ("magnitude_pruning", 4),
    ("single_head_no_cfg", 8),
]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A folder with data, a teacher and its weighting."""
    folder = tmp_path_factory.mktemp("training")
    make_data(folder)
    make_teacher(folder, PARAMS)
    return folder


@pytest.fixture
def job(root, tmp_path):
    """Makes student jobs whose own files are private to the test."""
    for name in ("prepare_data", "train_teacher", "export_tirt"):
        (tmp_path / name).symlink_to(root / name)
    return lambda student, width=8, params=PARAMS: student_job(
        tmp_path, params, student, width
    )


@pytest.fixture(scope="module")
def packed(root):
    """Bytes of all students of PACK, trained together."""
    jobs = {pair: student_job(root, PARAMS, *pair) for pair in PACK}
    assert run_students(list(jobs.values()))
    assert [job.error for job in jobs.values()] == [None] * len(jobs)
    return {pair: result(job) for pair, job in jobs.items()}


@pytest.mark.parametrize("pair", PACK)
def test_packed_equals_solo_byte_for_byte(packed, job, pair):
    solo = job(*pair)
    assert run_students([solo])
    assert solo.status == "done"
    assert result(solo) == packed[pair]


def test_students_differ(packed):
    models = [model for model, _ in packed.values()]
    assert len(set(models)) == len(models)


def test_history_rows(packed):
    _, text = packed[("dash", 8)]
    lines = text.decode().splitlines()
    columns = lines[0].split(",")
    wanted = "step,loss,lr,grad_norm,rho,cos,gap_mse,err_cond,err_uncond"
    assert lines[0] == wanted
    rows = [dict(zip(columns, line.split(","), strict=True)) for line in lines[1:]]
    assert [int(row["step"]) for row in rows] == list(range(13))
    monitored = [int(row["step"]) for row in rows if row["rho"]]
    assert monitored == [0, 5, 10, 12]
    assert rows[0]["loss"] == "" and rows[1]["loss"] != ""
    assert float(rows[1]["lr"]) == 1e-4


def test_checkpoints_of_students(packed, root):
    for pair in (("dash", 8), ("composite", 12), ("tirt_learned", 8)):
        path = student_job(root, PARAMS, *pair).output("model.safetensors")
        found = load_checkpoint(path)
        assert (found.role, found.step) == ("student", 12)
        assert found.config.width == pair[1] and found.config.blocks == 1
        assert found.config.num_classes == 3
        learned = pair[0] == "tirt_learned"
        assert (found.tirt_lambda is not None) == learned
        if learned:
            assert found.tirt_lambda.abs().max() > 0
    with pytest.raises(CheckpointError, match="does not exist"):
        load_checkpoint(root / "train_student" / "other")


def test_teacher_is_frozen(root, job):
    """Its file, its weights in memory and their gradients stay as they are."""
    path = root / "train_teacher" / "model.safetensors"
    before, weights = path.read_bytes(), load_tensors(path)[0]
    seen = []
    original = Learner.update

    def update(learner, batch, targets):
        original(learner, batch, targets)
        seen.append((targets.eps_cond.requires_grad, targets.eps_cond.grad_fn))

    from dash_repro.training import frozen

    teachers = []

    class Spy(frozen.FrozenTeacher):
        def __init__(self, *args):
            super().__init__(*args)
            teachers.append(self.model)

    from dash_repro.training import students

    patch = pytest.MonkeyPatch()
    patch.setattr(students, "FrozenTeacher", Spy)
    patch.setattr(Learner, "update", update)
    assert run_students([job("dash")])
    patch.undo()
    assert path.read_bytes() == before
    assert len(teachers) == 1 and not teachers[0].training
    for name, parameter in teachers[0].named_parameters():
        assert parameter.grad is None
        assert torch.equal(parameter, weights[f"ema.{name}"])
    assert set(seen) == {(False, None)}


@pytest.mark.parametrize(
    "stops",
    [[1], *(pytest.param(s, marks=pytest.mark.slow) for s in ([5, 4], [2, 2, 2, 2]))],
)
def test_resumed_equals_uninterrupted(packed, job, stops):
    """Both files, after any number of interruptions at any iteration."""
    pairs = [("dash", 8), ("tirt_learned", 8), ("fitnets", 8)]
    pairs += [("multi_w_composite", 8), ("magnitude_pruning", 4)]
    for stop in stops:
        jobs = [job(*pair) for pair in pairs]
        jobs[0].stop_after = stop
        assert not run_students(jobs)
        assert [one.status for one in jobs] == ["open"] * len(pairs)
        assert all(list(one.state.glob("state-*")) for one in jobs)
    jobs = [job(*pair) for pair in pairs]
    assert run_students(jobs)
    for pair, one in zip(pairs, jobs, strict=True):
        assert result(one) == packed[pair]


def test_a_network_lies_beside_its_state(packed, job):
    """With the averaged weights of that iteration: `dash-repro live` samples it."""
    for stop in (4, 3):
        one = job("dash")
        one.stop_after = stop
        assert not run_students([one])
        tensors, metadata = load_tensors(max(one.state.glob("state-*")))
        found = load_checkpoint(one.state / "network.safetensors")
        assert (found.role, found.step) == ("student", int(metadata["step"]))
        assert found.class_names == ("class0", "class1", "class2")
        wanted = unflatten(tensors["ema"], found.model)
        weights = dict(found.model.named_parameters())
        assert weights.keys() == wanted.keys()
        assert all(torch.equal(weights[name], wanted[name]) for name in wanted)
    assert found.step == 7


def test_a_full_disk_for_onlookers_stops_no_training(packed, job, monkeypatch, caplog):
    whole = Learner.save_network

    def save(self, path, *about):
        if path.name == "network.safetensors":
            raise OSError(28, "No space left on device")
        whole(self, path, *about)

    monkeypatch.setattr(Learner, "save_network", save)
    one = job("dash")
    one.stop_after = 4
    assert not run_students([one])
    assert "No space left on device" in caplog.text
    assert run_students([job("dash")])
    assert result(job("dash")) == packed[("dash", 8)]


def test_learners_at_different_iterations_meet(packed, job):
    """One was stopped at 3, one at 7, one never began: packed together later."""
    for pair, stop in ((("dash", 8), 3), (("scratch", 8), 7)):
        one = job(*pair)
        one.stop_after = stop
        assert not run_students([one])
    pairs = [("dash", 8), ("scratch", 8), ("composite", 12)]
    jobs = [job(*pair) for pair in pairs]
    assert run_students(jobs)
    for pair, one in zip(pairs, jobs, strict=True):
        assert result(one) == packed[pair]


def test_kill_while_the_state_is_written(packed, job, monkeypatch):
    """The generation before is whole, and what the kill left is swept later."""
    one = job("dash")
    one.stop_after = 4
    assert not run_students([one])

    class Killed(BaseException):
        pass

    def cut(path, tensors, metadata):
        path.with_name(path.name + ".partial").write_bytes(b"half")
        raise Killed

    two = job("dash")
    two.stop_after = 3
    monkeypatch.setattr(state_module, "save_tensors", cut)
    with pytest.raises(Killed):
        run_students([two])
    monkeypatch.undo()
    assert len(list(two.state.glob("*.partial"))) == 1
    three = job("dash")
    three.stop_after = 2
    assert not run_students([three])
    assert list(three.state.glob("*.partial")) == []
    four = job("dash")
    assert run_students([four])
    assert result(four) == packed[("dash", 8)]


def test_damaged_newest_generation_falls_back(packed, job, caplog):
    for stop in (4, 3):
        one = job("dash")
        one.stop_after = stop
        assert not run_students([one])
    newest = max(one.state.glob("state-*"))
    newest.write_bytes(newest.read_bytes()[:-50])
    two = job("dash")
    with caplog.at_level(logging.INFO):
        assert run_students([two])
    assert "passing over a damaged state" in caplog.text
    assert "resuming after iteration 4" in caplog.text
    assert result(two) == packed[("dash", 8)]


def test_two_generations_are_kept(tmp_path):
    log = logging.getLogger("test")
    assert load_state(tmp_path / "none", log) is None
    for step in (1, 2, 30):
        save_state(tmp_path, step, {"a": torch.tensor([float(step)])}, {"k": "v"})
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == [f"state-{step:010d}.safetensors" for step in (2, 30)]
    tensors, metadata = load_state(tmp_path, log)
    assert tensors["a"].item() == 30.0
    assert metadata == {"k": "v", "step": "30"}


@pytest.mark.parametrize("kind", ["nan loss", "nan gradient", "exception"])
def test_a_failing_learner_fails_alone(packed, job, monkeypatch, kind):
    original = Learner.update

    def update(learner, batch, targets):
        if "scratch" in learner.name and learner.step == 6:
            if kind == "exception":
                raise RuntimeError("broken")
            if kind == "nan loss":
                with torch.no_grad():
                    learner.model.conv_out.bias.fill_(float("nan"))
            else:
                weight = learner.model.conv_in.weight
                weight.register_hook(lambda grad: grad * float("inf"))
        original(learner, batch, targets)

    monkeypatch.setattr(Learner, "update", update)
    pairs = [("dash", 8), ("scratch", 8), ("tirt_learned", 8)]
    jobs = [job(*pair) for pair in pairs]
    assert run_students(jobs)
    assert [one.status for one in jobs] == ["done", "failed", "done"]
    wanted = RuntimeError if kind == "exception" else TrainingDiverged
    assert isinstance(jobs[1].error, wanted)
    assert not jobs[1].output("model.safetensors").exists()
    for pair, one in list(zip(pairs, jobs, strict=True))[::2]:
        assert result(one) == packed[pair]


def test_a_student_that_cannot_be_built_fails_alone(packed, job):
    params = tiny_params(students__no_an__lambda_im=0.0, students__no_an__lambda_un=0.0)
    jobs = [job("no_an", params=params), job("dash"), job("dash", width=10)]
    assert run_students(jobs)
    assert [one.status for one in jobs] == ["failed", "done", "failed"]
    assert "nothing to learn" in str(jobs[0].error)
    assert "divides the width 10" in str(jobs[2].error)
    assert result(jobs[1]) == packed[("dash", 8)]


def test_another_schedule_is_refused(job):
    one = job("dash", params=tiny_params(diffusion__timesteps=100))
    assert run_students([one])
    assert one.status == "failed" and isinstance(one.error, ScheduleError)


def test_teacher_of_other_data_is_refused(root, tmp_path):
    make_data(tmp_path, classes=4)
    for name in ("train_teacher", "export_tirt"):
        (tmp_path / name).symlink_to(root / name)
    one = student_job(tmp_path, PARAMS, "dash")
    run_students([one])
    assert isinstance(one.error, CheckpointError)
    assert "(3, 8, 3)" in str(one.error) and "(4, 8, 3)" in str(one.error)


def test_progress_is_reported(job, monkeypatch):
    monkeypatch.setenv("DASH_LOG_SECONDS", "0")
    one = job("dash")
    run_students([one])
    assert [line["step"] for line in one.lines] == list(range(1, 13))
    assert {"loss", "rho", "images_per_second", "seconds_left"} <= set(one.lines[5])
    assert one.lines[5]["images_per_second"] > 0


def teacher_job(root, params=PARAMS, teacher="tirt"):
    item = {"dataset": "toy", "teacher": teacher, "seed": 42}
    return FakeJob(root, "train_teacher", params, **item)


def teacher_files(job):
    names = ("model.safetensors", "history.csv", "curriculum.npz")
    return [job.output(name).read_bytes() for name in names]


def test_teacher_files(root):
    job = teacher_job(root)
    names = ["steps", "lambda", "omega_hat", "loss_mean", "loss_std", "loss_steps"]
    arrays = load_npz(job.output("curriculum.npz"), names)
    steps = arrays["steps"].tolist()
    assert steps[0] == 0 and steps[-1] == 12 and len(steps) <= 5
    assert arrays["lambda"].shape == arrays["omega_hat"].shape == (len(steps), 50)
    assert (arrays["lambda"][0] == 0).all() and (arrays["lambda"][-1] != 0).any()
    np.testing.assert_allclose(arrays["omega_hat"].mean(axis=1), 1.0, rtol=1e-12)
    checkpoint = load_checkpoint(job.output("model.safetensors"))
    assert checkpoint.role == "teacher" and checkpoint.config.blocks == 2
    assert (checkpoint.tirt_lambda.numpy() == arrays["lambda"][-1]).all()
    exported = root / "export_tirt" / "tirt.safetensors"
    from training_tools import tiny_schedule

    found = load_curriculum(exported, tiny_schedule())
    np.testing.assert_array_equal(found.omega_hat.numpy(), arrays["omega_hat"][-1])
    header = job.output("history.csv").read_text().splitlines()
    assert header[0] == "step,loss,lr,grad_norm" and len(header) == 13


@pytest.mark.parametrize("teacher", ["tirt", "min_snr"])
def test_teacher_resumed_equals_uninterrupted(root, tmp_path, teacher):
    (tmp_path / "prepare_data").symlink_to(root / "prepare_data")
    whole = teacher_job(tmp_path, teacher=teacher)
    assert train_teacher(whole, CPU)
    wanted = teacher_files(whole)
    (tmp_path / "again").mkdir()
    (tmp_path / "again" / "prepare_data").symlink_to(root / "prepare_data")
    for stop in (3, 4):
        part = teacher_job(tmp_path / "again", teacher=teacher)
        part.stop_after = stop
        assert not train_teacher(part, CPU)
    rest = teacher_job(tmp_path / "again", teacher=teacher)
    assert train_teacher(rest, CPU)
    assert teacher_files(rest) == wanted
    learned = load_checkpoint(rest.output("model.safetensors")).tirt_lambda
    assert (learned is None) == (teacher == "min_snr")


def test_diverging_teacher_raises(root, tmp_path):
    (tmp_path / "prepare_data").symlink_to(root / "prepare_data")
    params = tiny_params(train_teacher__learning_rate=1e30)
    with pytest.raises(TrainingDiverged, match="not a number"):
        train_teacher(teacher_job(tmp_path, params), CPU)
    assert not (tmp_path / "train_teacher").exists()
