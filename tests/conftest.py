"""Makes the checkout importable, and shares the tests among processes (xdist)."""

import gc
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PLACES = ("src", "runledger/src", "stages", ".", "runledger/tests")
sys.path[:0] = [str(ROOT / place) for place in PLACES]

# until all tests are imported: what they import stays, and looking through it again
# and again took a third of the time
gc.disable()

# What takes longest starts first; the first of the paper's also makes its workspace.
FIRST = (
    "tests/cluster/test_cluster_training.py",
    "tests/workflow/test_paper_pipeline.py",
    "tests/cluster/test_cluster_tables.py",
    "tests/numeric/test_learning.py",
    "tests/workflow/test_paper_sizes.py",
    "tests/numeric/test_training.py",
    "runledger/tests/test_interruption.py",
    "runledger/tests/test_records.py",
    "runledger/tests/test_two_hosts.py",
    "runledger/tests/test_dvc.py",
    "runledger/tests/test_anywhere.py",
    "tests/workflow/test_extend.py",
    "tests/workflow/test_init_to_table.py",
    "tests/workflow/test_publication.py",  # by then its workspace has been made
    "tests/workflow/test_docs.py",
)
# Long, and each of its tests by itself: shared out one by one, at the end.
SHARED = "tests/workflow/test_audit.py"


def _file(nodeid: str) -> str:
    return nodeid.partition("::")[0]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Order the files: the long ones, the others, those that wait for a workspace.

    Of the tests that run snakemake, make check has those of one file.
    """
    for item in items:
        path = _file(item.nodeid)
        if path.startswith("tests/workflow/"):
            item.add_marker(pytest.mark.slow)
    waiting = {
        _file(item.nodeid)
        for item in items
        if {"bare", "tiny"} & set(getattr(item, "fixturenames", ()))
    }

    def turn(item: pytest.Item) -> tuple[int, int]:
        path = _file(item.nodeid)
        if path in FIRST:
            return 0, FIRST.index(path)
        if path == SHARED:
            return 3, 0
        return (2 if path in waiting else 1), 0

    items.sort(key=turn)


def pytest_collection_finish() -> None:
    """Collect garbage from here on, except what has been imported."""
    gc.freeze()
    gc.enable()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """With --dist loadfile: a file is a unit of work, in the order above."""
    if config.getoption("dist") != "loadfile":
        return None
    from xdist.scheduler.loadscope import LoadScopeScheduling

    class Files(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            path = _file(nodeid)
            return nodeid if path == SHARED else path

    config.option.loadscopereorder = False
    return Files(config, log)
