"""How far a printed number may be off, by the spread of the values behind it."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from dash_repro.paper.aggregate import Value, round_half_up, statistic_of
from dash_repro.paper.uncertainty import Estimate

ERROR_RATE = 0.05
KINDS = (("seed", "training seeds"), ("sampling_seed", "sets of samples"))


def interval_text(cell: Mapping[str, Any]) -> str:
    """The cell's interval in its unit, or why it has none.

    Student's t over training seeds; with a single one, over sets of samples. Source:
    dash_repro.paper.uncertainty (the jackknife, which pairs differences by seed).

    Args:
        cell: of a table's sidecar.
    """
    if cell["kind"] != "measured":
        return ""
    if cell["statistic"] == "std":
        return "no interval: the number is a spread itself"
    if cell["name"] == "parameters":
        return "no interval: a count is exact"
    values = [Value(**value) for value in cell["values"]]
    for field, what in KINDS:
        marks = sorted({getattr(value, field) for value in values})
        if len(marks) > 1:
            estimate = _estimate(values, cell, field, marks)
            ends = estimate.interval(ERROR_RATE)
            texts = (
                round_half_up(_scaled(end, cell), cell["decimals"]) for end in ends
            )
            only = "" if field == "seed" else "; the spread over trainings is not known"
            share = f"{100 * (1 - ERROR_RATE):.0f} % interval over {len(marks)} {what}"
            return f"{share}: {' to '.join(texts)}{only}"
    return "no interval: a single run, so nothing is known of its spread"


def _estimate(
    values: list[Value], cell: Mapping[str, Any], field: str, marks: list[str]
) -> Estimate:
    def number(left: list[Value]) -> Decimal:
        return statistic_of(left, cell["statistic"], cell["ddof"])

    without = (
        number([value for value in values if getattr(value, field) != mark])
        for mark in marks
    )
    return Estimate(number(values), tuple(without))


def _scaled(number: Decimal, cell: Mapping[str, Any]) -> Decimal:
    return number.scaleb(cell["exponent"])
