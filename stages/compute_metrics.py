"""Frechet distance, inception score and KID of sample sets (Section 4.1, Table A2)."""

import _path  # noqa: F401

# isort: split
import json
from functools import lru_cache, partial
from pathlib import Path

import torch

from dash_repro.arrays import load_npz, write_json
from dash_repro.evaluation.extractors import Extractor, build_extractor
from dash_repro.evaluation.features import save_features
from dash_repro.evaluation.metrics import compute_metrics, recognised
from dash_repro.evaluation.progress import LogProgress
from dash_repro.evaluation.reference import load_reference
from dash_repro.runtime import configure
from runledger import md5_file
from runledger.job import Job, main


@lru_cache(maxsize=2)
def networks(
    section: str, device: torch.device, weights: Path, content: str
) -> tuple[Extractor, Extractor]:
    """The extractor and the classifier, kept for a dataset's next set of samples.

    Args:
        section: `extractor` of params.yaml, as JSON.
        device: for both.
        weights: the classifier's file.
        content: its digest, so that another one is loaded anew.
    """
    extractor = build_extractor(json.loads(section), device, weights)
    return extractor, build_extractor({"name": "classifier"}, device, weights)


def run(job: Job) -> None:
    """Make metrics.json and features.npz of one sample set."""
    device = configure()
    weights = job.input("train_classifier", "model.safetensors")
    section = json.dumps(job.params["extractor"], sort_keys=True)
    extractor, classifier = networks(section, device, weights, md5_file(weights))
    samples = load_npz(job.input("generate_samples"), ["images", "labels"])
    images = samples["images"]
    metrics = compute_metrics(
        images,
        load_reference(job.input("extract_reference")),
        extractor,
        job.params["compute_metrics"],
        device,
        LogProgress(job.log, "images"),
        partial(save_features, job.output("features.npz"), extractor.identity),
        recognised(images, samples["labels"], classifier, device),
    )
    write_json(job.output("metrics.json"), metrics)
    for entry in metrics["metrics"].values():
        job.log.info("%s = %.4f", entry["name"], entry["value"])


if __name__ == "__main__":
    main("compute_metrics", run)
