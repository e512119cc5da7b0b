"""Recorded and compiled steps, as far as a CPU can tell.

A stand-in for the recording calls the work again: what is proved here is that the work
reads and writes fixed memory and that the host does the rest, not that CUDA records it
(test_launch_gpu.py).
"""

import pytest
import torch
from training_tools import (
    CPU,
    diverge_at,
    make_data,
    make_teacher,
    record_steps,
    result,
    run_students,
    student_job,
    tiny_params,
)

from dash_repro import launch
from dash_repro.graphs import WARM_UP, GraphedNetwork
from dash_repro.models import compiled
from dash_repro.models.layers import Dropout, DropoutMasks
from dash_repro.models.tensorfile import load_tensors
from dash_repro.models.unet import UNetConfig, build_unet
from dash_repro.training import steps, students, teachers
from dash_repro.training.flat import FlatParameters, unflatten
from runledger.errors import UserError

PARAMS = tiny_params()
TINY = UNetConfig(8, 1, 3, (1, 2, 2, 2), 4, 0.1, 4, 1e-6, 8)
NAMES = ["dash", "scratch", "fitnets", "tirt_learned"]


class Recorder:
    """Counts recordings and replays, and replays by doing the work again."""

    def __init__(self):
        self.recorded, self.replayed = 0, 0

    def __call__(self, work, generators=()):
        self.recorded += 1
        self.generators = list(generators)

        def replay():
            self.replayed += 1
            work()

        return replay


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("launch")
    make_data(folder)
    make_teacher(folder, PARAMS)
    return folder


@pytest.fixture(scope="module")
def wanted(root):
    """What eager steps end in."""
    jobs = [student_job(root, PARAMS, name) for name in NAMES]
    assert run_students(jobs)
    return {job.item["student"]: result(job) for job in jobs}


@pytest.fixture
def job(root, tmp_path):
    for name in ("prepare_data", "train_teacher", "export_tirt"):
        (tmp_path / name).symlink_to(root / name)
    return lambda student: student_job(tmp_path, PARAMS, student)


@pytest.fixture
def recorder(monkeypatch):
    """All training steps are GraphSteps with a stand-in for the recording."""
    return record_steps(monkeypatch, Recorder())


@pytest.mark.slow
def test_recorded_steps_end_in_the_bytes_of_eager_ones(wanted, job, recorder):
    """So noise, timesteps, images, dropout and rates are fresh in every replay."""
    jobs = [job(name) for name in NAMES]
    assert run_students(jobs)
    assert {one.item["student"]: result(one) for one in jobs} == wanted
    assert recorder.recorded == 1
    assert recorder.replayed == 12 - WARM_UP
    assert len(recorder.generators) == 1 + len(NAMES)


def test_recorded_steps_resume(wanted, job, recorder):
    for stop in (5, 2):
        one = job("tirt_learned")
        one.stop_after = stop
        assert not run_students([one])
    one = job("tirt_learned")
    assert run_students([one])
    assert result(one) == wanted["tirt_learned"]


def test_a_failing_learner_leaves_the_recording(wanted, job, recorder, monkeypatch):
    """One that diverges in a replay is found, and the rest are recorded anew."""
    diverge_at(monkeypatch, "scratch", 6)
    jobs = [job("scratch"), job("tirt_learned")]
    assert run_students(jobs)
    assert [one.status for one in jobs] == ["failed", "done"]
    assert recorder.recorded == 2
    assert result(jobs[1]) == wanted["tirt_learned"]


def test_launch_is_eager_on_a_cpu(monkeypatch):
    monkeypatch.delenv("DASH_LAUNCH", raising=False)
    assert launch.launch_mode("cuda") == "graph"
    monkeypatch.setenv("DASH_LAUNCH", "graph")
    assert launch.launch_mode("cpu") == "eager"
    assert launch.launch_mode("cuda") == "graph"
    monkeypatch.setenv("DASH_LAUNCH", "quick")
    with pytest.raises(UserError, match="DASH_LAUNCH"):
        launch.launch_mode("cpu")
    assert isinstance(steps.make_steps(_Source(), None, "compile"), steps.GraphSteps)
    assert type(steps.make_steps(_Source(), None, "eager")) is steps.EagerSteps


class _Source:
    device = CPU


def test_graphed_network_copies_its_inputs_into_place():
    model, recorder = build_unet(TINY, 0).eval(), Recorder()
    network = GraphedNetwork(model, recorder)
    with torch.inference_mode():
        for rows in (2, 3, 2):
            x, t = torch.randn(rows, 3, 8, 8), torch.randint(50, (rows,))
            y = torch.arange(rows)
            assert torch.equal(network(x, t, y), model(x, t, y))
    assert (recorder.recorded, recorder.replayed) == (2, 3)


