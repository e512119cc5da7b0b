"""Figure 4: guidance schedule, timestep weights, calibration over timesteps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dash_repro.paper.figures.data import Curve, curve, models_of
from dash_repro.paper.figures.style import (
    DASHED,
    GREY,
    LIGHT,
    PANEL,
    Axes,
    Figure,
    Label,
    Style,
    end_labels,
)
from dash_repro.paper.markup import to_plot
from dash_repro.paper.names import model_name
from dash_repro.paper.needs import (
    CALIBRATION,
    EXPORT,
    FIRST,
    TEACHER,
    TIRT_PARAMS,
    Need,
    experiments,
)
from dash_repro.paper.registry import Section, figure
from dash_repro.paper.rows import Collected

PANEL_SHARE = 0.325  # of the text's width: three panels in a row
COMPARED = ("dash", "composite", "gap_match")  # students whose gaps are shown over t
LABEL_ROOM = 1.34  # x range beyond the data, for labels at the ends of lines
TIMESTEP = "timestep t  (0: image, T: noise)"
BANDS = (
    "Lines are means over seeds; a band, where there are several, reaches "
    "from the lowest to the highest."
)
TEACHERS_GAP = "Grey: ρ = 1, the teacher's gap."
SHORT = {
    "tirt_min_snr": "Min-SNR weights",
    "tirt_learned": "learned λ",
    "fitnets": to_plot("FitNets + L_{an}"),
}


def plot_name(model: str) -> str:
    """Printed name of a row, in matplotlib's notation, short."""
    if model in SHORT:
        return SHORT[model]
    return to_plot(model_name(model).replace("without", "w/o").split(" (")[0])


def panel(name: str, **about: Any) -> Callable[[Callable], Callable]:
    """Register a figure of one panel, three in a row, whose axes the function fills."""

    def decorate(fill: Callable) -> Callable:
        @figure(name, share=PANEL_SHARE, **about)
        def draw(collected: Collected, style: Style) -> Figure:
            drawing = style.new(PANEL, 0.40)
            fill(drawing.add_subplot(), collected, style)
            return drawing

        return fill

    return decorate


def leave_room(axes: Axes, low: float, high: float, room: float = LABEL_ROOM) -> None:
    """Leave space right of the data for labels, and no ticks in it."""
    axes.set_xlim(low, low + (high - low) * room)
    ticks = [tick for tick in axes.get_xticks() if low <= tick <= high * 1.001]
    axes.set_xticks(ticks)
    axes.spines["bottom"].set_bounds(low, high)


def draw_band(axes: Axes, line: Curve, color: str) -> None:
    """A mean over seeds, with the extremes as a band where there are several."""
    axes.plot(line.x, line.mean, color=color)
    if line.seeds > 1:
        axes.fill_between(line.x, line.low, line.high, color=color, alpha=0.18, lw=0)


def draw_models(
    axes: Axes,
    collected: Collected,
    metric: str,
    along: str,
    style: Style,
    dots: bool = False,
) -> tuple[list[Curve], list[Label]]:
    """A line and its band for each model, DASH first; the lines, and their labels.

    Args:
        metric, along: see `dash_repro.paper.figures.data.curve`.
        dots: one at each x.
    """
    lines, labels = [], []
    for model in models_of(collected, metric):
        line = curve(collected.find(metric, model=model), along)
        color = style.color(model)
        draw_band(axes, line, color)
        if dots:
            axes.plot(line.x, line.mean, ".", color=color)
        lines.append(line)
        labels.append((line.x[-1], line.mean[-1], plot_name(model), color))
    return lines, labels


@panel(
    "figure4a",
    title="TAG guidance schedule",
    section=Section.TEACHER,
    params=("tag", "diffusion.timesteps", *experiments("table2")),
    derived=("tag",),
    caption="TAG's guidance scale w(t), full, beside the constant scales of Table 2, "
    "dashed.",
)
def figure4a(axes: Axes, collected: Collected, style: Style) -> None:
    """TAG's w(t) (Eq. 3) beside the two constant scales of Table 2."""
    tag = curve(collected.find("tag_scale"), "x")
    low = float(collected.param("experiments.table2.guidance_scale"))
    high = float(collected.param("experiments.sampling.guidance_scale"))
    last = float(collected.param("diffusion.timesteps"))
    color = style.color("dash")
    axes.plot(tag.x, tag.mean, color=color)
    labels = [(last, tag.mean[-1], "TAG", color)]
    for scale in (low, high):
        axes.plot([0, last], [scale, scale], color=GREY, lw=1, linestyle=DASHED)
        labels.append((last, scale, f"w = {scale:g}", GREY))
    axes.set_ylim(0, max(high, tag.mean.max()) * 1.1)
    leave_room(axes, 0, last)
    axes.set(xlabel=TIMESTEP, ylabel="guidance scale w(t)")
    end_labels(axes, labels, style.font_size - 1)


@panel(
    "figure4b",
    title="TIRT weights",
    section=Section.TEACHER,
    needs=(Need(EXPORT, "table3", (TEACHER,), FIRST, FIRST),),
    params=TIRT_PARAMS,
    derived=("min_snr",),
    caption="Timestep weights of mean one: learned by the teacher of the first seed, "
    "full, and Min-SNR, dashed.",
)
def figure4b(axes: Axes, collected: Collected, style: Style) -> None:
    """The teacher's learned weights beside Min-SNR's, both of mean one."""
    rows = collected.find("omega_hat", model=TEACHER)
    learned, base = curve(rows, "x"), curve(collected.find("omega_min_snr"), "x")
    last = float(collected.param("diffusion.timesteps"))
    color = style.color("dash")
    axes.plot(base.x, base.mean, color=GREY, lw=1, linestyle=DASHED)
    axes.plot(learned.x, learned.mean, color=color)
    axes.set_ylim(0, None)
    leave_room(axes, 0, last)
    axes.set(xlabel=TIMESTEP, ylabel=r"weight $\hat{\omega}_t$")
    labels = [
        (last, learned.mean[-1], "TIRT", color),
        (last, base.mean[-1], "Min-SNR", GREY),
    ]
    end_labels(axes, labels, style.font_size - 1)


@panel(
    "figure4c",
    title="Gap ratio by timestep",
    section=Section.TEACHER,
    needs=(Need(CALIBRATION, "table3", COMPARED, FIRST, optional_models=True),),
    params=("diffusion.timesteps", "experiments.table3"),
    caption="Ratio ρ of the guidance gap of a student to the teacher's, by bin of "
    f"timesteps. {BANDS} {TEACHERS_GAP}",
)
def figure4c(axes: Axes, collected: Collected, style: Style) -> None:
    """rho by timestep of DASH, composite and gap matching; band: seeds."""
    last = float(collected.param("diffusion.timesteps"))
    axes.axhline(1, color=LIGHT, lw=0.8, zorder=0)
    _, labels = draw_models(axes, collected, "rho_bin", "x", style)
    axes.set_ylim(0, None)
    leave_room(axes, 0, last, 1.5)
    axes.set(xlabel=TIMESTEP, ylabel="gap ratio ρ(t)")
    end_labels(axes, labels, style.font_size - 1)
