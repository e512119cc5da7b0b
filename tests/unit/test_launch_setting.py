"""`launch` of a profile: checked while the workflow is read, handed to the jobs."""

import os
from types import SimpleNamespace

import pytest
from snakemake.exceptions import WorkflowError

from dash_repro import workflow


@pytest.fixture(autouse=True)
def ledger(monkeypatch):
    monkeypatch.setenv("DASH_LAUNCH", "eager")
    monkeypatch.setattr(workflow, "Ledger", lambda *_: "ledger")
    return SimpleNamespace(is_main_process=True)


def test_it_reaches_jobs_by_the_environment(ledger):
    assert workflow.open_ledger(ledger, {}) == "ledger"
    assert os.environ["DASH_LAUNCH"] == "eager"
    workflow.open_ledger(ledger, {"launch": "graph"})
    assert os.environ["DASH_LAUNCH"] == "graph"


def test_an_unknown_one_is_refused(ledger):
    with pytest.raises(WorkflowError, match="eager, graph, compile"):
        workflow.open_ledger(ledger, {"launch": "quick"})
    assert os.environ["DASH_LAUNCH"] == "eager"
