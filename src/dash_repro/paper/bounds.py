"""The sets that bound the metrics of a table, and the note that explains them."""

from __future__ import annotations

from collections.abc import Sequence

from dash_repro.paper.context import WORSE, Context
from dash_repro.paper.measures import MANY
from dash_repro.paper.names import dataset_name
from dash_repro.paper.protocol import counts

STANDIN_NOTE = (
    "The distance and score come from a stand-in extractor and must not be compared "
    "with FID or IS."
)
FEW_NOTE = (
    "Below {many:,} samples a Fréchet distance is too high and an inception score too "
    "low, by what depends on their number (Chong and Forsyth, 2020): the score is not "
    "printed, and KID, which has no such bias, stands first where a table has it."
)
DIGITS_NOTE = (
    "A number has no more digits than its standard error supports, over training seeds "
    "and samples; its 95 % interval is in the table’s JSON and on the page."
)
BOUNDS = {  # sets of bounds.json -> label of their row
    "real": "Real images, held out",
    "constant": "Constant mean image",
    "noise": "Uniform noise",
}


def quality_notes(context: Context, datasets: Sequence[str]) -> list[str]:
    """What the bounds are, and that a stand-in is a stand-in."""
    names = {row.name for row in context.collected.find("frechet")}
    standin = [] if names <= {"FID"} else [STANDIN_NOTE]
    few = [FEW_NOTE.format(many=MANY)] if context.samples < MANY else []
    return [DIGITS_NOTE, bounds_note(context, datasets), *standin, *few]


def bounds_note(context: Context, datasets: Sequence[str]) -> str:
    """What the bounds are, with their numbers of images, and what the mark means."""
    real, copies = {}, {}
    for dataset in datasets:
        rows = context.bound("real", "frechet", dataset)
        of = f"{len(rows)} random subsets of " if len(rows) > 1 else ""
        real[dataset] = f"{of}{counts(rows)}"
        copies[dataset] = counts(context.bound("constant", "frechet", dataset))
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
