"""Prepare a dataset: one file of labelled images (Section 4.1)."""

import logging
from typing import Any

import _path  # noqa: F401
from dash_repro.data.dataset import save_dataset
from dash_repro.data.prepare import prepare
from dash_repro.data.sources.folder import account_lines
from runledger.job import Job, main


def run(job: Job) -> None:
    """Make images.npz from the source that params.yaml names."""
    name = job.item["dataset"]
    notes: dict[str, Any] = {}
    dataset = prepare(job.params["prepare_data"][name], notes)
    save_dataset(job.output("images.npz"), dataset)
    counts = {split: len(dataset.split(split)[1]) for split in ("train", "test")}
    job.log.info("%s: %s images, %d classes", name, counts, dataset.num_classes)
    for surprising, line in account_lines(notes):
        job.log.log(logging.WARNING if surprising else logging.INFO, "%s", line)
    job.note(images=counts, classes=dataset.num_classes, **notes)


if __name__ == "__main__":
    main("prepare_data", run)
