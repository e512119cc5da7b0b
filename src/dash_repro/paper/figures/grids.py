"""Figures 6, 7, D1 to D7 and S3: generated images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from dash_repro.paper.figures.labels import class_label
from dash_repro.paper.figures.style import GREY, Axes, Figure, Style
from dash_repro.paper.needs import (
    BOUNDS,
    FIRST,
    METRICS,
    PAIRS,
    SECOND,
    STUDENTS,
    TEACHER,
    Need,
    samples,
)
from dash_repro.paper.registry import FigureSpec, Section, register

GAP = 2  # white pixels between images


def tile(images: np.ndarray) -> np.ndarray:
    """Join images (R, C, H, W, 1 or 3) uint8 into one RGB picture with white gaps."""
    rows, columns, height, width, _ = images.shape
    gaps = ((0, 0), (0, 0), (0, GAP), (0, GAP), (0, 0))
    padded = np.pad(images, gaps, constant_values=255).swapaxes(1, 2)
    picture = padded.reshape(rows * (height + GAP), columns * (width + GAP), -1)
    return np.broadcast_to(picture, (*picture.shape[:2], 3))[:-GAP, :-GAP]


def _show(axes: Axes, images: np.ndarray) -> None:
    axes.imshow(tile(images), interpolation="nearest")
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)


def image_figure(arrays: Mapping[str, np.ndarray], style: Style) -> Figure:
    """The layout that fits: rows of matched pairs, classes in columns, or grids.

    Args:
        arrays: of collect_images (dash_repro.paper.images.select_images).
    """
    if len(arrays["distances"]):
        figure = _pairs(arrays, style)
    elif len(arrays["columns"]):
        figure = _classes(arrays, style)
    else:
        figure = _grids(arrays, style)
    figure.get_layout_engine().set(wspace=0.06)
    return figure


def _grids(arrays: Mapping[str, np.ndarray], style: Style) -> Figure:
    """One grid a group, side by side, titled."""
    groups = arrays["groups"]
    _, rows, columns, *_ = arrays["images"].shape
    figure = style.new(1.0, rows / columns / len(groups) + 0.06)
    for index, group in enumerate(groups):
        axes = figure.add_subplot(1, len(groups), index + 1)
        _show(axes, arrays["images"][index])
        axes.set_title(str(group))
    return figure


def _centres(count: int, side: int) -> np.ndarray:
    """Of images in a row or column, in pixels of the picture."""
    return np.arange(count) * (side + GAP) + side / 2


def _name_classes(
    axes: Axes,
    arrays: Mapping[str, np.ndarray],
    group: int,
    style: Style,
    size: float,
    share: float,
) -> None:
    """Classes of the first row of a group above its images, as wide as their columns.

    Args:
        size: of the letters, in points.
        share: of the figure's width that the columns have.
    """
    labels, names = arrays["labels"][group, 0], arrays["class_names"]
    letter = 0.6 * size  # of DejaVu Sans, on average
    room = share * style.width * 72 / len(labels) / letter
    shown = [class_label(str(names[label]), int(label), room) for label in labels]
    places = _centres(len(labels), arrays["images"].shape[4])
    axes.set_xticks(places, shown, fontsize=size, parse_math=False)
    above = {"labeltop": True, "labelbottom": False, "labelcolor": "#222222"}
    axes.tick_params(axis="x", length=0, **above)


def _classes(arrays: Mapping[str, np.ndarray], style: Style) -> Figure:
    """Samples of a class in each column, named above."""
    _, rows, columns, *_ = arrays["images"].shape
    figure = style.new(1.0, rows / columns + 0.06)
    axes = figure.add_subplot()
    _show(axes, arrays["images"][0])
    _name_classes(axes, arrays, 0, style, style.font_size - 2, 0.92)
    return figure


def _pairs(arrays: Mapping[str, np.ndarray], style: Style) -> Figure:
    """Two groups of images, one above the other; class above, distance below."""
    groups, (_, _, count, _, side, _) = arrays["groups"], arrays["images"].shape
    distances = arrays["distances"].reshape(-1, count)
    figure = style.new(1.0, len(groups) / count + 0.10 * len(distances))
    small = style.font_size - 2.5
    below = 2 * (side + GAP) + side * 0.12
    about = {"ha": "center", "va": "top", "fontsize": small, "color": GREY}
    for index, row in enumerate(distances):
        axes = figure.add_subplot(len(distances), 1, index + 1)
        pair = slice(2 * index, 2 * index + 2)
        _show(axes, arrays["images"][pair, 0])
        _name_classes(axes, arrays, 2 * index, style, small, 0.82)
        axes.set_yticks(_centres(2, side), map(str, groups[pair]))
        axes.tick_params(axis="y", length=0)
        for x, distance in zip(_centres(count, side), row, strict=True):
            axes.text(x, below, f"{distance:.{len(distances)}f}", **about)
    return figure


_BOTH = (TEACHER, "dash")
# images of the second dataset come with the fewest trainings: those of Table C5
_STEPS = ("default", "tableC5")
_CLASSES = {"layout": "classes", "share": 0.8}


def _images(name: str, title: str, *needs: Need, **about: Any) -> None:
    """Register a figure of generated images."""
    register(
        FigureSpec(name=name, title=title, needs=needs, draw=image_figure, **about)
    )


_images(
    "figure6",
    "Teacher and student samples",
    samples(_BOTH, FIRST),
    section=Section.SAMPLES,
    layout="grid 5x7",
    caption="Samples of teacher and student from the same noise and labels.",
    share=0.9,
)
_images(
    "figure7",
    "Student samples by step count",
    samples((STUDENTS,), FIRST, "steps", "tableC5"),
    section=Section.SAMPLES,
    layout="grid 4x4",
    caption="Student samples with fewer sampling steps, same noise and labels.",
    wide=True,
)
_images(
    "figureD1",
    "Teacher by class",
    samples((TEACHER,), FIRST),
    caption="Teacher, five samples a class in columns, first dataset.",
    **_CLASSES,
)
_images(
    "figureD2",
    "Student by class",
    samples(("dash",), FIRST),
    caption="Student, laid out as Figure D1.",
    **_CLASSES,
)
_images(
    "figureD3",
    "Teacher by class",
    samples((TEACHER,), SECOND, *_STEPS),
    caption="Teacher, five samples a class in columns, second dataset.",
    **_CLASSES,
)
_images(
    "figureD4",
    "Student by class",
    samples(("dash",), SECOND, *_STEPS),
    caption="Student, laid out as Figure D3.",
    **_CLASSES,
)
_images(
    "figureD5",
    "Student samples by step count",
    samples((STUDENTS,), SECOND, "steps", "tableC5"),
    layout="grid 4x4",
    caption="Student samples with fewer sampling steps, second dataset.",
    wide=True,
)
_images(
    "figureD6",
    "Worst matched pairs",
    samples(_BOTH, FIRST),
    Need(PAIRS, "table3", (), FIRST, ""),
    layout="pairs",
    caption="The matched pairs whose features lie farthest apart, first dataset.",
)
_images(
    "figureD7",
    "Worst matched pairs",
    samples(_BOTH, SECOND, *_STEPS),
    Need(PAIRS, "tableC5", (), SECOND, ""),
    layout="pairs",
    caption="The same for the second dataset.",
)
_images(
    "figureS3",
    "Samples nearest to training images",
    samples(("dash",), FIRST),
    Need(METRICS, "table3", ("dash",), FIRST, FIRST, "default"),
    Need(BOUNDS, "table3", (), FIRST, ""),
    layout="closest",
    caption="Above: of all samples of the student the nearest to a training image, "
    "with that image. Below: the same of held-out real images. Numbers: distance of "
    "features, over the median distance of held-out images to their nearest training "
    "image; a copy has none. The class above a pair is that of its first image.",
)
