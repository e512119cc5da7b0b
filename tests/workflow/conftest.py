"""Fresh checkouts of the toy project for tests that run snakemake and dvc."""

from __future__ import annotations

import fcntl
import os
import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from paper_workspace import TINY, Workspace, make
from toy import Toy, make_toy


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A toy checkout in which everything has run and is committed."""
    root = tmp_path_factory.mktemp("finished") / "project"
    root.mkdir()
    toy = make_toy(root)
    toy.snakemake()
    toy.commit()
    return root


@pytest.fixture
def toy(finished: Path, tmp_path: Path) -> Toy:
    """A private copy of the finished checkout."""
    shutil.copytree(finished, tmp_path / "project", symlinks=True)
    return Toy(tmp_path / "project")


@pytest.fixture
def empty(tmp_path: Path) -> Toy:
    """A checkout in which nothing has run."""
    (tmp_path / "empty").mkdir()
    return make_toy(tmp_path / "empty")


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A finished and committed run of the whole paper at the smallest size.

    Made once; each test process works on a copy of its own.
    """
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    with open(shared / "tiny.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = shared / "tiny.done"
        if not done.exists():
            workspace = make(shared / "tiny-run", TINY)
            workspace.snakemake()
            workspace.git("add", "-A")
            workspace.git("commit", "-q", "-m", "results")
            done.touch()
    mine = tmp_path_factory.mktemp("tiny") / "workspace"
    shutil.copytree(shared / "tiny-run", mine, symlinks=True)
    return Workspace(mine)
