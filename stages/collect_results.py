"""Gather the numbers of one table or figure into one long CSV."""

import _path  # noqa: F401
from runledger.job import Job, main


def run(job: Job) -> None:
    """Write the item's rows: its members' numbers and the params it is shown with."""
    from dash_repro.paper.collect import gather
    from dash_repro.paper.rows import write_rows

    item = job.item["item"]
    stages = dict.fromkeys(key.partition("/")[0] for key in job.item["members"])
    files = (
        (f"{stage}/{instance}", path)
        for stage in stages
        for instance, path in job.inputs(stage)
    )
    rows = gather(job.item, job.params, files)
    write_rows(job.output(f"{item}.csv"), rows)
    job.note(rows=len(rows))


if __name__ == "__main__":
    main("collect_results", run)
