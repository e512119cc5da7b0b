"""Figure 5: the gap over training, magnitude against direction, quality and size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dash_repro.paper.aggregate import units
from dash_repro.paper.context import mean_of, value_of
from dash_repro.paper.figures.curves import (
    BANDS,
    TEACHERS_GAP,
    draw_models,
    leave_room,
    panel,
    plot_name,
)
from dash_repro.paper.figures.data import models_of
from dash_repro.paper.figures.style import (
    GREY,
    LIGHT,
    Axes,
    Label,
    Style,
    end_labels,
    spread,
)
from dash_repro.paper.names import metric_names
from dash_repro.paper.needs import (
    CALIBRATION,
    FIRST,
    HISTORY_NEED,
    STUDENTS,
    TEACHER,
    Need,
    experiments,
    metrics,
    profile,
)
from dash_repro.paper.registry import Section
from dash_repro.paper.rows import Collected, CollectedError

if TYPE_CHECKING:
    import pandas as pd

BESIDE = 0.035  # of the range of sizes, between neighbours of one size


def iterations_axis(axes: Axes, last: float) -> None:
    """Iterations in thousands where they are many."""
    from matplotlib.ticker import FuncFormatter

    thousands = last >= 5000
    axes.set_xlabel("iteration (thousands)" if thousands else "iteration")
    if thousands:
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x / 1000:g}"))


@panel(
    "figure5a",
    title="Gap ratio over training",
    section=Section.STUDENTS,
    needs=(HISTORY_NEED,),
    params=("experiments.table4",),
    caption=f"Ratio ρ of guidance gaps during training. {BANDS} {TEACHERS_GAP}",
)
def figure5a(axes: Axes, collected: Collected, style: Style) -> None:
    """rho during training of DASH, and of DASH without L_un."""
    axes.axhline(1, color=LIGHT, lw=0.8, zorder=0)
    lines, labels = draw_models(axes, collected, "rho_step", "step", style)
    last = max((line.x[-1] for line in lines), default=1.0)
    axes.set_ylim(0, None)
    leave_room(axes, 0, last, 1.42)
    iterations_axis(axes, last)
    axes.set_ylabel("gap ratio ρ")
    end_labels(axes, labels, style.font_size - 1)


@panel(
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
    caption="Magnitude ρ of the guidance gap against its direction, its cosine with "
    "the teacher's. Large dots are means over training seeds, small ones are single "
    "seeds. Grey: ρ = 1. Scratch is left out: it has no teacher.",
)
def figure5b(axes: Axes, collected: Collected, style: Style) -> None:
    """Magnitude (rho) against direction (cosine) of the students' gaps."""
    limit = collected.param("measure_calibration.cos_undefined_below")
    left_out, points = [], []
    for model in models_of(collected, "rho"):
        rho, cos = (collected.find(name, model=model) for name in ("rho", "cos"))
        if model == "scratch":
            continue
        if mean_of(rho) < limit or not cos:
            left_out.append(plot_name(model))
            continue
        x, y, color = float(mean_of(rho)), float(mean_of(cos)), style.color(model)
        single = ([float(row.value) for row in rows] for rows in (rho, cos))
        axes.plot(*single, ".", color=color, ms=3, alpha=0.5)
        axes.plot(x, y, "o", color=color, ms=5)
        points.append((x, y, plot_name(model), color))
    axes.axvline(1, color=LIGHT, lw=0.8, zorder=0)
    axes.set(xlabel="gap ratio ρ", ylabel="cos(Δ)")
    axes.margins(0.12)
    low, high = axes.get_xlim()
    leave_room(axes, low, high, 1.62)
    side_labels(axes, points, high, style.font_size - 2)
    if left_out:
        text = f"ρ < {limit:g}: {', '.join(left_out)}"
        size = style.font_size - 2.5
        axes.set_title(text, fontsize=size, color=GREY, loc="left")


def side_labels(axes: Axes, points: Sequence[Label], x: float, size: float) -> None:
    """Names in a column right of a scatter, each joined to its point by a thin line."""
    drawing = axes.get_figure()
    drawing.draw_without_rendering()
    height = axes.get_position().height * drawing.get_size_inches()[1] * 72
    low, high = axes.get_ylim()
    step = 1.15 * size / height * (high - low)
    ordered = sorted(points, key=lambda point: point[1])
    moved = spread([point[1] for point in ordered], step, low, high)
    for (*point, text, color), y in zip(ordered, moved, strict=True):
        axes.annotate(
            text,
            point,
            xytext=(x, y),
            textcoords="data",
            color=color,
            fontsize=size,
            va="center",
            annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": color, "lw": 0.5, "alpha": 0.6},
        )


@panel(
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
    caption="Distance to the training images against parameters, on a logarithmic "
    "scale. Points are means over training seeds; bars, where there are several, reach "
    "from the lowest to the highest. A line joins the widths of a student; the star is "
    "the teacher. Points of one size stand side by side.",
)
def figure5c(axes: Axes, collected: Collected, style: Style) -> None:
    """Distance to the training images against parameters, at every width trained."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    points = _points(collected)
    first, last = points["size"].iloc[[0, -1]]
    side = (last / first) ** BESIDE  # factor between neighbours of one size
    labels = []
    for model, mine in points.groupby("model"):
        x, y, color = (
            mine["size"] * side ** mine["place"],
            mine["mean"],
            style.color(model),
        )
        bars = [y - mine["low"], mine["high"] - y]
        marker, size = ("*", 9) if model == TEACHER else ("o", 4)
        about = {"marker": marker, "ms": size, "color": color, "lw": 1.0}
        axes.errorbar(x, y, yerr=bars, elinewidth=1.0, capsize=2, **about)
        labels.append((x.iloc[-1], y.iloc[-1], plot_name(model), color))
    axes.set_xscale("log")
    axes.set_xlim(first / side**4, last * side**4)
    axes.margins(y=0.08)
    axes.xaxis.set_major_locator(FixedLocator(points["size"].unique()))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:.2g}"))
    axes.set_xlabel("parameters (millions)")
    axes.set_ylabel(f"{metric_names(collected.find('frechet'))} ↓")
    side_labels(axes, labels, last * side**6, style.font_size - 2)


def _points(collected: Collected) -> pd.DataFrame:
    """Every model at every width, by size; those of one size in the order of names.

    Returns:
        Columns: model; size, millions of parameters; mean, low and high, distances over
        seeds; place, among those of its size, from left to right, 0 in the middle.
    """
    import pandas as pd

    rows, points = collected.find("frechet"), []
    datasets = sorted({row.dataset for row in rows})
    if len(datasets) != 1:
        raise CollectedError(
            f"datasets {datasets} where one was expected",
            collected.where,
            "let experiments.table3 and tableC6 begin with the same dataset",
        )
    for model, width in sorted({(row.model, row.width) for row in rows}):
        mine = [row for row in rows if (row.model, row.width) == (model, width)]
        where = {"dataset": datasets[0], "model": model, "width": width}
        size = collected.one("profile", name="parameters", **where)
        seeds = [float(value) for value in units(list(map(value_of, mine)))]
        mean = float(mean_of(mine))
        points.append((model, float(size.value) / 1e6, mean, min(seeds), max(seeds)))
    found = pd.DataFrame(points, columns=["model", "size", "mean", "low", "high"])
    found = found.sort_values("size", kind="stable")
    same = found.groupby("size")["size"]
    found["place"] = same.cumcount() - (same.transform("count") - 1) / 2
    return found
