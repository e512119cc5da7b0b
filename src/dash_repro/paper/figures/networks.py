"""Figures 2 and 3: the two networks, and where each objective vanishes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dash_repro.paper.figures.pipeline import millions
from dash_repro.paper.figures.style import GREY, LIGHT, Axes, Figure, Style
from dash_repro.paper.needs import TEACHER, profile
from dash_repro.paper.registry import Section, figure
from dash_repro.paper.rows import Collected

RED = "#B00020"


@dataclass(frozen=True)
class Net:
    """What is drawn of a network.

    Attributes:
        title: over it.
        width, blocks, mults, attention, side: as in the params.
        widest: channels that fill a column (shared by both networks).
        color: of its boxes.
    """

    title: str
    width: int
    blocks: int
    mults: tuple[int, ...]
    attention: int
    side: int
    widest: int
    color: str


@figure(
    "figure2",
    title="Architectures",
    section=Section.COMPARED,
    needs=(profile("table3", (TEACHER, "dash")),),
    params=(
        "network",
        "prepare_data",
        "train_teacher.width",
        "train_teacher.blocks",
        "train_student.blocks",
        "experiments.table3",
    ),
    caption="Networks of teacher and student with their channel widths; a star marks "
    "self-attention, dashed lines are skip connections.",
    wide=True,
    diagram=True,
)
def figure2(collected: Collected, style: Style) -> Figure:
    """Teacher and student UNets, box widths proportional to channels."""
    network, table3 = collected.param("network"), collected.param("experiments.table3")
    width = table3["width"]
    teacher_width = collected.param("train_teacher.width")
    side = collected.param("prepare_data")[table3["datasets"][0]]["image_size"]
    mults = tuple(network["channel_mult"])
    shared = (mults, network["attention_resolution"], side, teacher_width * max(mults))
    blocks = (
        collected.param("train_teacher.blocks"),
        collected.param("train_student.blocks"),
    )
    sizes = millions(collected, TEACHER), millions(collected, "dash", width)
    nets = (
        Net(f"Teacher, {sizes[0]}", teacher_width, blocks[0], *shared, GREY),
        Net(f"Student, {sizes[1]}", width, blocks[1], *shared, style.color("dash")),
    )
    drawing = style.new(1.25, 0.46)
    for axes, net in zip(drawing.subplots(1, 2), nets, strict=True):
        _network(axes, net, style.font_size - 2)
    return drawing


def _network(axes: Axes, net: Net, size: float) -> None:
    """Encoder down the left, decoder up the right, one level a resolution."""
    levels = len(net.mults)
    axes.set(xlim=(-1.35, 1.35), ylim=(-levels - 0.75, 0.75))
    axes.axis("off")
    plural = "s" if net.blocks > 1 else ""
    title = f"{net.title}\n{net.width} channels, {net.blocks} block{plural} a level"
    axes.set_title(title, fontsize=size + 1.5)
    for level, mult in enumerate(net.mults):
        channels, side = net.width * mult, net.side // 2**level
        star = " ★" if side == net.attention else ""
        for x, blocks in ((-0.72, net.blocks), (0.72, net.blocks + 1)):
            _level(axes, net, (x, -level), channels, blocks, star, size)
        edge = 0.70 - 0.5 * channels / net.widest
        axes.plot([-edge, edge], [-level, -level], color=GREY, lw=0.9, ls=(0, (3, 2)))
        axes.text(0, -level + 0.1, f"{side}×{side}", ha="center", fontsize=size - 1)
        if level + 1 < levels:
            _arrow(axes, (-0.72, -level - 0.3), (-0.72, -level - 0.7))
            _arrow(axes, (0.72, -level - 0.7), (0.72, -level - 0.3))
    bottom = -levels
    _level(axes, net, (0, bottom), net.width * net.mults[-1], 2, " ★", size)
    _arrow(axes, (-0.72, bottom + 0.7), (-0.2, bottom + 0.32))
    _arrow(axes, (0.2, bottom + 0.32), (0.72, bottom + 0.7))
    text = "★ self-attention   dashed: skip connections"
    axes.text(0, bottom - 0.62, text, ha="center", fontsize=size - 1, color=GREY)


def _level(
    axes: Axes,
    net: Net,
    centre: tuple[float, float],
    channels: int,
    blocks: int,
    star: str,
    size: float,
) -> None:
    """One bar a residual block, stacked; a bar's length shows its channels."""
    from matplotlib.patches import Rectangle

    length = channels / net.widest
    height = 0.52 / blocks
    look = {"fc": net.color, "alpha": 0.22, "ec": net.color, "lw": 0.7, "zorder": 3}
    for index in range(blocks):
        corner = (centre[0] - length / 2, centre[1] - 0.26 + index * height)
        axes.add_patch(Rectangle(corner, length, height * 0.86, **look))
    plate = {"boxstyle": "round,pad=0.1", "fc": "white", "ec": "none", "alpha": 0.85}
    align = {"ha": "center", "va": "center", "zorder": 4}
    axes.text(*centre, f"{channels}{star}", fontsize=size, bbox=plate, **align)


