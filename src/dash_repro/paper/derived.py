"""Curves that follow from params alone, through the same functions as training's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from dash_repro.paper.collect import curve_rows
from dash_repro.paper.rows import PARAMS_STAGE, Row


def tag_rows(item: str, params: Mapping[str, Any]) -> list[Row]:
    """w(t) of TAG (Eq. 3) at every timestep."""
    from dash_repro.diffusion.guidance import tag_scale

    timesteps, tag = params["diffusion"]["timesteps"], params["tag"]
    values = [
        tag_scale(t, timesteps, tag["w_min"], tag["w_max"], tag["beta"])
        for t in range(timesteps)
    ]
    return _curve(item, "tag_scale", values)


def min_snr_rows(item: str, params: Mapping[str, Any]) -> list[Row]:
    """Min-SNR weights with mean one over the timesteps: Eq. 2 with lambda = 0."""
    from dash_repro.diffusion.schedule import Schedule
    from dash_repro.objectives.curriculum import curriculum_from

    schedule = Schedule.from_params(params["diffusion"])
    weights = curriculum_from(None, params["teachers"]["min_snr"], schedule)
    return _curve(item, "omega_min_snr", weights.omega_hat.tolist())


def _curve(item: str, metric: str, values: list[float]) -> list[Row]:
    return list(curve_rows(Row(item=item, stage=PARAMS_STAGE), metric, values))


DERIVED: dict[str, Callable[[str, Mapping[str, Any]], list[Row]]] = {
    "tag": tag_rows,
    "min_snr": min_snr_rows,
}
