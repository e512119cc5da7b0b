"""Lay out one table: LaTeX and a sidecar JSON with every cell."""

import _path  # noqa: F401
from runledger.job import Job, main


def run(job: Job) -> None:
    """Build the item's table from its collected rows and the paper's CSVs."""
    from dash_repro.paper.make import make_table

    item = job.item["item"]
    make_table(
        item,
        job.input("collect_results"),
        job.sources,
        job.params["scale"],
        job.params["make_table"],
        job.output(f"{item}.tex"),
        job.output(f"{item}.json"),
    )


if __name__ == "__main__":
    main("make_table", run)
