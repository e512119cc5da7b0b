"""`launch` of a profile: checked while the workflow is read, handed to the jobs."""

import os

import pytest
from snakemake.exceptions import WorkflowError

from dash_repro import workflow


@pytest.fixture(autouse=True)
def launch(monkeypatch):
    monkeypatch.setenv("DASH_LAUNCH", "eager")
    monkeypatch.delenv("DASH_LOG_SECONDS", raising=False)


def test_it_reaches_jobs_by_the_environment():
    workflow.set_environment({})
    assert os.environ["DASH_LAUNCH"] == "eager"
    workflow.set_environment({"launch": "graph"})
    assert os.environ["DASH_LAUNCH"] == "graph"


def test_an_unknown_one_is_refused():
    with pytest.raises(WorkflowError, match="eager, graph, compile"):
        workflow.set_environment({"launch": "quick"})
    assert os.environ["DASH_LAUNCH"] == "eager"
