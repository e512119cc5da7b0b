"""Train students, side by side where they share a teacher (Section 3.5)."""

import _path  # noqa: F401
from dash_repro import runtime
from dash_repro.training.students import train_students
from runledger.job import Interrupted, Job, main


def run_students(jobs: list[Job]) -> None:
    device = runtime.configure(jobs[0].params["train_student"]["numerics"])
    for job in jobs:
        job.note(compute=runtime.describe(), packed=[other.id for other in jobs])
    if not train_students(jobs, device):
        raise Interrupted


if __name__ == "__main__":
    main("train_student", run_many=run_students)
