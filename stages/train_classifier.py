"""Train the network that tells whether samples show the class that was asked for."""

import _path  # noqa: F401
from dash_repro.arrays import write_json
from dash_repro.data.dataset import load_dataset
from dash_repro.models.classifier import save_classifier
from dash_repro.runtime import configure, describe
from dash_repro.training.classifier import train_classifier
from runledger.job import Job, main


def run(job: Job) -> None:
    """Make model.safetensors and accuracy.json of one dataset."""
    device = configure()
    job.note(compute=describe())
    network, measured = train_classifier(
        load_dataset(job.input("prepare_data")),
        job.params["train_classifier"],
        device,
        job.state,
        job.log,
        job.stop_requested,
    )
    save_classifier(job.output("model.safetensors"), network)
    write_json(job.output("accuracy.json"), measured)
    job.log.info("test accuracy %.4f", measured["test"]["accuracy"])


if __name__ == "__main__":
    main("train_classifier", run)
