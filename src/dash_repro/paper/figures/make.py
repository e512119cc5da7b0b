"""Every figure by item: from collected rows or images to .pdf and .png."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from dash_repro.arrays import load_npz, write_json
from dash_repro.paper.figures.caption import picture_line, sidecar
from dash_repro.paper.figures.labels import unnamed
from dash_repro.paper.figures.style import Figure, Style, save
from dash_repro.paper.registry import FIGURES
from dash_repro.paper.rows import read_rows

IMAGE_ARRAYS = ["images", "labels", "groups", "columns", "distances", "class_names"]


def build_figure(item: str, data: Path, style: Style) -> Figure:
    """Draw one figure.

    Args:
        item: a registered figure.
        data: CSV of collect_results, or npz of collect_images.
        style: of params.yaml.
    """
    spec = FIGURES[item]
    content = load_npz(data, IMAGE_ARRAYS) if spec.images else read_rows(data)
    with style.applied():
        return spec.draw(content, style)


def plot_figure(
    item: str,
    data: Path,
    members: Sequence[Mapping[str, Any]],
    scale: str,
    settings: Mapping[str, Any],
    outputs: Sequence[Path],
) -> list[str]:
    """Draw one figure and write its files, the same bytes every time.

    Args:
        item, data: see `build_figure`.
        members: identities of the samples whose images are shown; of a figure of
            numbers, each row says whose it is.
        scale: as in params.yaml; a demo's figures say so.
        settings: section plot_figure of params.yaml.
        outputs: files to write, as .pdf, .png and .json (name and caption).

    Returns:
        Names of classes that the figure's font lacks, and shows by number.
    """
    pdf, png, json = outputs
    spec = FIGURES[item]
    rows = [] if spec.images else read_rows(data).rows
    # the n of a point over t is that of its bin
    identities = [asdict(replace(row, n="") if row.x else row) for row in rows]
    sources = [*identities, *members]
    style = Style.from_params(settings, "paper" if spec.diagram else scale)
    if not spec.diagram:
        style = replace(style, note=picture_line(sources))
    figure = build_figure(item, data, style)
    with style.applied():
        save(figure, style, pdf, png)
    write_json(json, sidecar(spec, scale, sources))
    return _shown_by_number(data) if spec.images else []


def _shown_by_number(data: Path) -> list[str]:
    arrays = load_npz(data, IMAGE_ARRAYS)
    named = len(arrays["columns"]) or len(arrays["distances"])
    labels = np.unique(arrays["labels"][0, 0]) if named else ()
    return unnamed({int(label): str(arrays["class_names"][label]) for label in labels})
