"""Runs that the head refuses before it starts anything, and why."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Set
from pathlib import Path
from typing import Any

from runledger.errors import UserError


def check_dag(stale: Set[str], producer: Mapping[str, str], dag: Any) -> None:
    """Make sure that every stale instance of the DAG is going to run.

    Raises:
        UserError: Snakemake would leave one out.
    """
    left = {
        producer.get(str(path))
        for job in dag.jobs
        if not dag.needrun(job)
        for path in job.output
    }
    if left & stale:
        raise UserError(
            f"Snakemake would leave out stale instances: {sorted(left & stale)}",
            "the DAG",
            "nothing ran; please report this, with what `snakemake -n` prints",
        )


def check_folder(root: Path, workflow: Any) -> None:
    """Refuse paths that a cluster's executor would not hand on whole.

    Raises:
        UserError: the folder's has what a shell replaces in the double quotes that
            executors put around commands; that of Python, which they do not quote, has
            what a shell would take for something else.
    """
    if not workflow.executor_plugin.common_settings.non_local_exec:
        return
    path = str(root.resolve())
    found = " ".join(sorted(set("$`\\") & set(path)))
    if found:
        raise UserError(
            f"the folder has {found} in its path: jobs of a cluster would not find it",
            path,
            "move the checkout",
        )
    if shlex.quote(sys.executable) != sys.executable:
        raise UserError(
            "the path of Python has a space or another sign that a shell takes for its "
            "own, and Snakemake writes it without quotes into the jobs of a cluster",
            sys.executable,
            "start snakemake by a link to the environment whose path has no such sign, "
            "or make the environment elsewhere",
        )
