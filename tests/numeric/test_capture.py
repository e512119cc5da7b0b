"""Recorded steps under the rules of CUDA graphs (docs/gpu.md has their sources).

`capture.Capture` replays the operations that were noted, not the Python code: what is
proved is that a recording of the step would be right on a device that records.
"""

import pytest
import torch
from capture import Capture, CaptureError, Rules
from training_tools import (
    CPU,
    ROOT,
    FakeJob,
    diverge_at,
    make_data,
    make_teacher,
    record_steps,
    result,
    run_students,
    student_job,
    tiny_params,
    tiny_schedule,
)

from bench.presets import PRESETS
from bench.work import OurTraining, Work
from dash_repro.diffusion.ddim import constant_guidance, ddim_sample
from dash_repro.graphs import WARM_UP, GraphedNetwork
from dash_repro.models.precision import inference_network
from dash_repro.models.unet import UNetConfig, build_unet
from dash_repro.params import load_params
from dash_repro.training import loop, optimizer, steps
from dash_repro.training.teachers import train_teacher

pytestmark = pytest.mark.slow

TINY = UNetConfig(8, 1, 3, (1, 2, 2, 2), 4, 0.1, 4, 1e-6, 8)
NAMES = ["dash", "scratch", "fitnets", "tirt_learned", "composite", "gap_match"]


@pytest.fixture
def capture(monkeypatch):
    """All training steps are recorded, with an optimiser as on a GPU."""
    return record_steps(monkeypatch, Capture())


@pytest.fixture(scope="module", params=["fp32", "fp16"])
def params(request):
    return tiny_params(
        train_teacher__numerics=request.param, train_student__numerics=request.param
    )


@pytest.fixture(scope="module")
def root(params, tmp_path_factory):
    folder = tmp_path_factory.mktemp("capture")
    make_data(folder)
    make_teacher(folder, params)
    return folder


@pytest.fixture(scope="module")
def wanted(root, params):
    """What eager steps end in, with a rate that is a tensor, as on a GPU."""
    with pytest.MonkeyPatch.context() as patch:
        on_the_device(patch)
        jobs = [student_job(root, params, name) for name in NAMES]
        assert run_students(jobs)
        return {job.item["student"]: result(job) for job in jobs}


def on_the_device(patch):
    """Learners keep rate and step count in tensors, whatever the device."""
    right = optimizer.build_optimizer

    def build(settings, trained, rates, device, launch):
        built = right(settings, trained, rates, device, launch)
        for group in built.param_groups:
            group["lr"] = torch.tensor(group["lr"])
            group["capturable"] = True
        return built

    patch.setattr("dash_repro.training.learner.build_optimizer", build)


def linked(root, tmp_path):
    for name in ("prepare_data", "train_teacher", "export_tirt"):
        (tmp_path / name).symlink_to(root / name)


def test_a_recorded_pack_ends_in_the_bytes_of_eager_steps(
    root, params, wanted, capture, tmp_path, monkeypatch
):
    """Noise, images, dropout and rates are fresh in each replay; nothing is frozen."""
    on_the_device(monkeypatch)
    linked(root, tmp_path)
    jobs = [student_job(tmp_path, params, name) for name in NAMES]
    assert run_students(jobs)
    assert [job.error for job in jobs] == [None] * len(NAMES)
    assert (capture.recorded, capture.replayed) == (1, 12 - WARM_UP)
    assert {job.item["student"]: result(job) for job in jobs} == wanted
    assert capture.last.draws > len(NAMES)


def test_a_recorded_teacher_ends_in_the_bytes_of_eager_steps(
    root, params, capture, tmp_path, monkeypatch
):
    """TIRT's lambda is learned, its own rate and moments with it."""
    on_the_device(monkeypatch)
    item = {"dataset": "toy", "teacher": "tirt", "seed": 42}
    (tmp_path / "prepare_data").symlink_to(root / "prepare_data")
    job = FakeJob(tmp_path, "train_teacher", params, **item)
    assert train_teacher(job, CPU)
    assert capture.recorded == 1
    recorded = job.output("model.safetensors").read_bytes()
    monkeypatch.setattr(loop, "make_steps", steps.make_steps)
    job = FakeJob(tmp_path / "eager", "train_teacher", params, **item)
    job.input = lambda *_: root / "prepare_data" / "images.npz"
    assert train_teacher(job, CPU)
    assert job.output("model.safetensors").read_bytes() == recorded


