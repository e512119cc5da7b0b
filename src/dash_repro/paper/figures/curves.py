"""Figures 4 and 5: guidance schedule, timestep weights, calibration, trade-offs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dash_repro.paper.aggregate import statistic_of
from dash_repro.paper.context import value_of
from dash_repro.paper.figures.data import Curve, curve, first_dataset, models_of
from dash_repro.paper.figures.style import GREY, LIGHT, PANEL, Style, end_labels, spread
from dash_repro.paper.markup import to_plot
from dash_repro.paper.names import metric_name, model_name
from dash_repro.paper.needs import (
    CALIBRATION,
    EXPORT,
    FIRST,
    HISTORY_NEED,
    STUDENTS,
    TEACHER,
    TIRT_PARAMS,
    Need,
    experiments,
    metrics,
    profile,
)
from dash_repro.paper.registry import Section, figure
from dash_repro.paper.rows import Collected, Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PANEL_SHARE = 0.325  # of the text's width: three panels in a row
COMPARED = ("dash", "composite", "gap_match")  # students whose gaps are shown over t
LABEL_ROOM = 1.34  # x range beyond the data, for labels at the ends of lines
TIMESTEP = "timestep t  (0: image, T: noise)"


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


def _panel(style: Style, height: float = 0.40) -> tuple[Figure, Axes]:
    drawing = style.new(PANEL, height)
    return drawing, drawing.add_subplot()


def _room(axes: Axes, low: float, high: float, room: float = LABEL_ROOM) -> None:
    """Leave space right of the data for labels, and no ticks in it."""
    axes.set_xlim(low, low + (high - low) * room)
    ticks = [tick for tick in axes.get_xticks() if low <= tick <= high * 1.001]
    axes.set_xticks(ticks)
    axes.spines["bottom"].set_bounds(low, high)


def _band(axes: Axes, line: Curve, color: str, dashed: bool = False) -> None:
    """A mean over seeds, with the extremes as a band where there are several."""
    style = (0, (4, 2)) if dashed else "-"
    axes.plot(line.x, line.mean, color=color, linestyle=style)
    if line.seeds > 1:
        axes.fill_between(line.x, line.low, line.high, color=color, alpha=0.18, lw=0)


@figure(
    "figure4a",
    title="TAG guidance schedule",
    section=Section.TEACHER,
    params=("tag", "diffusion.timesteps", *experiments("table2")),
    derived=("tag",),
    caption="TAG's guidance scale over the timesteps beside the constant ones.",
    share=PANEL_SHARE,
)
def figure4a(collected: Collected, style: Style) -> Figure:
    """TAG's w(t) (Eq. 3) beside the two constant scales of Table 2."""
    drawing, axes = _panel(style)
    tag = curve(collected.find("tag_scale"), "x")
    low = float(collected.param("experiments.table2.guidance_scale"))
    high = float(collected.param("experiments.sampling.guidance_scale"))
    last = float(collected.param("diffusion.timesteps"))
    color = style.color("dash")
    axes.plot(tag.x, tag.mean, color=color)
    labels = [(last, float(tag.mean[-1]), "TAG", color)]
    for scale in (low, high):
        axes.plot([0, last], [scale, scale], color=GREY, lw=1, linestyle=(0, (4, 2)))
        labels.append((last, scale, f"w = {scale:g}", GREY))
    axes.set_ylim(0, max(high, float(tag.mean.max())) * 1.1)
    _room(axes, 0, last)
    axes.set_xlabel(TIMESTEP)
    axes.set_ylabel("guidance scale w(t)")
    end_labels(axes, labels, style.font_size - 1)
    return drawing


