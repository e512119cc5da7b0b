"""Generate sample sets by guided DDIM (SPEC section 5)."""

import hashlib

from torch import Tensor

import _path  # noqa: F401
from dash_repro.diffusion.generate import generate, log_progress
from dash_repro.diffusion.sample_files import save_samples
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
    device = configure(job.params["generate_samples"]["numerics"])
    weights = job.input(job.item["model_stage"], "model.safetensors")
    checkpoint = load_checkpoint(weights)
    schedule = Schedule.from_params(job.params["diffusion"])
    require_same_schedule(checkpoint.schedule, schedule, weights)
    config = checkpoint.config
    source = hashlib.md5(weights.read_bytes()).hexdigest()
    sampling = Sampling.from_params(
        job.params, job.item, config.num_classes, config.image_size, source
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

    chunks = job.state / "chunks"
    images = generate(
        model, schedule, sampling, state=chunks, device=device, progress=progress
    )
    save_samples(job.output("samples.npz"), sampling, images)


if __name__ == "__main__":
    main("generate_samples", run)
