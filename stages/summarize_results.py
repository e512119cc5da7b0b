"""Write the means of Table 3 as one small file, for `dvc metrics`."""

import _path  # noqa: F401
from runledger.job import Job, main


def run(job: Job) -> None:
    """Make metrics.json from the collected rows of Table 3."""
    from dash_repro.arrays import write_json
    from dash_repro.paper.rows import read_rows
    from dash_repro.paper.summary import summarize

    rows = read_rows(job.input("collect_results"))
    write_json(job.output("metrics.json"), summarize(rows))


if __name__ == "__main__":
    main("summarize_results", run)
