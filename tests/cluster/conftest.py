"""A running Slurm, and the tables made through it and without it."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "workflow")]

from cluster_workspace import small_params, workspace  # noqa: E402
from slurm_daemons import Slurm, SlurmNotStarted  # noqa: E402


@pytest.fixture(scope="session")
def slurm(tmp_path_factory: pytest.TempPathFactory):
    """The cluster; where it does not start, the tests fail."""
    cluster = Slurm(tmp_path_factory.mktemp("cluster") / "slurm")
    try:
        cluster.start()
    except (SlurmNotStarted, TimeoutError) as error:
        cluster.stop()
        pytest.fail(f"Slurm does not start: {error}")
    yield cluster
    cluster.stop()


@pytest.fixture(scope="session")
def finished(slurm: Slurm, tmp_path_factory: pytest.TempPathFactory):
    """The tables, made by a local run and by a run through the profile."""
    folder = tmp_path_factory.mktemp("tables")
    local = workspace(folder / "local", small_params())
    cluster = workspace(folder / "cluster", small_params())
    process = cluster.start("tables")
    failures: list[BaseException] = []

    def run_locally() -> None:
        try:
            local.snakemake("tables", "--cores", "1")
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=run_locally)
    thread.start()
    code = process.wait(timeout=600)
    thread.join()
    if failures:
        raise failures[0]
    assert code == 0, cluster.read("head.log")[-6000:]
    return local, cluster
