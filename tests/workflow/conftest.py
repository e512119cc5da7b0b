"""Checkouts for tests that run snakemake and dvc: made once, copied for each test."""

from __future__ import annotations

import fcntl
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from bare_machine import BareMachine
from machine import require
from paper_workspace import Workspace
from toy import Toy, make_toy


def once(
    factory: pytest.TempPathFactory, name: str, prepare: Callable[[Path], None]
) -> Path:
    """Return a folder that the first of the test processes to ask for it prepares.

    It belongs to all of them: look at it, or copy it.
    """
    shared = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    folder, done = shared / name, shared / f"{name}.done"
    with open(shared / f"{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)  # of one that failed
            folder.mkdir()
            prepare(folder)
            done.touch()
    return folder


def copied(source: Path, target: Path) -> Path:
    """Copy a checkout that `once` made."""
    return Path(shutil.copytree(source, target, symlinks=True))


@pytest.fixture(scope="session")
def untouched_toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A toy checkout in which nothing has run; to copy."""
    return once(tmp_path_factory, "toy-empty", lambda folder: make_toy(folder))


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

    def prepare(folder: Path) -> None:
        BareMachine(folder).prepare(folder)

    return BareMachine(once(tmp_path_factory, "bare", prepare))


@pytest.fixture(scope="session")
def tiny(bare: BareMachine, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A finished and committed run of the whole paper at the smallest size.

    Made once; each test process works on a copy of its own.
    """
    require("latexmk", "pdflatex", install="latexmk texlive-latex-extra")
    return Workspace(copied(bare.demo, tmp_path_factory.mktemp("tiny") / "workspace"))
