"""Reference statistics of real images, and the real-vs-real floor (SPEC section 5)."""

import _path  # noqa: F401
from dash_repro.data.dataset import load_dataset
from dash_repro.evaluation.extractors import build_extractor
from dash_repro.evaluation.progress import LogProgress
from dash_repro.evaluation.reference import build_reference, save_reference
from dash_repro.runtime import configure
from runledger.job import Job, main


def run(job: Job) -> None:
    """Make reference.npz of one dataset."""
    device = configure()
    reference = build_reference(
        load_dataset(job.input("prepare_data")),
        build_extractor(job.params["extractor"], device),
        job.params["extract_reference"],
        job.params["compute_metrics"],
        device,
        LogProgress(job.log, "images"),
    )
    save_reference(job.output("reference.npz"), reference)
    floor = {"frechet": reference.floor_frechet, "kid": reference.floor_kid}
    job.log.info("%d images; floor at n=%d: %s", reference.n, reference.floor_n, floor)
    job.note(extractor=reference.extractor, n=reference.n, floor=floor)


if __name__ == "__main__":
    main("extract_reference", run)
