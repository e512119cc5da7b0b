"""What captions and notes of a table say of its samples, guidance, seeds and bounds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from dash_repro.paper.context import WORSE, Context
from dash_repro.paper.measures import MANY
from dash_repro.paper.names import dataset_name
from dash_repro.paper.rows import Row
from dash_repro.paper.scale import mark

# behind the caption of a table of spreads; see `spread_words`
SPREAD = " ± {spread} (ddof {ddof}); of real images, over subsets."
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


def protocol(context: Context, experiment: str, varied: str = "default") -> str:
    """Sentence on samples, steps, guidance and seeds, and a mark of the scale.

    Args:
        experiment: its seeds are named.
        varied: the samplers of the table's Need; what they vary is not repeated. "": a
            table without samples.
    """
    sampling = context.param("experiments.sampling")
    seeds = context.param(f"experiments.{experiment}.seeds")
    gaps, scale = context.collected.find("rho"), mark(context.scale).caption
    on = f"{counts(gaps)} pairs of image and noise"
    if not varied:
        means = "means over " if len(seeds) > 1 else ""
        return f"Measured on {on}; {means}{named('training seed', seeds)}. {scale}"
    parts = [f"{counts(context.collected.find('frechet'))} samples"]
    parts += [f"calibration on {on}"] if gaps else []
    parts += [] if varied == "steps" else [f"{sampling['steps']}-step DDIM"]
    if varied not in ("scales", "table2"):
        tag, students = "TAG for teacher and students", sampling["guidance_scale"]
        constant = sampling["student_guidance"] != "tag"
        parts.append(f"w = {students:g} (teacher: TAG)" if constant else tag)
    return f"{', '.join(parts)}. {repeated(context, seeds)} {scale}"


def named(kind: str, seeds: Sequence[Any]) -> str:
    """Seeds of a kind in words: "training seeds 42, 123"."""
    return f"{kind}{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))}"


def counts(rows: Iterable[Row]) -> str:
    """What values were measured on, as "100" or "100 or 500"; without rows "no"."""
    return " or ".join(sorted({row.n for row in rows}, key=int)) or "no"


def repeated(context: Context, seeds: Sequence[int]) -> str:
    """What a number is the mean of, and what its spread over seeds can hold."""
    own = context.param("experiments.sampling.sampling_seeds")
    noise, trained = named("sampling seed", own), named("training seed", seeds)
    if len(seeds) > 1:
        held = "" if len(own) > 1 else "; spreads are over training seeds alone"
        return f"Means over {trained}, all with the noise of {noise}{held}."
    if len(own) > 1:
        return f"{trained.capitalize()} only; means over {noise}."
    return f"{trained.capitalize()} and {noise} only, so no spread is known."


def spread_words(context: Context, experiment: str) -> str:
    """Which standard deviations a table of spreads prints."""
    over = {
        "over training seeds, with the same noise": f"{experiment}.seeds",
        "over sampling seeds, of the same weights": "sampling.sampling_seeds",
    }
    shown = [
        f"standard deviation {words}"
        for words, key in over.items()
        if len(context.param(f"experiments.{key}")) > 1
    ]
    return ", ± ".join(shown) or "standard deviation"


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
