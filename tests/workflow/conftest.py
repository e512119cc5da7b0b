"""Checkouts for tests that run snakemake and dvc: made once, copied for each test."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from bare_machine import BareMachine
from paper_workspace import Workspace
from shared import bare_machine, copied, once, tiny_run
from toy import Toy, make_toy


@pytest.fixture(scope="session")
def untouched_toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A toy checkout in which nothing has run; to copy."""
    return once(tmp_path_factory, "toy-empty", make_toy)


@pytest.fixture(scope="session")
def finished(untouched_toy: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A toy checkout in which everything has run and is committed; to copy."""

    def prepare(folder: Path) -> None:
        shutil.copytree(untouched_toy, folder, symlinks=True, dirs_exist_ok=True)
        Toy(folder).snakemake()
        Toy(folder).commit()

    return once(tmp_path_factory, "toy-finished", prepare)


@pytest.fixture
def toy(finished: Path, tmp_path: Path) -> Toy:
    """A private copy of the finished checkout."""
    return Toy(copied(finished, tmp_path / "project"))


@pytest.fixture
def empty(untouched_toy: Path, tmp_path: Path) -> Toy:
    """A private checkout in which nothing has run."""
    return Toy(copied(untouched_toy, tmp_path / "empty"))


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
