"""Cost of guided sampling with a network: parameters, FLOPs, time, memory."""

import _path  # noqa: F401
from dash_repro.arrays import write_json
from dash_repro.evaluation.profile import profile_model
from dash_repro.models.checkpoint import load_checkpoint
from dash_repro.models.precision import inference_network
from dash_repro.runtime import configure
from runledger.job import Job, main


def run(job: Job) -> None:
    """Make profile.json of one teacher or student."""
    device = configure()
    weights = job.input(job.item["model_stage"], "model.safetensors")
    checkpoint = load_checkpoint(weights)
    settings = job.params["profile_model"]
    profile = profile_model(
        inference_network(checkpoint.model, "fp32", device),
        settings["batch_size"],
        settings["steps"],
        settings["repeats"],
        device,
    )
    write_json(job.output("profile.json"), profile)
    job.log.info(
        "%(parameters)d parameters, %(forward_flops)d FLOPs an image, "
        "%(guided_forward_s).3f s a guided forward on %(device)s",
        profile,
    )


if __name__ == "__main__":
    main("profile_model", run)
