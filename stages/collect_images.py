"""Pick the images that one figure shows."""

import _path  # noqa: F401
from runledger.job import Job, main


def run(job: Job) -> None:
    """Write the item's images with labels, class names and instances."""
    from dash_repro.arrays import load_npz, read_json, save_npz
    from dash_repro.data.dataset import ARRAYS
    from dash_repro.paper.images import closest_pairs, read_samples, select_images

    item, members = job.item["item"], job.item["members"]
    samples = [
        read_samples(instance, path, members[f"generate_samples/{instance}"])
        for instance, path in job.inputs("generate_samples")
    ]
    data = load_npz(job.input("prepare_data"), ARRAYS)
    if job.item["layout"] == "closest":
        found = (job.input(name) for name in ("compute_metrics", "extract_reference"))
        chosen = closest_pairs(samples[0], data, *map(read_json, found))
    else:
        pairs = job.input("rank_pairs") if job.inputs("rank_pairs") else None
        chosen = select_images(job.item["layout"], samples, data["class_names"], pairs)
    save_npz(job.output(f"{item}.npz"), **chosen)
    job.note(images=int(chosen["images"][..., 0, 0, 0].size))


if __name__ == "__main__":
    main("collect_images", run)
