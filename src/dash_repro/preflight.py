"""What to know before anything is submitted: `make preflight` (docs/cluster.md).

Looks only: submits nothing, downloads nothing, writes nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from dash_repro import cost, wallclock
from dash_repro.paper.pdf import unusable
from runledger import Judge, Verdict, load_pipeline
from runledger.errors import UserError
from runledger.preflight import FAIL, OK, WARN, Answer
from runledger.preflight import report as general_report

TOGETHER = "train_student"  # students of a teacher share a job


def check_files(
    root: Path, params: Mapping[str, Any], verdicts: Mapping[str, Verdict]
) -> Iterator[Answer]:
    """Data that are to be read and cannot be, or that nodes could not download."""
    for verdict in verdicts.values():
        for error in verdict.unread.values() if not verdict.valid else ():
            yield Answer(FAIL, "data", f"{error.what} ({error.where}): {error.remedy}")
    for name, block in params["prepare_data"].items():
        here = (root / block["path"]).exists()
        if not block["path"] or (block["source"] == "folder" and not here):
            continue
        text = f"{name}: {block['path']} {'is here' if here else 'is absent'}"
        if not here:
            text += "; nodes without internet cannot fetch it: see docs/cluster.md"
        yield Answer(OK if here else WARN, "data", text)
    path = params["extractor"]["weights_path"]
    if path:
        here = (root / path).exists()
        text = f"{path} {'is here' if here else 'is absent (downloaded at first use)'}"
        yield Answer(OK if here else WARN, "weights", text)


def check_pdf(root: Path) -> Iterator[Answer]:
    """LaTeX of this machine: the head builds the PDF, or leaves it out."""
    reason = unusable(root)
    text = f"left out. {reason}" if reason else "LaTeX works here, on the head"
    yield Answer(WARN if reason else OK, "pdf", text)


def report(root: Path, profile: Path) -> tuple[list[Answer], str]:
    """Return one answer a line of the report, and the plan as text."""
    answers, plan = general_report(root, profile, TOGETHER)
    pipeline = load_pipeline(root)
    answers += check_files(root, pipeline.params, Judge(root, pipeline).judge())
    answers += check_pdf(root)
    return answers, f"{plan}\n{cost.line(pipeline)}\n{wallclock.line(pipeline)}"


@click.command(help=__doc__)
@click.option(
    "--profile",
    type=click.Path(path_type=Path),
    default=Path("slurm/config.v9+.yaml"),
    show_default=True,
    help="The profile that jobs are submitted with.",
)
def main(profile: Path) -> None:
    """Print the report; exit status 1 if something would fail."""
    try:
        answers, plan = report(Path.cwd(), profile)
    except (UserError, OSError) as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(1)
    for answer in answers:
        click.echo(f"{answer.level:4s}  {answer.subject:14s} {answer.text}")
    click.echo(plan)
    sys.exit(1 if any(answer.level == FAIL for answer in answers) else 0)


if __name__ == "__main__":
    main(prog_name="make preflight")
