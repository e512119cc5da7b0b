"""What the caption of a figure says of its data, after what the figure shows."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from dash_repro.paper.names import dataset_name
from dash_repro.paper.registry import FigureSpec
from dash_repro.paper.scale import mark

COUNTED = {  # what n counts in the rows of a stage, in a picture and behind it
    "compute_metrics": ("samples", " a point"),
    "measure_calibration": ("pairs", " of image and noise a point"),
}


def sidecar(
    spec: FigureSpec, scale: str, sources: Iterable[Mapping[str, Any]]
) -> dict[str, str]:
    """The figure's name and caption as plain data.

    Args:
        spec: of the figure.
        scale: as in params.yaml.
        sources: see `data_sentence`.

    Returns:
        {"item", "name", "caption", "data"}: what is shown, and whose numbers it is.
    """
    told = "" if spec.diagram else data_sentence(sources)
    data = "" if spec.diagram else f"{told} {mark(scale).caption}".strip()
    about = {"item": spec.name, "name": spec.label}
    return {**about, "caption": spec.caption, "data": data}


def data_sentence(sources: Iterable[Mapping[str, Any]]) -> str:
    """Datasets, width of the students, sampler, seeds and counts, as one sentence.

    Args:
        sources: identities (columns of dash_repro.paper.rows.Row, those that apply) of
            what is shown; "n" where something was counted.

    Returns:
        The sentence; "" without sources.
    """
    found = list(sources)
    students = [one for one in found if not _of_teacher(one)]
    parts = [" and ".join(map(dataset_name, _values(found, "dataset")))]
    widths = _numbers(students, "width")
    parts += [f"students of {_listed(widths)} base channels"] if widths else []
    steps = _numbers(found, "steps")
    parts += [f"DDIM with {_listed(steps[::-1])} steps"] if steps else []
    parts += _guidance(found)
    parts += _seeds(found)
    parts += [f"{count}{more}" for count, more in _counts(found)]
    parts = [part for part in parts if part]
    return f"Data: {'; '.join(parts)}." if parts else ""


def picture_line(sources: Iterable[Mapping[str, Any]]) -> str:
    """Seeds and counts, short enough to stand in the picture itself.

    Args:
        sources: see `data_sentence`.
    """
    found = list(sources)
    parts = [*_seeds(found), *[count for count, _ in _counts(found)]]
    kept = (re.sub("(?<!,) ", "\u00a0", part) for part in parts)  # on one line
    return "; ".join(kept)


def _seeds(found: Sequence[Mapping[str, Any]]) -> list[str]:
    told = []
    for key, name in (("seed", "training seed"), ("sampling_seed", "sampling seed")):
        seeds = _numbers(found, key)
        plural = "s" if len(seeds) > 1 else ""
        told += [f"{name}{plural} {', '.join(seeds)}"] if seeds else []
    return told


def _counts(found: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """("100 samples", " a point") and the like, for each kind that is there."""
    told = []
    for stage, (what, more) in COUNTED.items():
        counts = _numbers([one for one in found if one.get("stage") == stage], "n")
        told += [(f"{' or '.join(counts)} {what}", more)] if counts else []
    return told


def _guidance(found: Sequence[Mapping[str, Any]]) -> list[str]:
    """Guidance scales: of a kind that only the teacher has, whose they are."""
    told = []
    for kind, name in (("constant", "w"), ("tag", "TAG, w_{max}")):
        guided = [one for one in found if one.get("guidance") == kind]
        scales = _numbers(guided, "scale")
        whose = "the teacher with " if all(map(_of_teacher, guided)) else ""
        told += [f"{whose}{name} = {_listed(scales)}"] if scales else []
    return told


def _of_teacher(one: Mapping[str, Any]) -> bool:
    return str(one.get("model") or "teacher_").startswith("teacher_")


def _values(found: Iterable[Mapping[str, Any]], key: str) -> list[str]:
    return sorted({str(one[key]) for one in found if one.get(key) not in (None, "")})


def _numbers(found: Iterable[Mapping[str, Any]], key: str) -> list[str]:
    values = sorted(_values(found, key), key=float)
    return [value.removesuffix(".0") for value in values]


def _listed(values: Sequence[str]) -> str:
    *others, last = values
    return f"{', '.join(others)} and {last}" if others else last
