"""What would fail on a cluster is said before anything is submitted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from runledger.pipeline import Instance, Output, Pipeline
from runledger.preflight import (
    check_cache,
    check_disk,
    check_executor,
    check_git,
    check_partitions,
    check_remote,
    check_slurm,
    disk_of,
    longest_jobs,
    packed_hours,
    plan_of,
    plan_text,
)
from runledger.preflight.slurm import minutes
from runledger.resources import Asks, Site, Work

CONFIG = """\
SLURM_VERSION           = 23.11.4
AccountingStorageType   = accounting_storage/{accounting}
MinJobAge               = {age} sec
JobRequeue              = {requeue}
"""
PARTITIONS = """\
cpu*|1-00:00:00|(null)|40|up
gpu|12:00:00|gpu:a100:4(S:0-1)|8|up
long|infinite|gpu:v100:2|2|up
"""


@pytest.fixture
def says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Give a stand-in for a program of Slurm's: it prints a text. No other is there."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))

    def stand_in(name: str, text: str) -> None:
        (folder / f"{name}.txt").write_text(text)
        program = folder / name
        program.write_text(f"#!/bin/sh\nexec /bin/cat '{folder}/{name}.txt'\n")
        program.chmod(0o755)

    return stand_in


def slurm(accounting: str = "slurmdbd", age: int = 300, requeue: int = 1) -> str:
    return CONFIG.format(accounting=accounting, age=age, requeue=requeue)


def told(answers) -> list[tuple[str, str]]:
    return [(one.level, one.subject) for one in answers]


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        ("1-12:00:00", 36 * 60),
        ("2:30:00", 150),
        ("30:00", 30),
        ("90", 1.5),
        ("infinite", float("inf")),
    ],
)
def test_time_limits_are_read(limit: str, expected: float) -> None:
    assert minutes(limit) == expected


def test_without_slurm_this_is_said(says) -> None:
    assert told(check_slurm({})) == [("FAIL", "slurm")]
    assert told(check_partitions(Site.from_config({}), {})) == [("FAIL", "partitions")]


def test_the_status_command_goes_with_accounting(says) -> None:
    says("scontrol", slurm())
    assert told(check_slurm({})) == [("ok", "slurm"), ("ok", "status")]
    says("scontrol", slurm("none"))
    _, status = check_slurm({}, "site/profile.yaml")
    assert status.level == "FAIL" and "squeue in site/profile.yaml" in status.text
    squeue = {"slurm-status-command": "squeue"}
    assert told(check_slurm(squeue)) == [("ok", "slurm"), ("ok", "status")]
    says("scontrol", slurm("none", age=120, requeue=0))
    found = list(check_slurm(squeue))
    assert told(found[2:]) == [("warn", "status"), ("warn", "requeue")]
    assert "after 120 s" in found[2].text and "240 or more" in found[2].text


def test_partitions_are_held_against_what_jobs_ask(says) -> None:
    says("sinfo", PARTITIONS)
    site = Site.from_config({"partition": "gpu", "gpu_model": "a100"})
    longest = {True: 500.0, False: 30.0}
    found = list(check_partitions(site, longest))
    assert told(found) == [("ok", "partition"), ("ok", "gpu"), ("ok", "cpu_partition")]
    assert "gpu: limit 720 min, longest job asks 500 min" in found[0].text
    assert "cpu_partition (default): limit 1440 min" in found[2].text

    first, *_ = check_partitions(site, {True: 900.0}, "site.yaml")
    assert first.level == "FAIL" and "set max_minutes: 720 in site.yaml" in first.text
    short = {"partition": "gpu", "max_minutes": 62, "warning_seconds": 120}
    found = list(check_partitions(Site.from_config(short), {True: 900.0}))
    assert ("ok", "legs") in told(found)
    assert "about 15 legs" in found[1].text


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"partition": "fast"}, "partition fast does not exist; there are cpu, gpu"),
        ({}, "partition (default) has no GPUs that Slurm knows of"),
        ({"partition": "gpu", "gpu_model": "h100"}, "no h100 in partition gpu; there"),
    ],
)
def test_what_a_cluster_lacks_is_named(says, config: dict, expected: str) -> None:
    says("sinfo", PARTITIONS)
    bad = [o for o in check_partitions(Site.from_config(config), {}) if o.level != "ok"]
    assert [one.level for one in bad] == ["FAIL"] and expected in bad[0].text


def test_an_executor_that_runs_jobs_twice_is_refused(monkeypatch) -> None:
    from importlib import metadata

    for version, level in (("2.7.1", "ok"), ("2.10.0", "ok"), ("2.6.9", "FAIL")):
        monkeypatch.setattr(metadata, "version", lambda _, v=version: v)
        assert told(check_executor()) == [(level, "executor")], version

    def absent(_: str) -> str:
        raise metadata.PackageNotFoundError

    monkeypatch.setattr(metadata, "version", absent)
    (one,) = check_executor()
    assert one.level == "FAIL" and "is not installed" in one.text


def test_the_file_system_is_large_enough_and_on_the_nodes(says, tmp_path: Path) -> None:
    says("stat", "ext2/ext3\n")
    says("sinfo", "node1\n")
    free = 1e-3
    assert told(check_disk(tmp_path, free, 0.0)) == [("ok", "shared"), ("ok", "disk")]
    assert told(check_disk(tmp_path, 1e12, 0.0))[1] == ("FAIL", "disk")
    says("sinfo", "node1\nnode2\n")
    assert told(check_disk(tmp_path, free, 0.0))[0] == ("warn", "shared")
    says("stat", "nfs4\n")
    assert told(check_disk(tmp_path, free, 0.0))[0] == ("ok", "shared")


def test_what_a_checkout_shares_through(empty, tmp_path: Path) -> None:
    assert told(check_remote(empty.root)) == [("warn", "remote")]
    empty.dvc("remote", "add", "--default", "lab", str(tmp_path / "lab"))
    (one,) = check_remote(empty.root)
    assert one.level == "warn" and "is it new" in one.text
    assert told(check_cache(empty.root)) == [("ok", "cache")]
    assert told(check_git(empty.root)) == [("ok", "git")]
    (empty.root / ".git").rename(tmp_path / "git")
    assert told(check_git(empty.root)) == [("warn", "git")]


def training(size: float) -> Work:
    """Training so large a model in half precision: 36 TFLOP for each unit."""
    return Work(size * 3600e12, disk_mb=10 * size, numerics="fp16", state_mb=40 * size)


def together(items) -> Work:
    """Half of the work of training is done once for all."""
    total = sum(item["size"] for item in items)
    return Work((total + 1) / 2 * 3600e12, numerics="fp16")


@pytest.fixture
def pipeline() -> Pipeline:
    """Three trainings of two groups, and their report."""
    sizes = {"a": ("x", 1), "b": ("x", 1), "c": ("y", 1)}
    made = [
        Instance(
            name=f"train@{id}",
            stage="train",
            id=id,
            cmd="",
            deps=(),
            params=(),
            outs=(Output(f"{id}.model"),),
            item={"group": group, "size": size},
        )
        for id, (group, size) in sizes.items()
    ]
    outs = (Output("report"),)
    made.append(Instance("report", "report", "", "", ("a.model",), (), outs))
    found = Pipeline(made, {})
    work = lambda item: training(item["size"])  # noqa: E731
    asks = Asks(work, gpu=True, by=("group",), together=together)
    found.stages = {
        "train": SimpleNamespace(asks=asks),
        "report": SimpleNamespace(asks=Asks()),
    }
    return found


def test_what_is_to_run_is_counted_by_stage(pipeline: Pipeline) -> None:
    site = Site.from_config({"tflops_fp16": 100.0})
    stale = {"train@a", "train@b", "train@c", "report"}
    plans = plan_of(pipeline, stale, site)
    assert plans["train"].instances == 3
    assert plans["train"].gpu_hours == pytest.approx(3 * 36 / 3600)
    assert plans["report"].gpu_hours == 0.0
    assert plan_of(pipeline, {"train@a"}, site)["train"].instances == 1
    # side by side: a and b share half of their work, c is of another group
    hours = packed_hours(pipeline, stale, site, "train", 2)
    assert hours == pytest.approx((1.5 + 1) * 36 / 3600)
    assert packed_hours(pipeline, stale, site, "train", 1) == pytest.approx(0.03)
    longest = longest_jobs(pipeline, plans, site)
    assert longest[True] == plans["train"].longest > longest[False]


def test_disk_is_outputs_twice_and_the_states_that_are_there_at_once(
    pipeline: Pipeline,
) -> None:
    plans = plan_of(pipeline, {"train@a", "train@b", "train@c"}, Site.from_config({}))
    assert disk_of(plans, 2) == (60.0, 80.0)
    assert disk_of(plans, 100) == (60.0, 120.0)


def test_the_plan_says_where_the_speed_comes_from(pipeline: Pipeline) -> None:
    site = Site.from_config({"tflops_fp16": 0.36})
    plans = plan_of(pipeline, set(pipeline.instances), site)
    text = plan_text(plans, site, {"train": (2, 25.0)}, "my/site.yaml")
    rows = {line.split()[0]: line.split() for line in text.splitlines()[2:]}
    assert rows["train"][1:] == ["3", "25.0", "0.03", "packed", "2"]
    assert rows["all"][1:3] == ["4", "25.0"]
    assert text.endswith("fp16 0.36 TFLOP/s (my/site.yaml)")
    assert "everything is valid" in plan_text({}, site, {})
