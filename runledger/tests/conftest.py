"""Toy checkouts, made once and copied for each test, and which tests are slow."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "comparison"))
sys.path.insert(0, str(Path(__file__).parent))

from once import copied, once
from toy import Toy, make_toy

QUICK = "test_records.py"  # of the tests that run snakemake, in the fast part
RUNS = {"untouched_toy", "finished", "toy", "empty", "finished_survey"}


def pytest_configure(config: pytest.Config) -> None:
    """Name the marks."""
    for mark in (
        "slow: runs snakemake or dvc, for seconds",
        "thorough: takes longest; not among what `pytest` alone runs (pyproject.toml)",
    ):
        config.addinivalue_line("markers", mark)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what runs snakemake or dvc."""
    for item in items:
        if RUNS & set(getattr(item, "fixturenames", ())) and item.path.name != QUICK:
            item.add_marker(pytest.mark.slow)


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
