"""Figures S4 and S6: quality by sampling steps, and by guidance scale."""

from __future__ import annotations

from dash_repro.paper.figures.curves import (
    BANDS,
    draw_band,
    draw_models,
    leave_room,
    panel,
)
from dash_repro.paper.figures.data import curve
from dash_repro.paper.figures.style import (
    GREY,
    Axes,
    Figure,
    Style,
    end_labels,
    log_ticks,
)
from dash_repro.paper.names import metric_names, model_name
from dash_repro.paper.needs import (
    BESIDE,
    DISTILLED,
    FIRST,
    STUDENTS,
    TEACHER,
    metrics,
    stepped,
)
from dash_repro.paper.registry import figure
from dash_repro.paper.rows import Collected

ARROWS = {"frechet": "↓", "class_accuracy": "↑"}


@panel(
    "figureS4",
    title="Quality by steps, with step distillation",
    needs=(metrics("stepwise", (STUDENTS, DISTILLED), "stepped", FIRST),),
    params=("experiments.stepwise",),
    caption="Distance to the training images by sampling steps: the student as it is, "
    f"and distilled to so many steps; first dataset of Table S4. {BANDS}",
)
def figure_s4(axes: Axes, collected: Collected, style: Style) -> None:
    """The student of Table S4 as it is, and distilled."""
    rows = collected.find("frechet")
    student = collected.param("experiments.stepwise.student")
    first = str(collected.param("experiments.stepwise.steps")[0])
    plain = [row for row in rows if stepped(row.model)[1] is None]
    distilled = [row for row in rows if row.model != student or row.steps == first]
    for name, part, color in (
        ("as it is", plain, GREY),
        ("distilled", distilled, style.color(student)),
    ):
        line = curve(part, "steps")
        draw_band(axes, line, color)
        axes.plot(line.x, line.mean, "o", color=color, label=name)
    axes.set_xscale("log")
    counts = sorted({int(row.steps) for row in rows})
    axes.set_xticks(counts, map(str, counts))
    axes.minorticks_off()
    axes.set_xlabel(f"DDIM steps of {model_name(student)}")
    axes.set_ylabel(f"{metric_names(rows)} ↓")
    axes.legend(loc="best")


@figure(
    "figureS6",
    title="Quality by guidance scale",
    needs=(metrics("tableC7", (TEACHER, STUDENTS, BESIDE), "scales"),),
    params=("experiments.tableC7",),
    caption="Distance to the training images, and the share of samples in which a "
    "classifier sees the class that was asked for, by guidance scale: the students' "
    f"constant w, and the teacher's w_{{max}} of TAG, as in Table C7. {BANDS}",
    wide=True,
)
def figure_s6(collected: Collected, style: Style) -> Figure:
    """Fréchet distance and class accuracy over w, a line a network."""
    from matplotlib.ticker import PercentFormatter

    shown = [metric for metric in ARROWS if collected.find(metric)]
    drawing = style.new(1.0, 0.36)
    panels = drawing.subplots(1, len(shown), squeeze=False)[0]
    for axes, metric in zip(panels, shown, strict=True):
        lines, labels = draw_models(axes, collected, metric, "scale", style, dots=True)
        means = [mean for line in lines for mean in line.mean if mean > 0]
        if metric == "class_accuracy":
            axes.yaxis.set_major_formatter(PercentFormatter(1))
        elif means and max(means) > 10 * min(means):
            # one that fails would hide the others
            limits = 0.7 * min(means), 1.4 * max(means)
            axes.set_yscale("log", nonpositive="clip")
            axes.set_ylim(limits)
            log_ticks(axes.yaxis, *limits)
        leave_room(axes, lines[-1].x[0], lines[-1].x[-1], 1.5)
        axes.set_xlabel("guidance scale w")
        axes.set_ylabel(f"{metric_names(collected.find(metric))} {ARROWS[metric]}")
        end_labels(axes, labels, style.font_size - 1)
    return drawing
