"""Train a teacher (Section 3.3)."""

import _path  # noqa: F401
from dash_repro import runtime
from dash_repro.training.teachers import train_teacher
from runledger.job import Interrupted, Job, main


def run(job: Job) -> None:
    device = runtime.configure(job.params["train_teacher"]["numerics"])
    job.note(compute=runtime.describe())
    if not train_teacher(job, device):
        raise Interrupted


if __name__ == "__main__":
    main("train_teacher", run)
