"""Every stage program computes with the same number of threads, whoever starts it."""

import json
import os
import subprocess
import sys
from pathlib import Path

STAGES = Path(__file__).resolve().parents[2] / "stages"
SHOW = """
import _path, json, numpy, scipy.linalg, threadpoolctl
print(json.dumps([pool["num_threads"] for pool in threadpoolctl.threadpool_info()]))
"""


def threads(**environment: str) -> set[int]:
    """Thread counts of the libraries that numpy and scipy load in a stage program."""
    done = subprocess.run(
        [sys.executable, "-c", SHOW],
        cwd=STAGES,
        env={**os.environ, "OMP_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "2"}
        | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return set(json.loads(done.stdout))


def test_one_thread_whatever_the_shell_says() -> None:
    assert threads() == {1}


def test_as_many_as_runledger_threads_says() -> None:
    assert threads(RUNLEDGER_THREADS="2") == {min(2, os.cpu_count())}
