"""Every stage program computes with the same number of threads, whoever starts it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

STAGES = Path(__file__).resolve().parents[2] / "stages"
PROGRAMS = sorted(path.stem for path in STAGES.glob("[a-z]*.py"))
SHOW = """
import sys, json, importlib
importlib.import_module(sys.argv[1])
import numpy, scipy.linalg, threadpoolctl
print(json.dumps([pool["num_threads"] for pool in threadpoolctl.threadpool_info()]))
"""


def threads(program: str, **environment: str) -> set[int]:
    """Thread counts of the libraries that numpy, scipy and torch load in a program."""
    done = subprocess.run(
        [sys.executable, "-c", SHOW, program],
        cwd=STAGES,
        env={**os.environ, "OMP_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "2"}
        | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return set(json.loads(done.stdout))


@pytest.mark.parametrize("program", PROGRAMS)
def test_one_thread_whatever_the_shell_says(program: str) -> None:
    assert threads(program) == {1}


def test_as_many_as_runledger_threads_says() -> None:
    found = threads("compute_metrics", RUNLEDGER_THREADS="2")
    assert found == {min(2, os.cpu_count())}
