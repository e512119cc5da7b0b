"""Rank matched teacher-student pairs by feature distance (Figures D6, D7)."""

import _path  # noqa: F401
from dash_repro.arrays import load_npz, write_json
from dash_repro.evaluation.extractors import build_extractor
from dash_repro.evaluation.pairs import rank_pairs, require_matched
from dash_repro.runtime import configure
from runledger.job import Job, main


def run(job: Job) -> None:
    """Make pairs.json of one dataset."""
    device = configure()
    names = ["images", "labels", "sampling_seed"]
    samples = dict(job.inputs("generate_samples"))
    teacher, student = (
        load_npz(samples[job.item[f"{side}_samples"]], names)
        for side in ("teacher", "student")
    )
    require_matched(teacher, student)
    settings = job.params["rank_pairs"]
    weights = [path for _, path in job.inputs("train_classifier")]
    ranked = rank_pairs(
        teacher["images"],
        student["images"],
        build_extractor(job.params["extractor"], device, *weights),
        settings["pool"],
        settings["shown"],
        device,
    )
    write_json(job.output("pairs.json"), ranked)
    job.log.info("farthest pairs: %s", ranked["indices"])


if __name__ == "__main__":
    main("rank_pairs", run)
