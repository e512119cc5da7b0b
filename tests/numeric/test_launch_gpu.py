"""Graphs and compiled networks on a GPU; docs/gpu.md says which device has run them."""

import pytest
import torch
from training_tools import (
    make_data,
    make_teacher,
    result,
    student_job,
    tiny_params,
)

from dash_repro import runtime
from dash_repro.graphs import GraphedNetwork, record, side_stream
from dash_repro.models.compiled import launched
from dash_repro.models.precision import inference_network
from dash_repro.models.tensorfile import load_tensors
from dash_repro.models.unet import UNetConfig, build_unet
from dash_repro.training.students import train_students

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
TINY = UNetConfig(8, 1, 3, (1, 2, 2, 2), 4, 0.1, 4, 1e-6, 8)
NAMES = ["dash", "fitnets", "tirt_learned", "scratch"]


@pytest.fixture(params=["fp32", "fp16"])
def params(request):
    return tiny_params(
        train_teacher__numerics=request.param, train_student__numerics=request.param
    )


def train(root, params, names, launch, monkeypatch, stop=None):
    """Bytes of these students by name; None where they were stopped."""
    monkeypatch.setenv("DASH_LAUNCH", launch)
    device = runtime.configure(params["train_student"]["numerics"])
    jobs = [student_job(root, params, name) for name in names]
    jobs[0].stop_after = stop
    complete = train_students(jobs, device)
    assert complete == (stop is None)
    assert [job.error for job in jobs] == [None] * len(jobs)
    return {job.item["student"]: result(job) for job in jobs} if complete else None


@pytest.fixture
def root(tmp_path):
    make_data(tmp_path)
    make_teacher(tmp_path, tiny_params())
    return tmp_path


def test_graph_ends_in_the_bytes_of_eager(root, params, monkeypatch):
    """Packed on parallel streams, alone, and resumed: all the same."""
    wanted = train(root, params, NAMES, "eager", monkeypatch)
    assert train(root, params, NAMES, "graph", monkeypatch) == wanted
    assert train(root, params, NAMES[2:3], "graph", monkeypatch) == {
        NAMES[2]: wanted[NAMES[2]]
    }
    train(root, params, NAMES, "graph", monkeypatch, stop=6)
    assert train(root, params, NAMES, "graph", monkeypatch) == wanted


def test_compiled_agrees_with_eager_and_repeats(root, monkeypatch):
    params = tiny_params()
    wanted = train(root, params, ["dash"], "eager", monkeypatch)["dash"]
    found = train(root, params, ["dash"], "compile", monkeypatch)["dash"]
    assert train(root, params, ["dash"], "compile", monkeypatch)["dash"] == found
    paths = []
    for index, content in enumerate((wanted, found)):
        paths.append(root / f"{index}.safetensors")
        paths[-1].write_bytes(content[0])
    expected, values = (load_tensors(path)[0] for path in paths)
    for name, value in expected.items():
        torch.testing.assert_close(values[name], value, atol=1e-5, rtol=1e-3)


def test_a_replay_draws_what_its_seed_says():
    device = runtime.configure()
    rng, out = torch.Generator(device), torch.zeros(1000, device=device)

    def work():
        out.copy_(torch.randn(1000, generator=rng, device=device))

    wanted = []
    for seed in (1, 2):
        rng.manual_seed(seed)
        work()
        wanted.append(out.clone())
    with side_stream(device):
        replay = record(work, [rng])
        for seed, expected in zip((1, 2), wanted, strict=True):
            rng.manual_seed(seed)
            replay()
            assert torch.equal(out, expected)


@pytest.mark.parametrize("numerics", ["fp32", "fp16"])
def test_graphed_forward_equals_the_eager_one(numerics):
    device = runtime.configure(numerics)
    network = inference_network(build_unet(TINY, 0), numerics, device)
    graphed = launched(network, "graph")
    assert isinstance(graphed, GraphedNetwork)
    with torch.inference_mode():
        for seed in range(3):
            rng = torch.Generator().manual_seed(seed)
            x = torch.randn(4, 3, 8, 8, generator=rng).to(device)
            t = torch.randint(1000, (4,), generator=rng).to(device)
            y = torch.randint(3, (4,), generator=rng).to(device)
            assert torch.equal(graphed(x, t, y), network(x, t, y))
