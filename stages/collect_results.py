"""Gather the numbers of one table or figure into one long CSV."""

import _path  # noqa: F401
from runledger.job import Job, main


def run(job: Job) -> None:
    """Write the item's rows: its members' numbers and the params it is shown with."""
    from dash_repro.paper.collect import identity_row, read_instance
    from dash_repro.paper.derived import DERIVED
    from dash_repro.paper.items import ITEMS
    from dash_repro.paper.rows import param_rows, write_rows

    item = job.item["item"]
    spec = ITEMS[item]
    members = job.item["members"]
    rows = param_rows(item, job.params, spec.params)
    if item in DERIVED:
        rows += DERIVED[item](item, job.params)
    for stage in dict.fromkeys(need.stage for need in spec.needs):
        for instance, path in job.inputs(stage):
            member = members[f"{stage}/{instance}"]
            rows += read_instance(path, identity_row(item, stage, instance, member))
    write_rows(job.output(f"{item}.csv"), rows)
    job.note(rows=len(rows))


if __name__ == "__main__":
    main("collect_results", run)
