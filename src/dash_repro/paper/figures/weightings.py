"""Figure S5: what TIRT learns where its formula is another."""

from __future__ import annotations

import numpy as np

from dash_repro.paper.figures.data import Curve, curve
from dash_repro.paper.figures.style import DASHED, GREY, Axes, Figure, Style, log_ticks
from dash_repro.paper.figures.training import scatter_by_loss, sigmoid
from dash_repro.paper.names import dataset_name
from dash_repro.paper.needs import CURRICULUM, FIRST, TEACHERS, Need
from dash_repro.paper.registry import figure
from dash_repro.paper.rows import Collected

BASES = {
    "min_snr_over_snr": r"min(SNR, $\gamma$) / SNR",
    "min_snr": r"min(SNR, $\gamma$)",
}
MEANS = {"timesteps": "mean over all timesteps", "batch": "mean over the batch"}


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
