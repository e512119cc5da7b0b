"""Figure S4: quality by sampling steps, with and without step distillation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dash_repro.paper.figures.curves import BANDS, PANEL_SHARE, draw_band, new_panel
from dash_repro.paper.figures.data import curve
from dash_repro.paper.figures.style import GREY, Style
from dash_repro.paper.names import metric_name, model_name
from dash_repro.paper.needs import DISTILLED, FIRST, STUDENTS, metrics, stepped
from dash_repro.paper.registry import figure
from dash_repro.paper.rows import Collected

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@figure(
    "figureS4",
    title="Quality by steps, with step distillation",
    needs=(metrics("stepwise", (STUDENTS, DISTILLED), "stepped", FIRST),),
    params=("experiments.stepwise",),
    caption="Distance to the training images by sampling steps: the student as it is, "
    f"and distilled to so many steps; first dataset of Table S4. {BANDS}",
    share=PANEL_SHARE,
)
def figure_s4(collected: Collected, style: Style) -> Figure:
    """The student of Table S4 as it is, and distilled."""
    drawing, axes = new_panel(style)
    rows = collected.find("frechet")
    student = collected.param("experiments.stepwise.student")
    first = str(collected.param("experiments.stepwise.steps")[0])
    parts = {
        "as it is": [row for row in rows if stepped(row.model)[1] is None],
        "distilled": [
            row for row in rows if row.model != student or row.steps == first
        ],
    }
    colors = {"as it is": GREY, "distilled": style.color(student)}
    for name, some in parts.items():
        line = curve(some, "steps")
        draw_band(axes, line, colors[name])
        axes.plot(line.x, line.mean, "o", color=colors[name], label=name)
    axes.set_xscale("log")
    counts = sorted({int(row.steps) for row in rows})
    axes.set_xticks(counts, map(str, counts))
    axes.minorticks_off()
    axes.set_xlabel(f"DDIM steps of {model_name(student)}")
    axes.set_ylabel(f"{metric_name(rows[0].name)} ↓")
    axes.legend(loc="best")
    return drawing
