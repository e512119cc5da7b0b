"""Compare a student's guidance gap with its teacher's (Section 4.1, Eq. 9)."""

import _path  # noqa: F401

# isort: split
from dataclasses import asdict

from dash_repro.arrays import save_npz, write_json
from dash_repro.data.dataset import load_dataset
from dash_repro.diffusion.schedule import Schedule, require_same_schedule
from dash_repro.evaluation.calibration import (
    draw_pairs,
    measure_gaps,
    summarize_calibration,
)
from dash_repro.evaluation.progress import LogProgress
from dash_repro.models.checkpoint import load_checkpoint, require_same_images
from dash_repro.models.precision import inference_network
from dash_repro.runtime import configure
from runledger.job import Job, main


def run(job: Job) -> None:
    """Make calibration.json and pairs.npz of one student."""
    settings = job.params["measure_calibration"]
    device = configure(settings["numerics"])
    paths = {
        role: job.input(f"train_{role}", "model.safetensors")
        for role in ("student", "teacher")
    }
    loaded = {role: load_checkpoint(path) for role, path in paths.items()}
    schedule = Schedule.from_params(job.params["diffusion"])
    dataset = load_dataset(job.input("prepare_data"))
    of_data = dataset.num_classes, dataset.image_size, dataset.channels
    for role, checkpoint in loaded.items():
        require_same_schedule(checkpoint.schedule, schedule, paths[role])
        require_same_images(checkpoint.config, of_data, paths[role])
    images, labels = dataset.split("test")
    pairs = draw_pairs(labels, settings["pairs"], schedule.timesteps, settings["seed"])
    stats = measure_gaps(
        *(
            inference_network(loaded[role].model, settings["numerics"], device)
            for role in ("student", "teacher")
        ),
        images,
        pairs,
        schedule,
        dataset.num_classes,
        settings["seed"],
        settings["batch_size"],
        device,
        LogProgress(job.log, "pairs"),
    )
    summary = summarize_calibration(stats, pairs, schedule.timesteps, settings["bins"])
    write_json(job.output("calibration.json"), summary)
    save_npz(job.output("pairs.npz"), **asdict(pairs), **stats)
    job.log.info("rho %s, cos %s", summary["rho"], summary["cos"])


if __name__ == "__main__":
    main("measure_calibration", run)
