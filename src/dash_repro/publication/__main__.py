"""``python -m dash_repro.publication``: make, publish, check and vary a run."""

from __future__ import annotations

from pathlib import Path

import click

from dash_repro.publication.checking import check, vary
from dash_repro.publication.published import Publication, publish, run
from runledger.commandline import SETTINGS, Group


@click.group(cls=Group, context_settings=SETTINGS)
def main() -> None:
    """Make, publish and check a run that this repository holds with its bytes."""


@main.command("run", context_settings={"ignore_unknown_options": True})
@click.argument("name")
@click.option("--from-nothing", is_flag=True, help="Without what is published.")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def run_command(name: str, from_nothing: bool, arguments: tuple[str, ...]) -> int:
    """Go on with the run NAME; ARGUMENTS are for snakemake."""
    return run(Publication(Path.cwd(), name), from_nothing, [*arguments])


@main.command("publish")
@click.argument("name")
@click.option(
    "--leave-out",
    metavar="PATTERN",
    multiple=True,
    help="Outputs (* and ?) that are not kept.",
)
def publish_command(name: str, leave_out: tuple[str, ...]) -> None:
    """Copy the results of the run NAME, finished or not, and its bytes to the store."""
    print(publish(Publication(Path.cwd(), name), leave_out))


@main.command("check")
@click.argument("name")
@click.option("--sampled", required=True, help="The samples to make again, by id.")
def check_command(name: str, sampled: str) -> int:
    """Fetch the published run NAME, verify, audit, draw and sample it again."""
    whole = True
    for what, found, good in check(Publication(Path.cwd(), name), sampled):
        text = found.replace("\n", "\n" + " " * 12)
        print(f"{what:10s}{'  ' if good else '! '}{text}", flush=True)
        whole &= good
    return 0 if whole else 1


@main.command("vary")
@click.argument("name")
@click.option("--set", "setting", required=True, help="KEY=VALUE of params.yaml.")
@click.option("--sampled", required=True, help="The samples to compare, by id.")
def vary_command(name: str, setting: str, sampled: str) -> None:
    """Make one student of the published run NAME with another setting; show both."""
    for line in vary(Publication(Path.cwd(), name), setting, sampled):
        print(line, flush=True)


if __name__ == "__main__":
    main(prog_name="python -m dash_repro.publication")