def _arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    arrow = {"arrowstyle": "-|>", "color": GREY, "lw": 0.9, "shrinkA": 0, "shrinkB": 0}
    axes.annotate("", end, xytext=start, arrowprops=arrow)


@figure(
    "figure3",
    title="Solution geometry",
    section=Section.COMPARED,
    params=("students.composite.guidance_scale",),
    caption="Residuals of the two branches at which a loss vanishes. Left: the "
    "composite loss vanishes on a line through collapse and through shifts of both "
    "branches. Right: two branch losses vanish at one point.",
    share=0.9,
    diagram=True,
)
def figure3(collected: Collected, style: Style) -> Figure:
    """Residuals of the two branches at which the losses vanish (Eqs. 11, 12).

    The teacher's gap is drawn as a unit; collapse sits at ((w - 1) gap, w gap).
    """
    w = float(collected.param("students.composite.guidance_scale"))
    drawing = style.new(1.0, 0.46)
    left, right = drawing.subplots(1, 2)
    for axes in (left, right):
        _residual_axes(axes, style.font_size)
    left.set_title("composite objective")
    right.set_title("two branch objectives")
    _composite(left, w, style)
    _branches(right, style)
    return drawing


def _residual_axes(axes: Axes, size: float) -> None:
    axes.set(xlim=(-1.25, 1.25), ylim=(-1.25, 1.25), aspect="equal")
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    axes.axhline(0, color=LIGHT, lw=0.8, zorder=0)
    axes.axvline(0, color=LIGHT, lw=0.8, zorder=0)
    axes.text(1.25, -0.05, r"$\delta^{y}$", ha="right", va="top", fontsize=size)
    null = r"$\delta^{\varnothing}$"
    axes.text(-0.05, 1.25, null, ha="right", va="top", fontsize=size)


def _composite(axes: Axes, w: float, style: Style) -> None:
    small = style.font_size - 1.5
    reach = np.array([-1.1, 1.1])
    own = style.color("composite")
    axes.plot(reach * (w - 1) / w, reach, color=own, lw=2, zorder=1)
    unit = 0.85 / w
    points = (
        (0.0, "(i) teacher", style.color("dash")),
        (-0.72 * unit, "(ii) both shifted", GREY),
        (unit, "(iii) collapse, Δ = 0", RED),
    )
    for shift, text, color in points:
        x, y = (w - 1) * shift, w * shift
        axes.plot(x, y, "o", color=color, ms=6, zorder=2)
        axes.annotate(
            text,
            (x, y),
            xytext=(-7, 0),
            textcoords="offset points",
            ha="right",
            va="center",
            color=color,
            fontsize=small,
            bbox={"boxstyle": "round,pad=0.1", "fc": "white", "ec": "none"},
        )
    label = rf"$w\,\delta^{{y}} = (w-1)\,\delta^{{\varnothing}}$, w = {w:g}"
    axes.text(0.12, -0.62, label, fontsize=small, color=own, va="center")


def _branches(axes: Axes, style: Style) -> None:
    small = style.font_size - 1.5
    cond, uncond = style.color("dash"), style.color("composite")
    axes.plot([0, 0], [-1.1, 1.1], color=cond, lw=2, zorder=1)
    axes.plot([-1.1, 1.1], [0, 0], color=uncond, lw=2, zorder=1)
    axes.plot(0, 0, "o", color="black", ms=7, zorder=2)
    left = {"ha": "left", "fontsize": small}
    axes.text(0.08, 0.85, r"$\mathcal{L}_{\mathrm{im}} = 0$", color=cond, **left)
    axes.text(0.55, 0.08, r"$\mathcal{L}_{\mathrm{un}} = 0$", color=uncond, **left)
    text = "(i) teacher,\nthe only one"
    axes.text(-0.1, -0.12, text, va="top", ha="right", fontsize=small)
