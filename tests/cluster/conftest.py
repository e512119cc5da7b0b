"""A Slurm for each file of tests, and what tests of several files ask of it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "workflow")]

from slurm_daemons import Slurm, SlurmNotStarted  # noqa: E402


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory):
    """The cluster; where it does not start, the tests fail."""
    # its GPUs are files that stand in for them
    os.environ["DASH_DEVICE"] = "cpu"
    cluster = Slurm(tmp_path_factory.mktemp("cluster") / "slurm")
    try:
        cluster.start()
    except (SlurmNotStarted, TimeoutError) as error:
        cluster.stop()
        pytest.fail(f"Slurm does not start: {error}")
    yield cluster
    cluster.stop()
