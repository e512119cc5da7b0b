"""Frechet distance, inception score and KID of sample sets (Section 4.1, Table A2)."""

import _path  # noqa: F401
from dash_repro.arrays import load_npz, write_json
from dash_repro.evaluation.extractors import build_extractor
from dash_repro.evaluation.metrics import compute_metrics
from dash_repro.evaluation.progress import LogProgress
from dash_repro.evaluation.reference import load_reference
from dash_repro.runtime import configure
from runledger.job import Job, main


def run(job: Job) -> None:
    """Make metrics.json of one sample set."""
    device = configure()
    samples = load_npz(job.input("generate_samples"), ["images"])
    metrics = compute_metrics(
        samples["images"],
        load_reference(job.input("extract_reference")),
        build_extractor(job.params["extractor"], device),
        job.params["compute_metrics"],
        device,
        LogProgress(job.log, "images"),
    )
    write_json(job.output("metrics.json"), metrics)
    for entry in metrics["metrics"].values():
        job.log.info("%s = %.4f", entry["name"], entry["value"])


if __name__ == "__main__":
    main("compute_metrics", run)
