"""Checkouts for tests that run snakemake and dvc: made once, copied for each test."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from bare_machine import BareMachine
from once import copied
from paper_workspace import Workspace
from shared import bare_machine, tiny_run


@pytest.fixture(scope="session")
def bare(tmp_path_factory: pytest.TempPathFactory) -> BareMachine:
    """The demo at the smallest size, made on a machine with the least; to look at."""
    return bare_machine(tmp_path_factory)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A finished and committed run of the whole paper at the smallest size.

    Made once; each file of tests works on a copy of its own.
    """
    own = tmp_path_factory.mktemp("tiny") / "workspace"
    return Workspace(copied(tiny_run(tmp_path_factory), own))
