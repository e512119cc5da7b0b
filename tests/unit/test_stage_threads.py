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
# These read the environment when they are loaded: what it says at the first of them.
FIRST = """
import importlib, json, os, sys

class First:
    def find_spec(self, name, path=None, target=None):
        if name in ("numpy", "scipy", "sklearn", "torch"):
            libraries = ("OMP", "OPENBLAS", "MKL")
            print(json.dumps([os.environ.get(f"{n}_NUM_THREADS") for n in libraries]))
            sys.stdout.flush()
            os._exit(0)

sys.meta_path.insert(0, First())
importlib.import_module(sys.argv[1])
import numpy
"""


def program(code: str, name: str, **environment: str) -> str:
    """What a code prints in a process that is told to use two threads."""
    shell = {k: v for k, v in os.environ.items() if k != "RUNLEDGER_THREADS"}
    shell |= {"OMP_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "2"}
    done = subprocess.run(
        [sys.executable, "-c", code, name],
        cwd=STAGES,
        env=shell | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def threads(name: str, **environment: str) -> set[int]:
    """Thread counts of the libraries that numpy, scipy and torch load in a program."""
    return set(json.loads(program(SHOW, name, **environment)))


@pytest.mark.parametrize("name", PROGRAMS)
def test_one_thread_is_asked_for_before_any_library_is_loaded(name: str) -> None:
    assert set(json.loads(program(FIRST, name))) == {"1"}


def test_float32_is_not_made_tf32_by_the_shell() -> None:
    show = "import importlib, os, sys; importlib.import_module(sys.argv[1]); "
    show += "print(os.environ.get('NVIDIA_TF32_OVERRIDE'))"
    assert program(show, "prepare_data", NVIDIA_TF32_OVERRIDE="1") == "None\n"


@pytest.mark.slow
def test_one_thread_whatever_the_shell_says() -> None:
    """Of the program that loads every library."""
    assert threads("compute_metrics") == {1}


@pytest.mark.slow
def test_as_many_as_runledger_threads_says() -> None:
    found = threads("compute_metrics", RUNLEDGER_THREADS="2")
    assert found == {min(2, os.cpu_count())}


ARITHMETIC = """
import importlib, sys
importlib.import_module(sys.argv[1])
import torch
from dash_repro.models.compiled import compile_network
from dash_repro.models.unet import UNet, UNetConfig
from dash_repro.runtime import configure
from dash_repro.training.optimizer import kind_of

configure()
weight = torch.nn.Parameter(torch.ones(2))
optimizer = kind_of(torch.optim.AdamW, torch.device("cpu"))([weight], fused=True)
weight.sum().backward()
optimizer.step()
optimizer.zero_grad()
with torch.device("meta"):
    UNet(UNetConfig(8, 1, 10, (1, 2), 4, 0.0, 4, 1e-5, 8))
print(torch.get_deterministic_debug_mode(), "torch._dynamo" in sys.modules)

class Network(torch.nn.Module):
    def use_channels_last(self, kernels): pass

compile_network(Network())
told = torch._inductor.config.deterministic
print(torch.are_deterministic_algorithms_enabled(), told)
"""


@pytest.mark.slow
def test_deterministic_without_waiting_for_the_compiler() -> None:
    """Two: an operation without a deterministic kernel is an error."""
    assert program(ARITHMETIC, "compute_metrics").split("\n")[:2] == [
        "2 False",
        "True True",
    ]
