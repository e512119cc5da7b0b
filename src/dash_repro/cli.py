"""The command ``dash-repro``: use trained networks from a shell."""

from __future__ import annotations

import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import click

from dash_repro.version import __version__
from runledger.commandline import SETTINGS, Group
from runledger.errors import UserError

FILE = click.Path(path_type=Path)


@click.group(cls=Group, context_settings={**SETTINGS, "show_default": True})
@click.version_option(__version__)
def main() -> None:
    """Sample from trained networks, look into them, and hand them to other tools.

    And say what the settings in params.yaml are.
    """


@main.command()
@click.argument("checkpoint", type=FILE)
@click.option(
    "-o",
    "--output",
    type=FILE,
    default=Path("samples.png"),
    help="The picture to write (its ending decides the format).",
)
@click.option(
    "-n", "count", type=click.IntRange(min=1), default=16, help="How many images."
)
@click.option(
    "--classes",
    default="",
    show_default=False,
    metavar="A,B",
    help="Names or numbers of classes, taken in turn. Default: all.",
)
@click.option(
    "-w",
    "--guidance-scale",
    "w",
    default=4.0,
    help="Guidance scale (of TAG: its largest).",
)
@click.option("--guidance", type=click.Choice(["constant", "tag"]), default="constant")
@click.option(
    "--steps",
    default="50",
    metavar="K[,K]",
    help="DDIM steps; several give a grid each.",
)
@click.option("--seed", default=0, help="Of the starting noise.")
@click.option(
    "--compare",
    type=FILE,
    multiple=True,
    help="Another checkpoint, sampled from the same noise. Repeatable.",
)
@click.option(
    "--scale",
    type=click.IntRange(min=1),
    help="Pixels of the picture a pixel of an image. Default: by image size.",
)
@click.option("--device", help="cpu, cuda, cuda:1. Default: a GPU if any.")
def sample(
    checkpoint: Path,
    output: Path,
    count: int,
    classes: str,
    steps: str,
    compare: tuple[Path, ...],
    scale: int | None,
    device: str | None,
    **drawn: Any,
) -> None:
    """Draw images from CHECKPOINT and write them as one picture.

    Image i has the same starting noise in every grid, so that --compare and several
    --steps show the same images.
    """
    from dash_repro.contact_sheet import contact_sheet
    from dash_repro.pretrained import load

    names = [name.strip() for name in classes.split(",") if name.strip()]
    numbers = _numbers(steps)
    drawn |= {"output": "array", "progress": _progress}
    grids = []
    for path in (checkpoint, *compare):
        model = load(path, device)
        for number in numbers:
            images = model.sample(count, names or None, steps=number, **drawn)
            grids.append((f"{path.parent.name or path.name}, {number} steps", images))
            click.echo(err=True)
    contact_sheet(grids, scale).save(output)
    click.echo(f"{output}: {len(grids)} x {count} images")


