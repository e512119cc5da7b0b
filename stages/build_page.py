"""Build one self-contained HTML page with every table and figure."""

import _path  # noqa: F401
from runledger.job import Job, main


def run(job: Job) -> None:
    """Join the sidecars of the tables and the PNGs of the figures."""
    from dash_repro.paper.document import build_page, load_contents

    tables = [path for _, path in job.inputs("make_table")]
    figures = [path for _, path in job.inputs("plot_figure")]
    (listed,) = [path for path in job.sources if path.name == "contents.yaml"]
    contents = load_contents(listed)
    page = build_page(tables, figures, contents, job.params["scale"])
    job.output("index.html").write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main("build_page", run)
