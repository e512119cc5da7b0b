"""Curves for plotting, out of collected rows: sorted, and averaged over seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dash_repro.paper.rows import Collected, CollectedError, Row


@dataclass(frozen=True)
class Curve:
    """A quantity along x over seeds.

    Attributes:
        x: (P,) ascending.
        mean, low, high: (P,) over the seeds; low and high are the extremes.
        seeds: how many, of training or sampling.
    """

    x: np.ndarray
    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray
    seeds: int


def curve(rows: Sequence[Row], along: str) -> Curve:
    """Rows of one quantity as a curve.

    Args:
        rows: of one model on one dataset; several seeds.
        along: the column of x: "x", "step", "steps" or "scale".

    Raises:
        CollectedError: no rows.
    """
    if not rows:
        raise CollectedError(
            "a curve has no points", "the collected rows", "collect the results again"
        )
    import pandas as pd

    at = [float(getattr(row, along)) for row in rows]
    values = pd.Series([float(row.value) for row in rows], index=at)
    found = values.groupby(level=0).agg(["mean", "min", "max"])
    seeds = {(row.seed, row.sampling_seed) for row in rows}
    columns = (found[name].to_numpy() for name in ("mean", "min", "max"))
    return Curve(found.index.to_numpy(), *columns, len(seeds))


def models_of(collected: Collected, metric: str) -> list[str]:
    """Models with rows of a metric, DASH first, then by name."""
    models = {row.model for row in collected.find(metric)}
    return sorted(models, key=lambda model: (model != "dash", model))
