"""Draw one figure as PDF and PNG, and write its caption."""

import _path  # noqa: F401
from runledger.job import Job, main


def run(job: Job) -> None:
    """Draw the item from its collected rows or images."""
    from dash_repro.paper.figures.make import plot_figure

    item = job.item["item"]
    made_by = "collect_images" if job.inputs("collect_images") else "collect_results"
    by_number = plot_figure(
        item,
        job.input(made_by),
        list(job.item["members"].values()),
        job.params["scale"],
        job.params["plot_figure"],
        [job.output(f"{item}.{suffix}") for suffix in ("pdf", "png", "json")],
    )
    if by_number:
        job.log.warning("shown by number, for want of letters: %s", by_number)


if __name__ == "__main__":
    main("plot_figure", run)
