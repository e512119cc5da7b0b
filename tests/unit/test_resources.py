"""What jobs ask of a cluster: counted work, spelled as the site wants it."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from places import python_path

from dash_repro.preflight import TOGETHER, check_pdf
from dash_repro.resources import Counter, network_cost
from runledger.errors import UserError
from runledger.preflight import disk_of, packed_hours, plan_of
from runledger.project import load_pipeline
from runledger.resources import Asks, Site, Work

ROOT = Path(__file__).resolve().parents[2]
PAPER = yaml.safe_load((ROOT / "params.yaml").read_text())
GPU = Asks(gpu=True)
STUDENT = {"dataset": "cifar10", "student": "dash", "width": 64, "seed": 42}


@pytest.mark.parametrize(
    ("width", "blocks", "size", "channels"),
    [(128, 2, 32, 3), (64, 1, 32, 3), (48, 1, 32, 1), (96, 1, 16, 3)],
)
def test_counted_work_is_that_of_the_real_network(
    width, blocks, size, channels
) -> None:
    from dash_repro.models.flops import count_flops
    from dash_repro.models.unet import UNet, UNetConfig

    network = PAPER["network"]
    shape = (width, blocks, 10, size, channels)
    model = UNet(UNetConfig.from_params(network, *shape))
    parameters = sum(p.numel() for p in model.parameters())
    parameters -= model.label.weight.numel()
    found = network_cost(network, width, blocks, size, channels)
    assert found == (count_flops(model), parameters)


def test_known_training_costs() -> None:
    """A dash step at width 64: two teacher passes, two student passes with gradient."""
    work = Counter(PAPER).train_student(STUDENT)
    step = 2 * 12.4437e9 + 2 * 3 * 2.1520e9
    assert work.flop == pytest.approx(234_000 * 64 * step, rel=1e-4)
    teacher = Counter(PAPER).train_teacher({"dataset": "cifar10"})
    assert teacher.flop == pytest.approx(391_000 * 64 * 3 * 12.4437e9, rel=1e-4)


def test_cost_of_distilling_to_fewer_steps() -> None:
    """Both branches: of the student with gradient, and of each of five inner steps."""
    item = {**STUDENT, "student": "dash_k10", "steps": 10, "start_steps": 50}
    work = Counter(PAPER).distill_steps(item)
    step = 2 * (3 + 5) * 2.1520e9
    assert work.flop == pytest.approx(50_000 * 64 * step, rel=1e-4)


def test_samples_without_guidance_take_one_branch() -> None:
    about = {"width": 64, "model_stage": "train_student", "guidance": "constant"}
    about |= {"dataset": "cifar10", "model": "single_head_no_cfg", "steps": 50}
    one, two = (
        Counter(PAPER).generate_samples({**about, "scale": scale}).flop
        for scale in (1.0, 4.0)
    )
    assert two == 2 * one


def test_packed_students_share_the_teacher() -> None:
    counter = Counter(PAPER)
    four = [
        {**STUDENT, "student": name} for name in ("dash", "no_un", "no_im", "no_an")
    ]
    alone = counter.train_student(STUDENT).flop
    teacher = 234_000 * 64 * 2 * 12.4437e9
    found = counter.packed(four).flop
    assert found == pytest.approx(4 * alone - 3 * teacher, rel=1e-4)


def test_time_follows_length_and_width_up_to_the_limit() -> None:
    site = Site.from_config({"max_minutes": 100_000})
    counter = Counter(PAPER)
    works = [
        counter.train_student({**STUDENT, "width": width}) for width in (48, 64, 96)
    ]
    times = [site.resources("train_student", GPU, work)["runtime"] for work in works]
    assert times == sorted(set(times))
    expected = 10 + 1.5 * works[1].flop / 40e12 / 60
    assert times[1] == pytest.approx(expected, abs=1)
    short = Site.from_config({"max_minutes": 60}).resources(
        "train_student", GPU, works[1]
    )
    assert short["runtime"] == 60


def test_time_leaves_room_for_the_warning() -> None:
    site = Site.from_config({"startup_minutes": 0.5, "warning_seconds": 180})
    assert site.resources("make_table", Asks(), Work())["runtime"] == 4
    asked = site.resources("compute_metrics", Asks(kind="features"), Work(2.5e9))
    assert (asked["work"], asked["work_kind"]) == (2500, "features")


def test_the_gpu_is_spelled_as_the_site_wants_it() -> None:
    asked = Site.from_config({"gpu_model": "a100"}).resources(
        "train_teacher", GPU, Work()
    )
    assert (asked["gpu"], asked["gpu_model"], "gres" in asked) == (1, "a100", False)
    config = {"gpu_request": "gres", "gpu_model": "a100", "partition": "gpu"}
    asked = Site.from_config(config).resources("train_teacher", GPU, Work())
    assert (asked["gpu"], asked["gres"]) == (0, "gpu:a100:1")
    assert asked["slurm_partition"] == "gpu"
    lsf = Site.from_config({"scheduler": "lsf", "warning_seconds": 150})
    asked = lsf.resources("train_teacher", GPU, Work())
    assert asked["lsf_extra"] == "-gpu num=1 -wa USR1 -wt 3", "whole minutes"
    assert "lsf_extra" not in lsf.resources("make_table", Asks(), Work())
    asked = Site.from_config(config).resources("make_table", Asks(), Work())
    assert asked["gpu"] == 0
    assert not asked.keys() & {"gres", "gpu_model", "slurm_partition"}


@pytest.mark.parametrize("wrong", [{"gpu_request": "cuda"}, {"max_minutes": "1h"}])
def test_wrong_site_settings_are_named(wrong) -> None:
    with pytest.raises(UserError, match=next(iter(wrong))):
        Site.from_config(wrong)


def test_every_planned_instance_can_be_counted() -> None:
    pipeline = load_pipeline(ROOT)
    for instance in pipeline.instances.values():
        asks = pipeline.stages[instance.stage].asks
        work = asks.work(instance.item)
        assert work.disk_mb > 0
        assert (work.flop > 0) == asks.gpu, instance.name


def test_preflight_says_whether_there_will_be_a_pdf(monkeypatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    (finding,) = check_pdf(ROOT)
    assert finding.level == "warn" and "apt-get install latexmk" in finding.text


def test_preflight_sums_the_paper() -> None:
    pipeline = load_pipeline(ROOT)
    names = set(pipeline.instances)
    site = Site.from_config({})
    plans = plan_of(pipeline, names, site)
    teacher = Counter(PAPER).train_teacher({"dataset": "cifar10"}).flop
    count = plans["train_teacher"].instances
    hours = plans["train_teacher"].gpu_hours
    assert hours == pytest.approx(count * teacher / 40e12 / 3600)
    alone = packed_hours(pipeline, names, site, TOGETHER, 1)
    assert alone == pytest.approx(plans["train_student"].gpu_hours)
    assert packed_hours(pipeline, names, site, TOGETHER, 8) < 0.6 * alone
    assert replace(plans["make_table"], disk_mb=0.0).gpu_hours == 0.0


def test_disk_is_outputs_twice_and_the_states_that_are_there_at_once() -> None:
    pipeline = load_pipeline(ROOT)
    plans = plan_of(pipeline, set(pipeline.instances), Site.from_config({}))
    samples = 50_000 * 32 * 32 * 3 / 1e6
    count = plans["generate_samples"].instances
    assert plans["generate_samples"].disk_mb == pytest.approx(count * samples)
    twelve = plans["train_teacher"]
    assert twelve.disk_mb == pytest.approx(12 * 35_751_939 * 4 / 1e6, rel=0.01)
    # weights, average and two moments, two generations; the teachers' are the largest
    kept, twelve_states = disk_of(plans, 12)
    assert twelve_states == pytest.approx(8 * twelve.disk_mb)
    assert kept == 2 * sum(plan.disk_mb for plan in plans.values())
    _, all_states = disk_of(plans, 10_000)
    stages = ("train_teacher", "train_student", "distill_steps")
    trained = sum(plans[stage].disk_mb for stage in stages)
    assert all_states == pytest.approx(8 * trained + count * samples)


def test_parsing_needs_no_torch() -> None:
    code = "import sys; from runledger.project import load_pipeline; "
    code += "load_pipeline('.'); sys.exit('torch' in sys.modules)"
    environment = {"PYTHONPATH": python_path(ROOT), "PATH": "/usr/bin"}
    command = [sys.executable, "-c", code]
    assert subprocess.run(command, env=environment, cwd=ROOT).returncode == 0