def _numbers(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise UserError(
            f"--steps {text!r} is not a list of whole numbers",
            "command line",
            "for example --steps 50,25,10",
        ) from None


def _progress(done: int, total: int) -> None:
    if sys.stderr.isatty():
        click.echo(f"\r{done}/{total} images", nl=False, err=True)


@main.command()
@click.argument("checkpoint", type=FILE)
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def info(checkpoint: Path, as_json: bool) -> None:
    """Say what CHECKPOINT is: network, schedule, training, record, metrics."""
    import json

    from dash_repro.describe import describe_checkpoint, describe_text

    found = describe_checkpoint(checkpoint)
    click.echo(json.dumps(found, indent=1) if as_json else describe_text(found))


@main.command()
@click.argument("checkpoint", type=FILE)
@click.argument("folder", type=FILE)
def export(checkpoint: Path, folder: Path) -> None:
    """Write CHECKPOINT into FOLDER as a program that needs torch alone.

    The folder gets network.pt2 (torch.export), sample.py with a DDIM loop that uses it,
    and a model card, README.md.
    """
    from dash_repro.exporting import export_model

    for path in export_model(checkpoint, folder):
        click.echo(path)


@main.command()
@click.argument("folder", type=FILE, metavar="DIR")
@click.option(
    "--images",
    type=FILE,
    required=True,
    help="Folder with train/CLASS/ and test/CLASS/, or with CLASS/ alone.",
)
@click.option(
    "--size",
    type=click.IntRange(min=8),
    default=32,
    help="Side of the images, in pixels; others are resized.",
)
@click.option(
    "--budget", default="2h", help="Time that the run may take: 30m, 2h, 1h30m."
)
def init(folder: Path, images: Path, size: int, budget: str) -> None:
    """Make DIR, a workspace that trains a teacher and students on own images.

    It looks at the images, measures this machine for some seconds, chooses widths and
    lengths that fit the budget, writes them to DIR.params.yaml, and says what to run.
    """
    from dash_repro.own.start import seconds_of, start

    start(Path.cwd(), folder, images, size, seconds_of(budget), click.echo)


@main.command()
@click.argument("key", default="")
@click.option(
    "--set",
    "assignments",
    multiple=True,
    metavar="KEY=VALUE",
    help="Write a value into params.yaml, which stays as it is otherwise. Repeatable.",
)
@click.option("--check", type=FILE, help="Say what is wrong with a params file.")
@click.option(
    "--complete", type=FILE, help="Print a params file whole: its base's, and defaults."
)
@click.option("--schema", is_flag=True, help="Print the JSON schema, for editors.")
@click.option("--page", is_flag=True, help="Print the reference page docs/params.md.")
@click.option(
    "-o", "--output", type=FILE, help="Write to a file what would be printed."
)
def params(
    key: str,
    assignments: tuple[str, ...],
    check: Path | None,
    complete: Path | None,
    schema: bool,
    page: bool,
    output: Path | None,
) -> None:
    """Say what a KEY of params.yaml is, or all of them: default, range, source.

    KEY is a section, a key, or a dotted one, such as train_teacher.width.
    """
    import json

    from dash_repro.params import load_params, lookup, text
    from dash_repro.params.overlay import Layers

    if assignments:
        from dash_repro.params.editing import set_values

        changes = set_values(Path("params.yaml"), assignments)
        found = "\n".join(changes or ["params.yaml says so already"]) + "\n"
    elif check:
        load_params(check)
        found = f"{check}: every key is right\n"
    elif complete:
        values = load_params(complete, fill=True)
        found = text.complete(Layers.read(complete), values)
    elif page:
        found = text.page()
    elif schema:
        found = json.dumps(lookup.schema(), indent=1) + "\n"
    else:
        found = text.described(key) + "\n"
    if output:
        output.write_text(found, encoding="utf-8")
    else:
        click.echo(found, nl=False)


@main.command()
@click.option("--check", is_flag=True, help="Only say whether the lists have drifted.")
@click.option("--renew", is_flag=True, help="Write the lists that have.")
def items(check: bool, renew: bool) -> None:
    """List the tables and figures of the paper.

    In a checkout, paper/contents.yaml and the README's table list them, too.
    """
    from dash_repro.paper import listing

    if renew:
        for path in listing.renew(Path.cwd()):
            click.echo(f"{path} renewed")
    elif check:
        names = listing.drifted(Path.cwd())
        if names:
            raise UserError(
                f"not in agreement with the registered items: {', '.join(names)}",
                "src/dash_repro/paper",
                "make plan",
            )
    else:
        click.echo(listing.readme_table(), nl=False)


@main.command()
@click.argument("words", nargs=-1, metavar="[WORD]...")
def targets(words: tuple[str, ...]) -> None:
    """List what can be asked for: every stage/id whose name has all WORDs, and a file.

    `dash-repro targets dash cifar10` lists what there is of this student on this
    dataset. `make why TARGET=` takes the name, and snakemake the file.
    """
    from runledger import load_pipeline

    pipeline = load_pipeline(Path.cwd())
    found = {one.key_name: one for one in pipeline.instances.values()}
    shown = [path for path in found if all(word in path for word in words)]
    if not shown:
        raise UserError(
            f"no target has {' and '.join(words)} in its name",
            "command line",
            "dash-repro targets lists all",
        )
    width = max(map(len, shown))
    for path in shown:
        click.echo(f"{path:{width}}  {found[path].outs[0].path}")


@main.command()
@click.argument("folder", type=FILE)
@click.option("--every", default=5.0, help="Seconds between looks.")
@click.option("--once", is_flag=True, help="Write what there is, and end.")
@click.option("--events", is_flag=True, help="Write TensorBoard's event files, too.")
@click.option("--samples", default=0, help="Draw so many images of each training.")
@click.option("-w", default=4.0, help="Guidance scale of samples.")
@click.option("--steps", default=20, help="DDIM steps of samples.")
@click.option("--device", default="cpu", help="Where to sample.")
def live(
    folder: Path,
    every: float,
    once: bool,
    events: bool,
    samples: int,
    **drawn: Any,
) -> None:
    """Follow the trainings here: FOLDER/index.html has their curves and samples.

    It goes on until Ctrl-C, beside a run. The page reads itself again in a browser, and
    with --events `tensorboard --logdir FOLDER` shows the same. No result is changed by
    it, and curves take next to no time. Samples take the time of the processor, or of a
    GPU with --device. They are of the network as it was last saved: every 5 minutes, or
    as often as DASH_SAVE_SECONDS says where the trainings run.
    """
    import time

    from dash_repro.live import Live, Sampler

    sampler = Sampler(samples, **drawn)
    report = Live(Path.cwd(), folder, sampler, events=events, refresh=every)
    with closing(report):
        click.echo(f"reports: {report.update()}; look at {report.page}")
        while not once:
            time.sleep(every)
            report.update()
