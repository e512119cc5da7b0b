"""What the caption of a figure says of its data, after what the figure shows."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from dash_repro.paper.names import dataset_name
from dash_repro.paper.protocol import named
from dash_repro.paper.registry import FigureSpec
from dash_repro.paper.scale import mark

Sources = Sequence[Mapping[str, Any]]  # see `data_sentence`
COUNTED = {  # what n counts in the rows of a stage, in a picture and behind it
    "compute_metrics": ("samples", " a point"),
    "measure_calibration": ("pairs", " of image and noise a point"),
}


def sidecar(spec: FigureSpec, scale: str, sources: Sources) -> dict[str, str]:
    """The figure's name and caption as plain data.

    Args:
        spec: of the figure.
        scale: as in params.yaml.
        sources: see `data_sentence`.

    Returns:
        {"item", "name", "caption", "data"}: what is shown, and whose numbers it is.
    """
    data = "" if spec.diagram else f"{data_sentence(sources)} {mark(scale).caption}"
    about = {"item": spec.name, "name": spec.label}
    return {**about, "caption": spec.caption, "data": data.strip()}


def data_sentence(sources: Sources) -> str:
    """Datasets, width of the students, sampler, seeds and counts, as one sentence.

    Args:
        sources: identities (columns of dash_repro.paper.rows.Row, those that apply) of
            what is shown; "n" where something was counted.

    Returns:
        The sentence; "" without sources.
    """
    datasets = sorted({one["dataset"] for one in sources if one.get("dataset")})
    students = [one for one in sources if not _of_teacher(one)]
    widths, steps = _numbers(students, "width"), _numbers(sources, "steps")
    parts = [
        " and ".join(map(dataset_name, datasets)),
        f"students of {_listed(widths)} base channels" if widths else "",
        f"DDIM with {_listed(steps[::-1])} steps" if steps else "",
        *_guidance(sources),
        *_seeds(sources),
        *(f"{count}{more}" for count, more in _counts(sources)),
    ]
    text = "; ".join(filter(None, parts))
    return f"Data: {text}." if text else ""


def picture_line(sources: Sources) -> str:
    """Seeds and counts, short enough to stand in the picture itself."""
    parts = [*_seeds(sources), *(count for count, _ in _counts(sources))]
    unbroken = (re.sub("(?<!,) ", "\u00a0", part) for part in parts)
    return "; ".join(unbroken)


def _seeds(sources: Sources) -> Iterator[str]:
    for key, name in (("seed", "training seed"), ("sampling_seed", "sampling seed")):
        if seeds := _numbers(sources, key):
            yield named(name, seeds)


def _counts(sources: Sources) -> Iterator[tuple[str, str]]:
    """("100 samples", " a point") and the like, for each kind that is there."""
    for stage, (what, more) in COUNTED.items():
        if counts := _numbers([o for o in sources if o.get("stage") == stage], "n"):
            yield f"{' or '.join(counts)} {what}", more


def _guidance(sources: Sources) -> Iterator[str]:
    """Guidance scales: of a kind that only the teacher has, whose they are."""
    for kind, name in (("constant", "w"), ("tag", "TAG, w_{max}")):
        guided = [one for one in sources if one.get("guidance") == kind]
        whose = "the teacher with " if all(map(_of_teacher, guided)) else ""
        if scales := _numbers(guided, "scale"):
            yield f"{whose}{name} = {_listed(scales)}"


def _of_teacher(one: Mapping[str, Any]) -> bool:
    return str(one.get("model") or "teacher_").startswith("teacher_")


def _numbers(sources: Sources, key: str) -> list[str]:
    values = {str(one[key]) for one in sources if one.get(key) not in (None, "")}
    return [value.removesuffix(".0") for value in sorted(values, key=float)]


def _listed(values: Sequence[str]) -> str:
    *others, last = values
    return f"{', '.join(others)} and {last}" if others else last
