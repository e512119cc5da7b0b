"""Adopted workflows through a cluster's executor: each job is a process elsewhere."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from test_workflows import NOTHING, Workflow, adopted, plain

pytest.importorskip("snakemake_executor_plugin_cluster_generic")

SUBMIT = """\
#!/bin/sh
# takes a job as a scheduler does: runs it later, elsewhere, and prints its id
echo "$1" >> '{folder}/jobs'
{environment} setsid sh "$1" >> '{folder}/log' 2>&1 < /dev/null &
echo $!
"""
BARE = 'env -i PATH="$PATH" HOME="$HOME" PYTHONPATH="$PYTHONPATH"'


def submitted(flow: Workflow, folder: Path, environment: str = "") -> str:
    """Run everything through a stand-in for qsub."""
    program = folder / "submit"
    program.write_text(SUBMIT.format(folder=folder, environment=environment))
    program.chmod(0o755)
    cluster = ("--executor", "cluster-generic", "--seconds-between-status-checks", "1")
    submit = ("--cluster-generic-submit-cmd", shlex.quote(str(program)))
    return flow.snakemake(*cluster, *submit, "--jobs", "4", check=False)


@pytest.mark.slow
@pytest.mark.thorough
@pytest.mark.parametrize("name, jobs", [("align", 10), ("nested", 5), ("sweep", 12)])
def test_jobs_of_a_cluster_are_recorded_like_others(
    name: str, jobs: int, tmp_path: Path
) -> None:
    flow = adopted(tmp_path / "work", name)
    said = submitted(flow, tmp_path)
    assert flow.code == 0, said
    assert len((tmp_path / "jobs").read_text().splitlines()) == jobs
    assert flow.valid() and not flow.outdated()
    assert NOTHING in flow.snakemake(), "nothing is left for this machine"
    flow.commit()
    assert "no objections" in flow.ledger("audit")
    if name == "nested":
        alone = plain(tmp_path / "plain", name)
        alone.snakemake("all")
        with open(alone.root / ".gitignore", "a") as file:
            file.write((flow.root / ".gitignore").read_text())
        assert flow.outputs() == alone.outputs()


@pytest.mark.slow
@pytest.mark.thorough
def test_a_job_without_the_heads_environment_says_what_it_lacks(tmp_path: Path) -> None:
    flow = adopted(tmp_path / "work", "nested")
    submitted(flow, tmp_path, BARE)
    assert flow.code != 0
    log = (tmp_path / "log").read_text()
    assert "a job does not know where the head's plan is" in log
    assert "qsub -V" in log
    assert flow.records() == set(), "nothing is recorded"
    said = submitted(flow, tmp_path)
    assert flow.code == 0 and flow.valid(), said
