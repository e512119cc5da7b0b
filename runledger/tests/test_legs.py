"""Legs of a run, and what the queue says of them."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from types import SimpleNamespace

import pytest

from runledger import legs, queue
from runledger.errors import UserError
from runledger.planning import Plan
from runledger.progress import queued, table


def test_a_killed_leg_has_no_end_and_the_next_has_one(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    legs.begin(tmp_path, "train@a")
    with open(tmp_path / legs.FILE) as file:
        first = json.loads(file.read())
    first["pid"] = 1  # of a process that was killed
    (tmp_path / legs.FILE).write_text(json.dumps(first) + "\n" + '{"event": "en')
    with open(tmp_path / legs.FILE, "a") as file:
        file.write("\n")
    legs.begin(tmp_path, "train@a")
    legs.end(tmp_path, "", "time limit")
    found = legs.read(tmp_path)
    assert [leg["outcome"] for leg in found] == ["killed", "time limit"]
    assert found[0]["end"] is None
    assert found[1]["end"] >= found[1]["start"]
    assert {(leg["job_id"], leg["gpu"]) for leg in found} == {("7", "1")}


def test_a_leg_is_ended_by_its_own_part(tmp_path: Path) -> None:
    for part in ("0/2", "1/2"):
        legs.begin(tmp_path, "sample@a", part)
    legs.end(tmp_path, "0/2", "done")
    found = {leg["part"]: leg["outcome"] for leg in legs.read(tmp_path)}
    assert found == {"0/2": "done", "1/2": "killed"}


def test_why_a_leg_ends(monkeypatch) -> None:
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    assert legs.interruption([signal.SIGTERM])[0] == "stopped"
    limit = legs.interruption([signal.SIGUSR1])
    assert limit == ("time limit", "run the same command to go on")
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    assert "queue" in legs.interruption([signal.SIGUSR1])[1]


@pytest.fixture
def squeue(tmp_path: Path, monkeypatch):
    """A squeue that prints a file, or fails where there is none."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "squeue").write_text(f"#!/bin/sh\nexec cat {tmp_path}/queue\n")
    (folder / "squeue").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    no_wait = SimpleNamespace(sleep=lambda seconds: None)
    monkeypatch.setattr(queue, "time", no_wait)
    return tmp_path / "queue"


def test_jobs_of_this_checkout_are_recognised(tmp_path: Path, squeue: Path) -> None:
    bundle = queue.write_label(tmp_path, ["results/recipes/b", "results/recipes/c"])
    lines = [("11", f"{tmp_path}/results/recipes/a"), ("12", f"{tmp_path}/{bundle}")]
    lines += [("13", "/elsewhere/results/recipes/a"), ("14", "/dev/null")]
    squeue.write_text("".join(f"{job:20s}{label}\n" for job, label in lines))
    recipes = {"x@a": "results/recipes/a", "x@b": "results/recipes/b"}
    found = {w.job: w.instances for w in queue.awaited(tmp_path, recipes)}
    assert found == {"11": ("x@a",), "12": ("x@b",)}
    changed = {"x@a": "results/recipes/other"}
    assert queue.awaited(tmp_path, changed) == [], "an outdated job is not waited for"


def test_a_silent_queue_is_an_error_not_an_empty_queue(tmp_path, squeue) -> None:
    with pytest.raises(UserError, match="does not answer"):
        queue.labelled(tmp_path)


def test_a_dry_run_does_without_the_queue(
    tmp_path, squeue, monkeypatch, capsys
) -> None:
    plan = object.__new__(Plan)
    plan.root, plan.recipes = tmp_path, {}
    plan.scheduler, plan.unpruned = "slurm", False
    for words in (["-n"], ["all", "--dry-run"], ["--dryrun"], ["-np"]):
        monkeypatch.setattr("sys.argv", ["snakemake", *words])
        assert plan._queued() == []
        assert "their limits were not checked" in capsys.readouterr().err
    for words in ([], ["--keep-going"], ["-j", "1"]):
        monkeypatch.setattr("sys.argv", ["snakemake", *words])
        with pytest.raises(UserError, match="does not answer"):
            plan._queued()


def test_looking_does_not_wait_for_a_silent_queue(
    tmp_path, squeue, monkeypatch
) -> None:
    # not time's own sleep, which subprocess needs as well
    clock = SimpleNamespace(sleep=lambda seconds: pytest.fail("it waited"))
    monkeypatch.setattr(queue, "time", clock)
    assert "does not answer" in queued(tmp_path)


def test_progress_on_one_screen() -> None:
    row = {
        "instance": "train_student@a",
        "host": "n1",
        "job_id": "7",
        "gpu": "1",
        "leg": 2,
        "step": 50,
        "iterations": 200,
        "loss": 0.12345,
        "rho": 0.9,
        "images_per_second": 410.0,
        "seconds_left": 5400.0,
    }
    text = table([row], ("loss", "rho", "images_per_second"))
    assert "images/s" in text
    for word in ("50/200 25%", "0.1235", "0.9", "410", "1 h 30 min", "job 7 n1 gpu 1"):
        assert word in text
    assert table([]) == "nothing runs"
