"""Compare DVC's own reading of dvc.yaml with the unpruned Snakemake DAG.

Run in a workspace; prints one JSON line. Not a test by itself: importing snakemake's
API and DVC's repo in the test process would tie their state together.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

os.environ["RUNLEDGER_UNPRUNED"] = "1"


def of_dvc() -> dict[str, list[list[str]]]:
    """Return {first output: [deps, outs]} as DVC resolves dvc.yaml."""
    from dvc.repo import Repo

    found = {}
    for stage in Repo(".").index.stages:
        deps = sorted(
            str(dep.def_path)
            for dep in stage.deps
            if type(dep).__name__ == "Dependency"
        )
        outs = sorted(str(out.def_path) for out in stage.outs)
        found[outs[0]] = [deps, outs]
    return found


def of_snakemake() -> dict[str, list[list[str]]]:
    """Return the same of every job of the unpruned DAG."""
    from snakemake.api import SnakemakeApi
    from snakemake.settings.types import (
        DAGSettings,
        OutputSettings,
        Quietness,
        ResourceSettings,
    )

    found = {}
    with SnakemakeApi(OutputSettings(quiet={Quietness.ALL})) as api:
        workflow = api.workflow(
            resource_settings=ResourceSettings(cores=1),
            snakefile=Path("workflow/Snakefile"),
        )
        dag = workflow.dag(
            dag_settings=DAGSettings(
                forceall=True, rerun_triggers=frozenset({_trigger()})
            )
        )
        inner = dag.workflow_api._workflow
        inner._prepare_dag(
            forceall=True,
            ignore_incomplete=True,
            lock_warn_only=True,
        )
        inner._build_dag()
        for job in inner.dag.jobs:
            if job.output:
                outs = sorted(str(path) for path in job.output)
                found[outs[0]] = [sorted({str(path) for path in job.input}), outs]
    return found


def _trigger():
    from snakemake.settings.types import RerunTrigger

    return RerunTrigger.MTIME


def main() -> None:
    """Print what agrees and what does not."""
    dvc, snakemake = of_dvc(), of_snakemake()
    code = {key for key in dvc if key.startswith("results/code/")}
    for key in code & snakemake.keys():  # raw sources are DVC's side only
        dvc[key][0] = snakemake[key][0] = []
    both = dvc.keys() & snakemake.keys()
    print(
        json.dumps(
            {
                "instances": len(both),
                "only_dvc": sorted(dvc.keys() - snakemake.keys()),
                "only_snakemake": sorted(snakemake.keys() - dvc.keys()),
                "differ": [
                    [key, dvc[key], snakemake[key]]
                    for key in sorted(both)
                    if dvc[key] != snakemake[key]
                ],
            }
        )
    )


main()
