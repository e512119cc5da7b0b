"""Statistics of real images, and what bounds the metrics (Section 4.1)."""

import _path  # noqa: F401
from dash_repro.arrays import write_json
from dash_repro.data.dataset import load_dataset
from dash_repro.evaluation.bounds import measure_bounds
from dash_repro.evaluation.extractors import build_extractor
from dash_repro.evaluation.features import extract_features
from dash_repro.evaluation.progress import LogProgress
from dash_repro.evaluation.reference import build_reference, save_reference
from dash_repro.runtime import configure
from runledger.job import Job, main


def run(job: Job) -> None:
    """Make reference.npz and bounds.json of one dataset."""
    device = configure()
    dataset = load_dataset(job.input("prepare_data"))
    weights = job.input("train_classifier", "model.safetensors")
    extractor = build_extractor(job.params["extractor"], device, weights)
    classifier = build_extractor({"name": "classifier"}, device, weights)
    section, progress = job.params["extract_reference"], LogProgress(job.log, "images")
    real, _ = dataset.split(section["floor_split"])
    held_out = extract_features(real, extractor, device, progress=progress)
    reference = build_reference(
        dataset, extractor, section["split"], device, progress, held_out[0]
    )
    found = held_out, classifier
    bounds = measure_bounds(
        dataset, reference, extractor, job.params, device, progress, *found
    )
    save_reference(job.output("reference.npz"), reference)
    write_json(job.output("bounds.json"), bounds)
    for name, found in bounds["bounds"].items():
        job.log.info("%s, n = %d: %s", name, found["n"], found["sets"][0]["frechet"])
    job.note(extractor=reference.extractor, n=reference.n)


if __name__ == "__main__":
    main("extract_reference", run)
