"""Statistics of real images, and what bounds the metrics (Section 4.1)."""

import _path  # noqa: F401
from dash_repro.arrays import write_json
from dash_repro.data.dataset import load_dataset
from dash_repro.evaluation.bounds import measure_bounds
from dash_repro.evaluation.extractors import build_extractor
from dash_repro.evaluation.progress import LogProgress
from dash_repro.evaluation.reference import build_reference, save_reference
from dash_repro.runtime import configure
from runledger.job import Job, main


def run(job: Job) -> None:
    """Make reference.npz and bounds.json of one dataset."""
    device = configure()
    dataset = load_dataset(job.input("prepare_data"))
    extractor = build_extractor(job.params["extractor"], device)
    split = job.params["extract_reference"]["split"]
    seed = job.params["compute_metrics"]["shuffle_seed"]
    progress = LogProgress(job.log, "images")
    reference = build_reference(dataset, extractor, split, seed, device, progress)
    bounds = measure_bounds(dataset, reference, extractor, job.params, device, progress)
    save_reference(job.output("reference.npz"), reference)
    write_json(job.output("bounds.json"), bounds)
    for name, found in bounds["bounds"].items():
        job.log.info("%s, n = %d: %s", name, found["n"], found["sets"][0]["frechet"])
    job.note(extractor=reference.extractor, n=reference.n)


if __name__ == "__main__":
    main("extract_reference", run)