@figure(
    "figure4b",
    title="TIRT weights",
    section=Section.TEACHER,
    needs=(Need(EXPORT, "table3", (TEACHER,), FIRST, FIRST),),
    params=TIRT_PARAMS,
    derived=("min_snr",),
    caption="Timestep weights learned by the teacher of the first seed, beside "
    "Min-SNR.",
    share=PANEL_SHARE,
)
def figure4b(collected: Collected, style: Style) -> Figure:
    """The teacher's learned weights beside Min-SNR's, both of mean one."""
    drawing, axes = _panel(style)
    dataset = first_dataset(collected, "omega_hat")
    rows = collected.find("omega_hat", dataset=dataset, model=TEACHER)
    learned, base = curve(rows, "x"), curve(collected.find("omega_min_snr"), "x")
    last = float(collected.param("diffusion.timesteps"))
    color = style.color("dash")
    axes.plot(base.x, base.mean, color=GREY, lw=1, linestyle=(0, (4, 2)))
    axes.plot(learned.x, learned.mean, color=color)
    axes.set_ylim(0, None)
    _room(axes, 0, last)
    axes.set_xlabel(TIMESTEP)
    axes.set_ylabel(r"weight $\hat{\omega}_t$")
    labels = [
        (last, float(learned.mean[-1]), "TIRT", color),
        (last, float(base.mean[-1]), "Min-SNR", GREY),
    ]
    end_labels(axes, labels, style.font_size - 1)
    return drawing


@figure(
    "figure4c",
    title="Gap ratio by timestep",
    section=Section.TEACHER,
    needs=(Need(CALIBRATION, "table3", COMPARED, FIRST, optional_models=True),),
    params=("diffusion.timesteps", "experiments.table3"),
    caption="Ratio of guidance gaps by timestep.",
    share=PANEL_SHARE,
)
def figure4c(collected: Collected, style: Style) -> Figure:
    """rho by timestep of DASH, composite and gap matching; band: seeds."""
    drawing, axes = _panel(style)
    last = float(collected.param("diffusion.timesteps"))
    axes.axhline(1, color=LIGHT, lw=0.8, zorder=0)
    labels = []
    for model in models_of(collected, "rho_bin"):
        line = curve(collected.find("rho_bin", model=model), "x")
        _band(axes, line, style.color(model))
        end = (float(line.x[-1]), float(line.mean[-1]))
        labels.append((*end, plot_name(model), style.color(model)))
    axes.set_ylim(0, None)
    _room(axes, 0, last, 1.5)
    axes.set_xlabel(TIMESTEP)
    axes.set_ylabel("gap ratio ρ(t)")
    end_labels(axes, labels, style.font_size - 1)
    return drawing


def iterations_axis(axes: Axes, last: float) -> None:
    """Iterations in thousands where they are many."""
    from matplotlib.ticker import FuncFormatter

    thousands = last >= 5000
    axes.set_xlabel("iteration (thousands)" if thousands else "iteration")
    if thousands:
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x / 1000:g}"))


@figure(
    "figure5a",
    title="Gap ratio over training",
    section=Section.STUDENTS,
    needs=(HISTORY_NEED,),
    params=("experiments.table4",),
    caption="Ratio of guidance gaps during training.",
    share=PANEL_SHARE,
)
def figure5a(collected: Collected, style: Style) -> Figure:
    """rho during training of DASH, and of DASH without L_un."""
    drawing, axes = _panel(style)
    axes.axhline(1, color=LIGHT, lw=0.8, zorder=0)
    labels, last = [], 0.0
    for model in models_of(collected, "rho_step"):
        line = curve(collected.find("rho_step", model=model), "step")
        _band(axes, line, style.color(model))
        last = max(last, float(line.x[-1]))
        end = (float(line.x[-1]), float(line.mean[-1]))
        labels.append((*end, plot_name(model), style.color(model)))
    axes.set_ylim(0, None)
    _room(axes, 0, last, 1.42)
    iterations_axis(axes, last)
    axes.set_ylabel("gap ratio ρ")
    end_labels(axes, labels, style.font_size - 1)
    return drawing


def _mean(rows: Sequence[Row]) -> float:
    return float(statistic_of([value_of(row) for row in rows], "mean", 0))


