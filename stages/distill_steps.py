"""Distil a trained student to fewer sampling steps (Appendix F)."""

import _path  # noqa: F401
from dash_repro import runtime
from dash_repro.training.step_distillation import distill_steps
from runledger.job import Interrupted, Job, main


def run(job: Job) -> None:
    """Make model.safetensors, history.csv and gap.json of one student."""
    device = runtime.configure(job.params["train_student"]["numerics"])
    job.note(compute=runtime.describe())
    if not distill_steps(job, device):
        raise Interrupted


if __name__ == "__main__":
    main("distill_steps", run)
