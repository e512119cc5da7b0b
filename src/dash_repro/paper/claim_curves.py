"""Numbers that claims read from curves rather than from tables."""

from __future__ import annotations

from decimal import Decimal
from itertools import groupby
from operator import attrgetter, itemgetter
from typing import Any

from dash_repro.paper.aggregate import mean
from dash_repro.paper.needs import TEACHER
from dash_repro.paper.rows import Collected, Row

Extras = dict[str, tuple[Decimal, frozenset[str]]]


def extra_values(collected: Collected) -> Extras:
    """Numbers that claims read from curves, under addresses of their own.

    curve/<student>/{d}_rho_bin_min, _max: of rho(t), the mean over seeds in each bin;
    curve/<student>/{d}_rho_off_late, _rest: mean distance of rho(t) from 1 over the
        bins with t above 0.7 T, and over the others;
    curve/<student>/{d}_rho_early, _third, _last: of rho from a tenth, from a
        third, and at the end of training (before a tenth a student is hardly trained);
    curve/<student>/{d}_rho_settled: largest distance from the last after a third;
    tirt/{d}/ratio, peak_t, rank_correlation: of omega_hat over Min-SNR.

    Returns:
        {address: (number, training seeds behind it)}.
    """
    extra: Extras = {}
    bins = collected.find("rho_bin")
    if bins:  # of all widths
        width = collected.param("experiments.table3.width")
        bins = collected.find("rho_bin", width=width)
    for rows in (bins, collected.find("rho_step")):
        for (dataset, model), group in groupby(rows, attrgetter("dataset", "model")):
            mine = list(group)
            seeds = frozenset(row.seed for row in mine)
            values = (
                _bin_values(collected, mine) if rows is bins else _step_values(mine)
            )
            extra |= {
                f"curve/{model}/{dataset}_rho_{name}": (number, seeds)
                for name, number in values.items()
            }
    for dataset in sorted({row.dataset for row in collected.find("omega_hat")}):
        rows = collected.find("omega_hat", dataset=dataset, model=TEACHER)
        seeds = frozenset(row.seed for row in rows)
        values = _tirt_values(collected, dataset)
        extra |= {f"tirt/{dataset}/{name}": (x, seeds) for name, x in values.items()}
    return extra


def _bin_values(collected: Collected, rows: list[Row]) -> dict[str, Decimal]:
    """Of rho over the bins of t."""
    curve = mean_over_seeds(rows, "x")
    late_from = Decimal("0.7") * collected.param("diffusion.timesteps")
    numbers = [rho for _, rho in curve]
    values = {"bin_min": min(numbers), "bin_max": max(numbers)}
    off = {
        "off_late": [abs(1 - rho) for t, rho in curve if t > late_from],
        "off_rest": [abs(1 - rho) for t, rho in curve if t <= late_from],
    }
    return values | {name: mean(numbers) for name, numbers in off.items() if numbers}


def mean_over_seeds(rows: list[Row], along: str) -> list[tuple[Decimal, Decimal]]:
    """(x or step, mean over seeds), sorted along it."""
    points = sorted((Decimal(getattr(row, along)), row.number) for row in rows)
    groups = groupby(points, itemgetter(0))
    return [(at, mean([number for _, number in same])) for at, same in groups]


def _step_values(rows: list[Row]) -> dict[str, Decimal]:
    """Of rho over training."""
    curve = mean_over_seeds(rows, "step")
    end, last = curve[-1]
    late = [number for step, number in curve if step * 3 >= end]
    return {
        "early": next(rho for step, rho in curve if step * 10 >= end),
        "third": late[0],
        "last": last,
        "settled": max(abs(number - last) for number in late),
    }


def _tirt_values(collected: Collected, dataset: str) -> dict[str, Decimal]:
    """How far, where and along what omega_hat, mean over seeds, leaves Min-SNR."""

    def curve(metric: str) -> list[tuple[Decimal, Decimal]]:
        rows = collected.find(metric, dataset=dataset, model=TEACHER)
        return mean_over_seeds(rows, "x")

    base = dict(mean_over_seeds(collected.find("omega_min_snr"), "x"))
    ratio = {t: number / base[t] for t, number in curve("omega_hat")}
    loss = dict(curve("loss_mean"))
    shared = [t for t in ratio if t in loss]
    values: dict[str, Any] = {
        "ratio": max(ratio.values()) / min(ratio.values()),
        "peak_t": max(ratio, key=lambda t: ratio[t]),
    }
    if len(shared) > 2:
        pairs = [ratio[t] for t in shared], [loss[t] for t in shared]
        values["rank_correlation"] = rank_correlation(*pairs)
    return values


def rank_correlation(first: list[Decimal], second: list[Decimal]) -> Decimal:
    """Spearman's rank correlation of two equally long lists; 0 if one is constant."""
    from scipy.stats import spearmanr

    if len(set(first)) == 1 or len(set(second)) == 1:
        return Decimal(0)
    found = spearmanr([float(x) for x in first], [float(x) for x in second])
    return Decimal(repr(float(found.statistic)))
