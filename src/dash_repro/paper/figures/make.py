"""Every figure by item: from collected rows or images to .pdf and .png."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from dash_repro.arrays import load_npz
from dash_repro.paper.figures import curves, networks, pipeline, training
from dash_repro.paper.figures.grids import image_figure
from dash_repro.paper.figures.labels import unnamed
from dash_repro.paper.figures.style import Style, save
from dash_repro.paper.items import ITEMS
from dash_repro.paper.rows import Collected, read_rows

PLOTS: dict[str, Callable[[Collected, Style], Figure]] = {
    "figure1": pipeline.figure1,
    "figure2": networks.figure2,
    "figure3": networks.figure3,
    "figure4a": curves.figure4a,
    "figure4b": curves.figure4b,
    "figure4c": curves.figure4c,
    "figure5a": curves.figure5a,
    "figure5b": curves.figure5b,
    "figure5c": curves.figure5c,
    "figureS1": training.figure_s1,
    "figureS2": training.figure_s2,
}
IMAGE_ARRAYS = ["images", "labels", "groups", "columns", "distances", "class_names"]
TIMELESS = ("figure1", "figure2", "figure3")  # diagrams: the same at every scale


def build_figure(item: str, data: Path, style: Style) -> Figure:
    """Draw one figure.

    Args:
        item: a figure of ITEMS.
        data: CSV of collect_results, or npz of collect_images.
        style: of params.yaml.
    """
    with style.applied():
        if ITEMS[item].images:
            return image_figure(load_npz(data, IMAGE_ARRAYS), style)
        return PLOTS[item](read_rows(data), style)


def plot_figure(
    item: str,
    data: Path,
    scale: str,
    settings: Mapping[str, Any],
    pdf: Path,
    png: Path,
) -> list[str]:
    """Draw one figure and write both files, the same bytes every time.

    Args:
        item, data: see `build_figure`.
        scale: "paper" or "demo"; a demo's figures say so.
        settings: section plot_figure of params.yaml.
        pdf, png: files to write.

    Returns:
        Names of classes that the figure's font lacks, and shows by number.
    """
    style = Style.from_params(settings, "paper" if item in TIMELESS else scale)
    figure = build_figure(item, data, style)
    with style.applied():
        save(figure, style, pdf, png)
    return _shown_by_number(data) if ITEMS[item].images else []


def _shown_by_number(data: Path) -> list[str]:
    arrays = load_npz(data, IMAGE_ARRAYS)
    named = len(arrays["columns"]) or len(arrays["distances"])
    labels = np.unique(arrays["labels"][0, 0]) if named else ()
    return unnamed({int(label): str(arrays["class_names"][label]) for label in labels})
