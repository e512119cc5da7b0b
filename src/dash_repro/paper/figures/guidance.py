"""Figure S6: quality by guidance scale."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dash_repro.paper.figures.curves import BANDS, draw_band, leave_room, plot_name
from dash_repro.paper.figures.data import curve, models_of
from dash_repro.paper.figures.style import Style, end_labels, log_ticks
from dash_repro.paper.names import metric_name
from dash_repro.paper.needs import BESIDE, STUDENTS, TEACHER, metrics
from dash_repro.paper.registry import figure
from dash_repro.paper.rows import Collected

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ARROWS = {"frechet": "↓", "class_accuracy": "↑"}


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
        labels, means = [], []
        for model in models_of(collected, metric):
            rows, color = collected.find(metric, model=model), style.color(model)
            line = curve(rows, "scale")
            draw_band(axes, line, color)
            axes.plot(line.x, line.mean, ".", color=color)
            end = float(line.x[-1]), float(line.mean[-1])
            means += [float(mean) for mean in line.mean if mean > 0]
            labels.append((*end, plot_name(model), color))
        if metric == "class_accuracy":
            axes.yaxis.set_major_formatter(PercentFormatter(1))
        elif means and max(means) > 10 * min(
            means
        ):  # one that fails would hide the others
            limits = 0.7 * min(means), 1.4 * max(means)
            axes.set_yscale("log", nonpositive="clip")
            axes.set_ylim(limits)
            log_ticks(axes.yaxis, *limits)
        leave_room(axes, float(line.x[0]), float(line.x[-1]), 1.5)
        axes.set_xlabel("guidance scale w")
        axes.set_ylabel(f"{metric_name(rows[0].name)} {ARROWS[metric]}")
        end_labels(axes, labels, style.font_size - 1)
    return drawing