@figure(
    "figure5b",
    title="Gap magnitude against direction",
    section=Section.STUDENTS,
    needs=(
        Need(CALIBRATION, "table3", datasets=FIRST),
        Need(CALIBRATION, "table4", datasets=FIRST),
    ),
    params=(
        "experiments.table3",
        "experiments.table4",
        "measure_calibration.cos_undefined_below",
    ),
    caption="Magnitude against direction of the gap.",
    share=PANEL_SHARE,
)
def figure5b(collected: Collected, style: Style) -> Figure:
    """Magnitude (rho) against direction (cosine) of the students' gaps."""
    drawing, axes = _panel(style)
    limit = collected.param("measure_calibration.cos_undefined_below")
    left_out, points = [], []
    for model in models_of(collected, "rho"):
        rho = collected.find("rho", model=model)
        cos = collected.find("cos", model=model)
        if model == "scratch":
            continue
        if _mean(rho) < limit or not cos:
            left_out.append(plot_name(model))
            continue
        x, y = _mean(rho), _mean(cos)
        axes.plot(
            [float(row.value) for row in rho],
            [float(row.value) for row in cos],
            ".",
            color=style.color(model),
            ms=3,
            alpha=0.5,
        )
        axes.plot(x, y, "o", color=style.color(model), ms=5)
        points.append((x, y, plot_name(model), style.color(model)))
    axes.axvline(1, color=LIGHT, lw=0.8, zorder=0)
    axes.set_xlabel("gap ratio ρ")
    axes.set_ylabel("cos(Δ)")
    axes.margins(0.12)
    low, high = axes.get_xlim()
    _room(axes, low, high, 1.62)
    side_labels(axes, points, high, style.font_size - 2)
    if left_out:
        text = f"ρ < {limit:g}: {', '.join(left_out)}"
        size = style.font_size - 2.5
        axes.set_title(text, fontsize=size, color=GREY, loc="left")
    return drawing


def side_labels(
    axes: Axes,
    points: Sequence[tuple[float, float, str, str]],
    x: float,
    size: float,
) -> None:
    """Names in a column right of a scatter, each joined to its point by a thin line."""
    drawing = axes.get_figure()
    drawing.draw_without_rendering()
    height = axes.get_position().height * drawing.get_size_inches()[1] * 72
    low, high = axes.get_ylim()
    step = 1.15 * size / height * (high - low)
    ordered = sorted(points, key=lambda point: point[1])
    moved = spread([point[1] for point in ordered], step, low, high)
    for point, y in zip(ordered, moved, strict=True):
        px, py, text, color = point
        axes.annotate(
            text,
            (px, py),
            xytext=(x, y),
            textcoords="data",
            color=color,
            fontsize=size,
            va="center",
            annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": color, "lw": 0.5, "alpha": 0.6},
        )


@figure(
    "figure5c",
    title="Quality against parameters",
    section=Section.STUDENTS,
    needs=(
        metrics("table3", datasets=FIRST),
        metrics("table3", (TEACHER,), datasets=FIRST),
        metrics("tableC6", datasets=FIRST),
        profile("table3", (STUDENTS, TEACHER)),
        profile("tableC6", (STUDENTS,)),
    ),
    params=(*experiments("table3", "tableC6"), "tag"),
    caption="Sample quality against parameters.",
    share=PANEL_SHARE,
)
def figure5c(collected: Collected, style: Style) -> Figure:
    """Distance to the training images against parameters, at every width trained."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    drawing, axes = _panel(style)
    dataset = first_dataset(collected, "frechet")
    points = _pareto_points(collected, dataset)
    labels = []
    for model in sorted({model for model, _, _ in points}):
        mine = sorted((size, value) for name, size, value in points if name == model)
        x, y = zip(*mine, strict=True)
        color = style.color(model)
        marker = "*" if model == TEACHER else "o"
        size = 9 if model == TEACHER else 4
        axes.plot(x, y, marker=marker, ms=size, color=color, lw=1.2)
        labels.append((x[-1], y[-1], plot_name(model), color))
    axes.set_xscale("log")
    sizes = sorted({size for _, size, _ in points})
    axes.set_xlim(sizes[0] * 0.85, sizes[-1] * 1.15)
    axes.set_ylim(0, None)
    axes.xaxis.set_major_locator(FixedLocator(sizes))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:.1f}"))
    axes.set_xlabel("parameters (millions)")
    names = {metric_name(row.name) for row in collected.find("frechet")}
    axes.set_ylabel(f"{' or '.join(sorted(names))} ↓")
    side_labels(axes, labels, sizes[-1] * 1.5, style.font_size - 2)
    return drawing


def _pareto_points(
    collected: Collected, dataset: str
) -> list[tuple[str, float, float]]:
    """(model, millions of parameters, mean distance) of every model and width."""
    rows = collected.find("frechet", dataset=dataset)
    points = []
    for model, width in sorted({(row.model, row.width) for row in rows}):
        mine = [row for row in rows if (row.model, row.width) == (model, width)]
        where = {"name": "parameters", "model": model, "width": width}
        size = float(collected.one("profile", **where).value) / 1e6
        points.append((model, size, _mean(mine)))
    return points