def test_masks_drawn_beforehand_are_the_layers_own():
    """Same generator, same order, same masks, hence the same output bit for bit."""
    model = build_unet(TINY, 0).train()
    rng = torch.Generator()
    model.set_dropout_generator(rng)
    inputs = (torch.randn(5, 3, 8, 8), torch.arange(5), torch.zeros(5).long())
    rng.manual_seed(3)
    wanted = model(*inputs)
    masks = DropoutMasks(model, tuple(v[:1] for v in inputs), 5, rng)
    assert model.training and len(masks.layers) == sum(
        isinstance(part, Dropout) for part in model.modules()
    )
    rng.manual_seed(3)
    masks.draw()
    assert torch.equal(model(*inputs), wanted)
    masks.draw()
    assert not torch.equal(model(*inputs), wanted)


def test_channels_last_memory_is_filed_channels_first():
    models = [build_unet(TINY, 0) for _ in range(2)]
    plain = FlatParameters([models[0]])
    laid = FlatParameters([models[1]], channels_last=True)
    kernel = models[1].encoder[1][0].conv1.weight
    assert kernel.is_contiguous(memory_format=torch.channels_last)
    assert not torch.equal(plain.values, laid.values)
    assert torch.equal(laid.canonical(laid.values.detach()), plain.values)
    assert torch.equal(laid.from_canonical(plain.values.detach()), laid.values)
    found = unflatten(laid.canonical(laid.values.detach()), models[1])
    for name, value in models[0].named_parameters():
        assert torch.equal(found[name], value)


def use_launch(monkeypatch, launch):
    for module in (students, teachers):
        monkeypatch.setattr(module, "launch_mode", lambda _: launch)


@pytest.mark.slow
def test_compiled_steps_agree_and_exchange_states(wanted, job, recorder, monkeypatch):
    """Traced whole, no part left to Python; a state of one resumes in the other."""
    monkeypatch.setattr(compiled, "BACKEND", "eager")
    use_launch(monkeypatch, "compile")
    one = job("dash")
    one.stop_after = 5
    assert not run_students([one])
    use_launch(monkeypatch, "eager")
    two = job("dash")
    assert run_students([two])
    path = two.output("model.safetensors")
    other = path.with_name("wanted.safetensors")
    other.write_bytes(wanted["dash"][0])
    found, expected = load_tensors(path)[0], load_tensors(other)[0]
    for key, value in expected.items():
        torch.testing.assert_close(found[key], value, atol=1e-5, rtol=1e-3)


@pytest.mark.slow
def test_what_inductor_is_given_suits_a_gpu():
    """No gradient that is added index by index, and no map that lies channels first.

    The former took a sixth of a compiled step on an H100; cuDNN would copy the latter
    at each convolution. The operations are those of Inductor's own decompositions.
    """
    # the compiler takes long to import, and every worker imports every test
    from functorch.compile import make_boxed_func
    from torch._dynamo.backends.common import aot_autograd
    from torch._inductor.decomposition import select_decomp_table

    graphs = []

    def keep(graph, inputs):
        graphs.append(list(graph.graph.nodes))
        return make_boxed_func(graph.forward)

    network = build_unet(TINY, 0).train()
    network.use_channels_last()
    for layer in network.modules():
        if isinstance(layer, Dropout):
            layer.p = 0.0
    backend = aot_autograd(
        fw_compiler=keep, bw_compiler=keep, decompositions=select_decomp_table()
    )
    call = torch.compile(network, backend=backend, fullgraph=True, dynamic=False)
    rng = torch.Generator().manual_seed(0)
    x = torch.randn(2, 3, 8, 8, generator=rng)
    t, y = torch.tensor([3, 40]), torch.tensor([0, 2])
    gradients = []
    for run in (call, network):
        network.zero_grad()
        run(x, t, y).square().sum().backward()
        gradients.append(torch.cat([p.grad.flatten() for p in network.parameters()]))
    apart = (gradients[0] - gradients[1]).norm() / gradients[1].norm()
    assert apart < 1e-5
    nodes = [node for graph in graphs for node in graph if node.op == "call_function"]
    assert not [node for node in nodes if "index_put." in str(node.target)]
    # the input of a convolution, and the gradient of its output
    maps = [
        node.args[0].meta["val"] for node in nodes if "convolution" in str(node.target)
    ]
    assert len(graphs) == 2 and len(maps) == 2 * sum(
        isinstance(layer, torch.nn.Conv2d) for layer in network.modules()
    )
    assert {one.stride(1) for one in maps if one.shape[2] > 1} == {1}
