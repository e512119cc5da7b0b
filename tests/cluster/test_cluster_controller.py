"""A head whose controller is away, or whose queue is full."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from cluster_workspace import ClusterWorkspace, finished_workspace
from slurm_daemons import Slurm, wait_for

pytestmark = [pytest.mark.cluster, pytest.mark.slow]


@pytest.fixture(scope="module")
def cluster(slurm: Slurm, tmp_path_factory: pytest.TempPathFactory) -> ClusterWorkspace:
    """A workspace in which the networks and their metrics have been made."""
    folder = tmp_path_factory.mktemp("controller") / "cluster"
    return finished_workspace(tmp_path_factory, folder)


@pytest.fixture
def held_sbatch(cluster: ClusterWorkspace, tmp_path: Path):
    """An sbatch that says it was called, and goes on when it may: (called, go)."""
    called, go, sbatch = (tmp_path / name for name in ("called", "go", "sbatch"))
    wait = f'while [ ! -e "{go}" ]; do sleep 0.2; done'
    real = shutil.which("sbatch")
    sbatch.write_text(f'#!/bin/sh\ntouch "{called}"\n{wait}\nexec {real} "$@"\n')
    sbatch.chmod(0o755)
    cluster.shims = tmp_path
    yield called, go
    go.touch()  # or a failed test leaves it waiting, and its head with the lock
    cluster.shims = None


def test_controller_away_while_planning_and_submitting(
    cluster: ClusterWorkspace, slurm: Slurm, held_sbatch
) -> None:
    called, go = held_sbatch
    cluster.edit_params("students.dash.lambda_an", 0.4)
    target = "results/train_student/digits-dash-w4-s42/model.safetensors"
    head = cluster.start(target)
    wait_for(called.exists, 300, "a job is submitted")
    slurm.kill("slurmctld")
    go.touch()
    assert head.wait(600) != 0
    assert "sbatch failed" in cluster.read("head.log")
    assert "Unable to contact slurm controller" in cluster.read("head.log")
    assert "train_student@digits-dash-w4-s42" in cluster.stale()
    # the same command, even before the controller is back
    head = cluster.start(target)
    again = "does not answer; asking again"
    wait_for(lambda: again in cluster.read("head.log"), 300, "the queue is asked")
    slurm.start_slurmctld()
    assert head.wait(900) == 0, cluster.read("head.log")[-4000:]
    assert "train_student@digits-dash-w4-s42" not in cluster.stale()


def test_full_queue_is_waited_for(cluster: ClusterWorkspace, slurm: Slurm) -> None:
    cluster.edit_params("students.dash.lambda_an", 0.5)
    target = "results/train_student/digits-dash-w4-s42/model.safetensors"
    full = "job_allocate: MaxJobCount limit"
    assert full not in (slurm.folder / "slurmctld.log").read_text()
    # ended jobs count until they are forgotten; the head must look more often than that
    slurm.restart_slurmctld(MaxJobCount=2, MinJobAge=45)
    try:
        cluster.head(target)
    finally:
        slurm.restart_slurmctld()
    assert full in (slurm.folder / "slurmctld.log").read_text()
    assert "train_student@digits-dash-w4-s42" not in cluster.stale()
