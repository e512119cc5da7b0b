"""Figures 6, 7, D1 to D7 and S3: generated images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from dash_repro.paper.figures.labels import class_label
from dash_repro.paper.figures.style import GREY, Style
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

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

GAP = 2  # white pixels between images


def tile(images: np.ndarray) -> np.ndarray:
    """Join images (R, C, H, W, 1 or 3) uint8 into one RGB picture with white gaps."""
    rows, columns, height, width, _ = images.shape
    shape = (rows * (height + GAP) - GAP, columns * (width + GAP) - GAP, 3)
    picture = np.full(shape, 255, dtype=np.uint8)
    for row in range(rows):
        for column in range(columns):
            top, left = row * (height + GAP), column * (width + GAP)
            picture[top : top + height, left : left + width] = images[row, column]
    return picture


def _show(axes: Axes, images: np.ndarray) -> None:
    axes.imshow(tile(images), interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])
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
    height = rows / columns / len(groups)
    figure = style.new(1.0, height + 0.06)
    for index, group in enumerate(groups):
        axes = figure.add_subplot(1, len(groups), index + 1)
        _show(axes, arrays["images"][index])
        axes.set_title(str(group))
    return figure


def _column_ticks(
    axes: Axes, count: int, side: int, labels: list[str], size: float, top: bool
) -> None:
    places = [column * (side + GAP) + side / 2 for column in range(count)]
    axes.set_xticks(places, labels, fontsize=size, parse_math=False)
    axes.tick_params(
        axis="x", length=0, labeltop=top, labelbottom=not top, labelcolor="#222222"
    )


def _class_labels(
    arrays: Mapping[str, np.ndarray], style: Style, size: float, share: float
) -> list[str]:
    """Names of the classes of the first row's images, as wide as their columns.

    Args:
        size: of the letters, in points.
        share: of the figure's width that the columns have.
    """
    shown = arrays["labels"][0, 0]
    letter = 0.6 * size  # of DejaVu Sans, on average
    room = share * style.width * 72 / len(shown) / letter
    names = arrays["class_names"]
    return [class_label(str(names[label]), int(label), room) for label in shown]


def _classes(arrays: Mapping[str, np.ndarray], style: Style) -> Figure:
    """Samples of a class in each column, named above."""
    _, rows, columns, _, side, _ = arrays["images"].shape
    figure = style.new(1.0, rows / columns + 0.06)
    axes = figure.add_subplot()
    _show(axes, arrays["images"][0])
    size = style.font_size - 2
    labels = _class_labels(arrays, style, size, 0.92)
    _column_ticks(axes, columns, side, labels, size, True)
    return figure


def _pairs(arrays: Mapping[str, np.ndarray], style: Style) -> Figure:
    """Two groups of images, one above the other; class above, distance below."""
    groups, count = arrays["groups"], arrays["images"].shape[2]
    distances = arrays["distances"].reshape(-1, count)
    figure = style.new(1.0, len(groups) / count + 0.10 * len(distances))
    for index, row in enumerate(distances):
        axes = figure.add_subplot(len(distances), 1, index + 1)
        both = slice(2 * index, 2 * index + 2)
        pair = {key: arrays[key][both] for key in ("images", "labels", "groups")}
        names = {"class_names": arrays["class_names"]}
        _pair_rows(axes, {**pair, **names}, style)
        side = arrays["images"].shape[4]
        for column, distance in enumerate(row):
            axes.text(
                column * (side + GAP) + side / 2,
                2 * (side + GAP) + side * 0.12,
                f"{distance:.{len(distances)}f}",
                ha="center",
                va="top",
                fontsize=style.font_size - 2.5,
                color=GREY,
            )
    return figure


def _pair_rows(axes: Axes, arrays: Mapping[str, np.ndarray], style: Style) -> None:
    """Both groups of pairs, their names beside them, the classes above."""
    count, side = arrays["images"].shape[2], arrays["images"].shape[4]
    _show(axes, np.concatenate(list(arrays["images"])))
    size = style.font_size - 2.5
    labels = _class_labels(arrays, style, size, 0.82)
    _column_ticks(axes, count, side, labels, size, True)
    places = [row * (side + GAP) + side / 2 for row in range(len(arrays["groups"]))]
    axes.set_yticks(places, [str(group) for group in arrays["groups"]])
    axes.tick_params(axis="y", length=0)


_BOTH = (TEACHER, "dash")
# images of the second dataset come with the fewest trainings: those of Table C5
_STEPS = ("default", "tableC5")


def _images(name: str, title: str, *needs: Need, **about: Any) -> None:
    """Register a figure of generated images."""
    about = {"section": Section.APPENDIX_D, **about}
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
    layout="classes",
    caption="Teacher, five samples a class in columns, first dataset.",
    share=0.8,
)
_images(
    "figureD2",
    "Student by class",
    samples(("dash",), FIRST),
    layout="classes",
    caption="Student, laid out as Figure D1.",
    share=0.8,
)
_images(
    "figureD3",
    "Teacher by class",
    samples((TEACHER,), SECOND, *_STEPS),
    layout="classes",
    caption="Teacher, five samples a class in columns, second dataset.",
    share=0.8,
)
_images(
    "figureD4",
    "Student by class",
    samples(("dash",), SECOND, *_STEPS),
    layout="classes",
    caption="Student, laid out as Figure D3.",
    share=0.8,
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
    section=Section.SUPPLEMENT,
    layout="closest",
    caption="Above: of all samples of the student the nearest to a training image, "
    "with that image. Below: the same of held-out real images. Numbers: distance of "
    "features, over the median distance of held-out images to their nearest training "
    "image; a copy has none. The class above a pair is that of its first image.",
)
