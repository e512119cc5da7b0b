"""Generate sample sets by guided DDIM (Section 4.1, Table A2)."""

import _path  # noqa: F401

# isort: split
import hashlib

import numpy as np
from torch import Tensor

from dash_repro.diffusion.generate import generate, log_progress
from dash_repro.diffusion.sample_files import save_samples, shard_range
from dash_repro.diffusion.sampling import Sampling
from dash_repro.diffusion.schedule import Schedule, require_same_schedule
from dash_repro.launch import launch_mode
from dash_repro.models.checkpoint import load_checkpoint
from dash_repro.models.compiled import launched
from dash_repro.models.precision import inference_network
from dash_repro.runtime import configure, describe
from runledger.job import Interrupted, Job, main


def run(job: Job) -> None:
    """Make samples.npz from the weights of one teacher or student."""
    sampling, images = _images(job)
    save_samples(job.output("samples.npz"), sampling, images)


def run_part(job: Job, part: int, parts: int) -> None:
    """Leave one share of the images, as finished chunks, to the job that joins them."""
    _images(job, part, parts)


def _images(job: Job, part: int = 0, parts: int = 1) -> tuple[Sampling, np.ndarray]:
    device = configure(job.params["generate_samples"]["numerics"])
    weights = job.input(job.item["model_stage"], "model.safetensors")
    checkpoint = load_checkpoint(weights)
    schedule = Schedule.from_params(job.params["diffusion"])
    require_same_schedule(checkpoint.schedule, schedule, weights)
    config = checkpoint.config
    source = hashlib.md5(weights.read_bytes()).hexdigest()
    sampling = Sampling.from_params(
        job.params, job.item, config.num_classes, config.image_shape, source
    )
    network = inference_network(checkpoint.model, sampling.numerics, device)
    network = launched(network, launch_mode(device.type))
    job.note(compute=describe())
    log = log_progress(job.log)

    def model(x: Tensor, t: Tensor, y: Tensor) -> Tensor:
        # Asked at every sampler step: a chunk may take longer than the notice given.
        if job.stop_requested():
            raise Interrupted
        return network(x, t, y)

    def progress(done: int, total: int) -> None:
        log(done, total)
        job.progress(images=done, of=total)

    start, stop = shard_range(sampling, part, parts)
    chunks = job.state / "chunks"
    images = generate(
        *(model, schedule, sampling, start, stop, chunks, device, progress)
    )
    return sampling, images


if __name__ == "__main__":
    main("generate_samples", run, run_part=run_part)
