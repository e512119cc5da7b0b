"""Build the paper as PDF from main.tex and every table and figure."""

import _path  # noqa: F401
from runledger.job import Job, main


def run(job: Job) -> None:
    """Run LaTeX on copies of the inputs."""
    from dash_repro.paper.pdf import build_pdf, load_contents

    tables = [path for _, path in job.inputs("make_table")]
    figures = [path for _, path in job.inputs("plot_figure")]
    sources = {path.name: path for path in job.sources}
    contents = load_contents(sources["contents.yaml"])
    pdf = job.output("main.pdf")
    main_tex, scale = sources["main.tex"], job.params["scale"]
    build_pdf(main_tex, contents, tables, figures, pdf, scale)


if __name__ == "__main__":
    main("build_paper", run)
