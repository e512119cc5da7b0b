"""The same trainings on a GPU: repeatable, resumable, and in half precision."""

import pytest
import torch
from training_tools import (
    FakeJob,
    make_data,
    make_teacher,
    result,
    student_job,
    tiny_params,
)

from dash_repro import runtime
from dash_repro.models.checkpoint import load_checkpoint
from dash_repro.training.students import train_students
from dash_repro.training.teachers import train_teacher

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


@pytest.fixture(params=["fp32", "fp16"])
def params(request):
    numerics = request.param
    return tiny_params(
        train_teacher__numerics=numerics, train_student__numerics=numerics
    )


def test_repeatable_packed_and_resumed(tmp_path, params):
    device = runtime.configure(params["train_student"]["numerics"])
    make_data(tmp_path)
    make_teacher(tmp_path, tiny_params())
    names = ["dash", "fitnets", "tirt_learned"]
    jobs = [student_job(tmp_path, params, name) for name in names]
    assert train_students(jobs, device)
    assert [job.error for job in jobs] == [None] * 3
    wanted = [result(job) for job in jobs]
    for name, bytes_ in zip(names, wanted, strict=True):
        solo = student_job(tmp_path, params, name)
        solo.stop_after = 5
        assert not train_students([solo], device)
        solo = student_job(tmp_path, params, name)
        assert train_students([solo], device)
        assert result(solo) == bytes_


def test_teacher_learns_in_either_precision(tmp_path, params):
    params["train_teacher"].update(iterations=60, learning_rate=2e-3)
    numerics = params["train_teacher"]["numerics"]
    make_data(tmp_path)
    job = FakeJob(
        tmp_path, "train_teacher", params, dataset="toy", teacher="tirt", seed=42
    )
    assert train_teacher(job, runtime.configure(numerics))
    lines = job.output("history.csv").read_text().splitlines()[1:]
    losses = [float(line.split(",")[1]) for line in lines]
    assert sum(losses[-10:]) < 0.9 * sum(losses[:10])
    weights = load_checkpoint(job.output("model.safetensors")).model.parameters()
    assert all(p.dtype == torch.float32 and p.isfinite().all() for p in weights)