def test_what_a_recording_freezes_is_seen(root, params, wanted, capture, tmp_path):
    """Without a rate in a tensor the first rate would be that of all steps."""
    linked(root, tmp_path)
    job = student_job(tmp_path, params, "dash")
    assert run_students([job])
    assert result(job) != wanted["dash"]


@pytest.mark.parametrize("width", [8, None], ids=["students", "teacher"])
def test_learners_hold_all_the_memory_that_a_recorded_step_reads(width):
    """What a graph reads must outlive it; nobody looks when it is replayed."""
    preset, capture = PRESETS["rehearsal"], Capture()
    work = Work(preset, load_params(ROOT / preset.params), CPU)
    training = OurTraining(work, width, 2, "eager", "fp32")
    training.steps = steps.GraphSteps(training.source, training.teacher, capture)
    for _ in range(WARM_UP + 1):
        training.step()
    assert len(capture.last.outside) > 10 and capture.lost() == 0


def refused(work, generators=()):
    with pytest.raises(CaptureError) as error:
        Capture()(work, generators)
    return str(error.value)


def test_what_may_not_be_recorded_is_refused():
    x, rng = torch.randn(4), torch.Generator()
    assert "waits" in refused(lambda: x.sum().item())
    assert "waits" in refused(lambda: bool(x.sum() > 0))
    assert "waits" in refused(lambda: x.nonzero())
    assert "mask" in refused(lambda: x[x > 0])
    assert "not registered" in refused(lambda: torch.randn(3))
    assert "not registered" in refused(lambda: torch.randn(3, generator=rng))
    assert "not registered" in refused(lambda: torch.nn.functional.dropout(x))
    Capture()(lambda: torch.randn(3, generator=rng), [rng])


def test_a_recording_takes_no_effect_until_it_is_replayed():
    x, rng = torch.zeros(3), torch.Generator().manual_seed(1)
    before = rng.get_state()
    replay = Capture()(lambda: x.add_(torch.rand(3, generator=rng)), [rng])
    assert torch.equal(x, torch.zeros(3)) and torch.equal(rng.get_state(), before)
    replay()
    first = x.clone()
    replay()
    assert (x > first).all() and not torch.equal(x, 2 * first)


def test_memory_that_nothing_holds_is_found():
    capture, x = Capture(), torch.zeros(3)

    kept = torch.ones(3)
    capture(lambda: x.add_(kept))
    assert capture.lost() == 0
    passing = [torch.ones(3)]
    capture(lambda: x.add_(passing[0]))
    passing.clear()
    assert capture.lost() == 1


@pytest.mark.parametrize("numerics", ["fp32", "fp16"])
def test_a_recorded_network_samples_as_the_eager_one(numerics):
    """One recording a shape; t, labels and the state are copied into place."""
    network = inference_network(build_unet(TINY, 0), numerics, CPU)
    capture = Capture()
    graphed = GraphedNetwork(network, capture)
    schedule = tiny_schedule()
    noise, labels = torch.randn(3, 3, 8, 8), torch.arange(3)
    args = (schedule, noise, labels, 3, 5, constant_guidance(4.0))
    expected = ddim_sample(network, *args)
    assert torch.equal(ddim_sample(graphed, *args), expected)
    assert (capture.recorded, capture.replayed) == (1, 5)


def test_a_diverged_student_leaves_and_the_rest_are_recorded_anew(
    root, params, wanted, capture, tmp_path, monkeypatch
):
    on_the_device(monkeypatch)
    linked(root, tmp_path)
    diverge_at(monkeypatch, "scratch", 6)
    jobs = [student_job(tmp_path, params, name) for name in ("scratch", "dash")]
    assert run_students(jobs)
    assert [job.status for job in jobs] == ["failed", "done"]
    assert capture.recorded == 2
    assert result(jobs[1]) == wanted["dash"]


def test_rules_keep_to_one_device():
    rules = Rules([], "meta")
    with rules, pytest.raises(CaptureError, match="moves data to the cpu"):
        torch.zeros(3, device="meta").to("cpu")
    here = torch.ones(3)
    with rules, pytest.raises(CaptureError, match="reads memory of the cpu"):
        here + 1
