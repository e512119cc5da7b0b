"""Figures S1, S2 and S5: TIRT's weights, how branches learn, and other formulas."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from dash_repro.paper.figures.curves import plot_name
from dash_repro.paper.figures.data import Curve, curve, models_of
from dash_repro.paper.figures.students import iterations_axis
from dash_repro.paper.figures.style import (
    DASHED,
    GREY,
    LIGHT,
    Axes,
    Figure,
    Style,
    log_ticks,
)
from dash_repro.paper.names import dataset_name
from dash_repro.paper.needs import (
    CURRICULUM,
    CURRICULUM_NEED,
    FIRST,
    HISTORY,
    TEACHERS,
    TIRT_PARAMS,
    Need,
)
from dash_repro.paper.registry import figure
from dash_repro.paper.rows import Collected

COLUMNS = 6
SHORT_DASHES = (0, (3, 1.5))
TITLES = (
    r"$\sigma(\lambda_t)$",
    r"$\hat{\omega}_t$",
    r"$\hat{\omega}_t\,/\,$Min-SNR",
    r"ratio against loss $\ell_t$",
)
BASES = {
    "min_snr_over_snr": r"min(SNR, $\gamma$) / SNR",
    "min_snr": r"min(SNR, $\gamma$)",
}
MEANS = {"timesteps": "mean over all timesteps", "batch": "mean over the batch"}


@figure(
    "figureS1",
    title="Where TIRT puts its weight",
    needs=(CURRICULUM_NEED,),
    params=TIRT_PARAMS,
    derived=("min_snr",),
    caption="Where TIRT puts its weight, by timestep t of the diffusion (small: image, "
    "large: noise): the learned factor, the weights of mean one, their ratio to "
    "Min-SNR, and that ratio against the loss at the same timestep, the mean squared "
    "error of the predicted noise. None has a unit. Lines from light to dark: "
    "snapshots of the first seed's teacher. Dashed: Min-SNR. Colour: t.",
    wide=True,
)
def figure_s1(collected: Collected, style: Style) -> Figure:
    """sigmoid(lambda), omega_hat, their ratio to Min-SNR over training; ratio and loss.

    One row a dataset; lines from light to dark are snapshots, early to final.
    """
    datasets = sorted({row.dataset for row in collected.find("lambda_snapshot")})
    drawing = style.new(1.25, 0.30 * len(datasets) + 0.06)
    grid = drawing.subplots(len(datasets), 4, squeeze=False)
    base = curve(collected.find("omega_min_snr"), "x")
    for index, dataset in enumerate(datasets):
        _tirt_row(grid[index], collected, dataset, base, style)
        grid[index][0].set_ylabel(dataset_name(dataset))
        for axes in grid[index][:3]:
            axes.set_xlabel("timestep t")
    for axes, title in zip(grid[0], TITLES, strict=True):
        axes.set_title(title)
    return drawing


def sigmoid(x: np.ndarray) -> np.ndarray:
    """The factor of a weight, from its lambda."""
    return 1 / (1 + np.exp(-x))


def _tirt_row(
    row: Sequence[Axes], collected: Collected, dataset: str, base: Curve, style: Style
) -> None:
    import matplotlib

    steps = {r.step for r in collected.find("lambda_snapshot", dataset=dataset)}
    ordered = sorted(steps, key=int)
    shades = matplotlib.colormaps["Blues"](np.linspace(0.35, 1.0, len(ordered)))
    ratios = []
    for step, shade in zip(ordered, shades, strict=True):
        where = {"dataset": dataset, "step": step}
        lambda_ = curve(collected.find("lambda_snapshot", **where), "x")
        omega = curve(collected.find("omega_hat_snapshot", **where), "x")
        width = 1.4 if step == ordered[-1] else 0.8
        ratio = omega.mean / np.interp(omega.x, base.x, base.mean)
        ratios.append(ratio)
        row[0].plot(lambda_.x, sigmoid(lambda_.mean), color=shade, lw=width)
        row[1].plot(omega.x, omega.mean, color=shade, lw=width)
        row[2].plot(omega.x, ratio, color=shade, lw=width)
    row[1].plot(base.x, base.mean, color=GREY, lw=0.9, linestyle=(0, (3, 2)))
    row[2].axhline(1, color=GREY, lw=0.9, linestyle=(0, (3, 2)))
    size = style.font_size - 2.5
    _note(row[0], f"step {ordered[0]} (light)\nto {ordered[-1]} (dark)", size)
    _note(row[1], "dashed: Min-SNR", size)
    row[0].set_ylim(0, 1)
    row[1].set_ylim(0, None)
    for axes in row[2:]:
        _log_axis(axes, "y", [*ratios, np.ones(1)])
    # the final ratio against the monitored loss
    loss = curve(collected.find("loss_mean", dataset=dataset), "x")
    dots = scatter_by_loss(row[3], loss, np.interp(loss.x, omega.x, ratio))
    row[3].axhline(1, color=LIGHT, lw=0.8, zorder=0)
    _log_axis(row[3], "x", [loss.mean])
    bar = row[3].get_figure().colorbar(dots, ax=row[3], pad=0.02, aspect=30)
    bar.set_label("timestep t", fontsize=style.font_size - 1)
    bar.outline.set_visible(False)


def _note(axes: Axes, text: str, size: float) -> None:
    """Small grey text at the lower right."""
    where = {"transform": axes.transAxes, "fontsize": size, "color": GREY}
    axes.text(0.98, 0.04, text, va="bottom", ha="right", **where)


def scatter_by_loss(axes: Axes, loss: Curve, values: np.ndarray) -> Any:
    """One dot a timestep: a value against the loss there, coloured by the timestep."""
    axes.set_xscale("log")
    axes.set_xlabel(r"loss $\ell_t$ (MSE)")
    return axes.scatter(loss.mean, values, c=loss.x, cmap="viridis", s=5, lw=0)


@figure(
    "figureS2",
    title="Branch errors over training",
    needs=(
        Need(HISTORY, "table3", datasets=FIRST, seeds=FIRST),
        Need(HISTORY, "table4", datasets=FIRST, seeds=FIRST),
    ),
    params=("experiments.table3", "experiments.table4"),
    caption="Ratio ρ of guidance gaps (above; grey: the other students; thin: ρ = 1) "
    "and mean squared error against the teacher's noise (below, logarithmic; full: "
    "with the label, dashed: with the null token) during training. All students, "
    "first training seed.",
    wide=True,
)
def figure_s2(collected: Collected, style: Style) -> Figure:
    """rho and both branch errors during training, a small panel pair a student.

    Above: rho, the other students in grey. Below: squared errors of the conditional
    (full) and unconditional (dashed) branch, on one logarithmic scale.
    """
    models = models_of(collected, "rho_step")
    bands = -(-len(models) // COLUMNS)
    drawing = style.new(1.25, 0.40 * bands)
    grid = drawing.subplots(2 * bands, COLUMNS, squeeze=False, sharex=True)
    rho, cond, uncond = (
        {m: curve(collected.find(f"{name}_step", model=m), "step") for m in models}
        for name in ("rho", "err_cond", "err_uncond")
    )
    errors = [line.mean for part in (cond, uncond) for line in part.values()]
    top = max(1.1, *(line.mean.max() for line in rho.values())) * 1.05
    for place in range(bands * COLUMNS):
        upper = 2 * (place // COLUMNS)
        above, below = grid[upper : upper + 2, place % COLUMNS]
        if place >= len(models):
            above.set_visible(False)
            below.set_visible(False)
            continue
        model = models[place]
        _rho_panel(above, model, rho, style)
        above.set_ylim(0, top)
        look = {"color": style.color(model), "lw": 1.2}
        below.plot(cond[model].x, cond[model].mean, **look)
        below.plot(uncond[model].x, uncond[model].mean, linestyle=SHORT_DASHES, **look)
        _log_axis(below, "y", errors)
        _tidy(above, below, place, place + COLUMNS >= len(models), rho[model], style)
    _legend(drawing)
    return drawing


def _legend(drawing: Figure) -> None:
    """What the lines are, in one row over all panels."""
    from matplotlib.lines import Line2D

    shown = (
        ("with the label", {"color": GREY}),
        ("with the null token", {"color": GREY, "linestyle": SHORT_DASHES}),
        ("the other students' ρ", {"color": LIGHT}),
        ("ρ = 1, as the teacher", {"color": GREY, "lw": 0.5}),
    )
    lines = [Line2D([], [], label=name, **{"lw": 1.2, **how}) for name, how in shown]
    drawing.legend(handles=lines, loc="outside upper center", ncols=len(lines))


def _log_axis(axes: Axes, which: str, lines: Sequence[np.ndarray]) -> None:
    """A logarithmic "x" or "y" axis over all positive values of the lines."""
    values = np.concatenate(lines)
    values = values[values > 0]
    limits = float(values.min()) * 0.7, float(values.max()) * 1.4
    axes.set(**{f"{which}scale": "log", f"{which}lim": limits})
    log_ticks(axes.xaxis if which == "x" else axes.yaxis, *limits)


def _rho_panel(axes: Axes, model: str, rho: dict[str, Curve], style: Style) -> None:
    for other, line in rho.items():
        if other != model:
            axes.plot(line.x, line.mean, color=LIGHT, lw=0.6)
    axes.axhline(1, color=GREY, lw=0.5)
    color = style.color(model)
    axes.plot(rho[model].x, rho[model].mean, color=color, lw=1.5)
    axes.set_title(plot_name(model), fontsize=style.font_size - 2, color=color)


def _tidy(
    above: Axes, below: Axes, place: int, lowest: bool, line: Curve, style: Style
) -> None:
    """Labels at the left and the bottom of the whole figure only."""
    if place % COLUMNS:
        above.tick_params(labelleft=False)
        below.tick_params(labelleft=False, which="both")
    else:
        above.set_ylabel("ρ")
        below.set_ylabel("error")
    if lowest:
        below.tick_params(labelbottom=True)
        iterations_axis(below, float(line.x[-1]))
        below.set_xlabel(below.get_xlabel(), fontsize=style.font_size - 2.5)


@figure(
    "figureS5",
    title="TIRT's weights by formula",
    needs=(Need(CURRICULUM, "weightings", (TEACHERS,), seeds=FIRST),),
    params=("diffusion", "teachers", "teachers.min_snr", "experiments.weightings"),
    derived=("min_snr",),
    caption="Teachers that weight timesteps by other formulas: the base weight, and "
    "what it is divided by. Above: the weights of mean one at the end of training, "
    "full, and Min-SNR's, dashed. Below: the learned factor against the loss at the "
    "same timestep, the mean squared error of the predicted noise; the number is "
    "their rank correlation, which is negative where hard timesteps lose weight. "
    "Colour: t. First training seed.",
    wide=True,
)
def figure_s5(collected: Collected, style: Style) -> Figure:
    """omega_hat over t, and sigmoid(lambda) against the loss, a column a formula."""
    block = "experiments.weightings"
    datasets = collected.param(f"{block}.datasets")
    teachers = collected.param(f"{block}.teachers")
    drawing = style.new(1.25, 0.45 * len(datasets) + 0.06)
    grid = drawing.subplots(
        2 * len(datasets), len(teachers), squeeze=False, sharex="row", sharey="row"
    )
    base = curve(collected.find("omega_min_snr"), "x")
    for column, teacher in enumerate(teachers):
        formula = collected.param(f"teachers.{teacher}")
        head = f"{BASES[formula['base']]},\n{MEANS[formula['normalizer']]}"
        grid[0][column].set_title(head, fontsize=style.font_size - 1)
        for index, dataset in enumerate(datasets):
            where = {"dataset": dataset, "model": f"teacher_{teacher}"}
            above, below = grid[2 * index : 2 * index + 2, column]
            weights = _last(collected, "omega_hat_snapshot", where)
            above.plot(weights.x, weights.mean, color=style.color("dash"))
            above.plot(base.x, base.mean, color=GREY, lw=0.9, linestyle=DASHED)
            above.set_ylim(0, auto=True)
            above.set_xlabel("timestep t")
            _against_loss(below, collected, where, style)
    for index, dataset in enumerate(datasets):
        log_ticks(grid[2 * index + 1][0].xaxis, *grid[2 * index + 1][0].get_xlim())
        grid[2 * index][0].set_ylabel(rf"{dataset_name(dataset)}: $\hat{{\omega}}_t$")
        grid[2 * index + 1][0].set_ylabel(r"$\sigma(\lambda_t)$")
    return drawing


def _last(collected: Collected, metric: str, where: dict) -> Curve:
    """A curve of the last snapshot."""
    rows = collected.find(metric, **where)
    final = max((row.step for row in rows), key=int)
    return curve([row for row in rows if row.step == final], "x")


def _against_loss(axes: Axes, collected: Collected, where: dict, style: Style) -> None:
    """The learned factor against the loss, and their rank correlation."""
    import pandas as pd

    lambda_ = _last(collected, "lambda_snapshot", where)
    loss = curve(collected.find("loss_mean", **where), "x")
    at = np.interp(loss.x, lambda_.x, sigmoid(lambda_.mean))
    scatter_by_loss(axes, loss, at)
    axes.set_ylim(0, 1)
    ranks = pd.DataFrame({"loss": loss.mean, "factor": at}).rank()
    correlation = f"{ranks['loss'].corr(ranks['factor']):+.2f}".replace("-", "−")
    about = {"fontsize": style.font_size - 2, "color": GREY}
    about["transform"] = axes.transAxes
    axes.text(0.03, 0.35, f"rank\ncorrelation {correlation}", **about)
