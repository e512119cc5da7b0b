"""Figure 4: guidance schedule, timestep weights, calibration over timesteps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dash_repro.paper.figures.data import Curve, curve, first_dataset, models_of
from dash_repro.paper.figures.style import GREY, LIGHT, PANEL, Style, end_labels
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

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

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


def new_panel(style: Style, height: float = 0.40) -> tuple[Figure, Axes]:
    drawing = style.new(PANEL, height)
    return drawing, drawing.add_subplot()


def leave_room(axes: Axes, low: float, high: float, room: float = LABEL_ROOM) -> None:
    """Leave space right of the data for labels, and no ticks in it."""
    axes.set_xlim(low, low + (high - low) * room)
    ticks = [tick for tick in axes.get_xticks() if low <= tick <= high * 1.001]
    axes.set_xticks(ticks)
    axes.spines["bottom"].set_bounds(low, high)


def draw_band(axes: Axes, line: Curve, color: str, dashed: bool = False) -> None:
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
    caption="TAG's guidance scale w(t), full, beside the constant scales of Table 2, "
    "dashed.",
    share=PANEL_SHARE,
)
def figure4a(collected: Collected, style: Style) -> Figure:
    """TAG's w(t) (Eq. 3) beside the two constant scales of Table 2."""
    drawing, axes = new_panel(style)
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
    leave_room(axes, 0, last)
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
    caption="Timestep weights of mean one: learned by the teacher of the first seed, "
    "full, and Min-SNR, dashed.",
    share=PANEL_SHARE,
)
def figure4b(collected: Collected, style: Style) -> Figure:
    """The teacher's learned weights beside Min-SNR's, both of mean one."""
    drawing, axes = new_panel(style)
    dataset = first_dataset(collected, "omega_hat")
    rows = collected.find("omega_hat", dataset=dataset, model=TEACHER)
    learned, base = curve(rows, "x"), curve(collected.find("omega_min_snr"), "x")
    last = float(collected.param("diffusion.timesteps"))
    color = style.color("dash")
    axes.plot(base.x, base.mean, color=GREY, lw=1, linestyle=(0, (4, 2)))
    axes.plot(learned.x, learned.mean, color=color)
    axes.set_ylim(0, None)
    leave_room(axes, 0, last)
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
    caption="Ratio ρ of the guidance gap of a student to the teacher's, by bin of "
    f"timesteps. {BANDS} {TEACHERS_GAP}",
    share=PANEL_SHARE,
)
def figure4c(collected: Collected, style: Style) -> Figure:
    """rho by timestep of DASH, composite and gap matching; band: seeds."""
    drawing, axes = new_panel(style)
    last = float(collected.param("diffusion.timesteps"))
    axes.axhline(1, color=LIGHT, lw=0.8, zorder=0)
    labels = []
    for model in models_of(collected, "rho_bin"):
        line = curve(collected.find("rho_bin", model=model), "x")
        draw_band(axes, line, style.color(model))
        end = (float(line.x[-1]), float(line.mean[-1]))
        labels.append((*end, plot_name(model), style.color(model)))
    axes.set_ylim(0, None)
    leave_room(axes, 0, last, 1.5)
    axes.set_xlabel(TIMESTEP)
    axes.set_ylabel("gap ratio ρ(t)")
    end_labels(axes, labels, style.font_size - 1)
    return drawing
