"""Rows of a quality table that bound its metrics, and the note that explains them."""

from __future__ import annotations

from collections.abc import Sequence

from dash_repro.paper.aggregate import Cell
from dash_repro.paper.context import COLUMN_METRICS, WORSE, Context, dash
from dash_repro.paper.names import dataset_name
from dash_repro.paper.quality import decimals_of
from dash_repro.paper.table import Entry, Line

STANDIN_NOTE = (
    "The distance and score come from a stand-in extractor and must not be compared "
    "with FID or IS."
)
BOUNDS = {  # sets of bounds.json -> label of their row
    "real": "Real images, held out",
    "constant": "Constant mean image",
    "noise": "Uniform noise",
}


def bound_lines(
    context: Context,
    datasets: Sequence[str],
    before: Sequence[str] = (),
    after: Sequence[str] = (),
) -> list[Line]:
    """A row for each bound of a table whose columns are FID and IS by dataset.

    Args:
        datasets: of the quality columns.
        before, after: names of the columns around them, which networks alone have.
    """
    lines = []
    for bound, label in BOUNDS.items():
        row = f"bound_{bound}"
        cells = [no_network(context, row, name) for name in before]
        for dataset in datasets:
            for column in ("fid", "is"):
                name = f"{dataset}_{column}"
                cells.append(bound_cell(context, bound, dataset, column, row, name))
        cells += [no_network(context, row, name) for name in after]
        entries = tuple(Entry((cell,)) for cell in cells)
        lines.append(Line(row, label, entries, rule=not lines))
    return lines


def bound_row(
    context: Context, prefix: str, dataset: str, columns: Sequence[str]
) -> list[Line]:
    """The rows of a table whose columns all show the distance on one dataset.

    Args:
        prefix: of the rows' ids.
        columns: names; what they vary does not touch a bound.
    """
    lines = []
    for bound, label in BOUNDS.items():
        row = f"{prefix}bound_{bound}"
        cells = [
            bound_cell(context, bound, dataset, "fid", row, name) for name in columns
        ]
        lines.append(Line(row, label, tuple(Entry((cell,)) for cell in cells)))
    return lines


def bound_cell(
    context: Context, bound: str, dataset: str, column: str, row: str, name: str
) -> Cell:
    """One metric of one bound, the mean over its sets."""
    rows = context.bound(bound, COLUMN_METRICS[column], dataset)
    return context.measured(f"{row}/{name}", rows, decimals_of(context, column))


def no_network(context: Context, row: str, name: str) -> Cell:
    """A box that only a network could fill."""
    return dash(f"{context.item}/{row}/{name}", "these images come from no network")


def quality_notes(context: Context, datasets: Sequence[str]) -> list[str]:
    """What the bounds are, and that a stand-in is a stand-in."""
    names = {row.name for row in context.collected.find("frechet")}
    standin = [] if names <= {"FID"} else [STANDIN_NOTE]
    return [bounds_note(context, datasets), *standin]


def bounds_note(context: Context, datasets: Sequence[str]) -> str:
    """What the bounds are, with their numbers of images, and what the mark means."""
    real, copies = {}, {}
    for dataset in datasets:
        rows = context.bound("real", "frechet", dataset)
        counts = " or ".join(sorted({row.n for row in rows})) or "no"
        of = f"{len(rows)} random subsets of " if len(rows) > 1 else ""
        real[dataset] = f"{of}{counts}"
        found = context.bound("constant", "frechet", dataset)
        copies[dataset] = " or ".join(sorted({row.n for row in found})) or "no"
    return (
        f"Bounds: held-out real images ({_listed(real)}), copies of the mean training "
        f"image and images of uniform noise ({_listed(copies)} each). "
        f"{WORSE} marks what is farther from the training images than the constant "
        "image."
    )


def _listed(texts: dict[str, str]) -> str:
    """One text if all datasets have the same, else each with its dataset."""
    if len(set(texts.values())) == 1:
        return next(iter(texts.values()))
    return "; ".join(f"{dataset_name(name)}: {text}" for name, text in texts.items())
