"""The numbers that `dvc metrics` shows: Table 3 without its layout."""

from __future__ import annotations

from dash_repro.paper.aggregate import mean
from dash_repro.paper.measures import BRANCHES, MEASURES
from dash_repro.paper.rows import Collected


def summarize(collected: Collected) -> dict[str, dict[str, dict[str, float]]]:
    """Mean of each measure over training and sampling seeds.

    Args:
        collected: rows of Table 3.

    Returns:
        {dataset: {model: {name of the metric: mean}}}.
    """
    found: dict[tuple[str, str, str], list] = {}
    for measure in [one for one in MEASURES.values() if one.shown != BRANCHES]:
        for row in collected.find(measure.metric, stage=measure.stage):
            found.setdefault((row.dataset, row.model, row.name), []).append(row.number)
    summary: dict[str, dict[str, dict[str, float]]] = {}
    for (dataset, model, name), numbers in found.items():
        of_model = summary.setdefault(dataset, {}).setdefault(model, {})
        of_model[name] = float(mean(numbers))
    return summary
