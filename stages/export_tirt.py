"""Export a teacher's weighting of timesteps (Section 3.6, Eq. 2)."""

import _path  # noqa: F401
from dash_repro import runtime
from dash_repro.training.teachers import export_tirt
from runledger.job import Job, main


def run(job: Job) -> None:
    runtime.configure()
    export_tirt(job)


if __name__ == "__main__":
    main("export_tirt", run)
