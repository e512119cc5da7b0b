"""Boxes that several tables share: quality, calibration, parameters, notes."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from dash_repro.paper.aggregate import Cell, round_half_up, statistic_of
from dash_repro.paper.context import (
    COLUMN_METRICS,
    Context,
    PaperTable,
    dash,
    value_of,
    word,
)
from dash_repro.paper.names import metric_name
from dash_repro.paper.rows import Row
from dash_repro.paper.table import Entry

CALIBRATION_COLUMNS = ("rho", "cos", "gap_mse")


def decimals_of(context: Context, column: str) -> int:
    """Digits after the point of a column."""
    settings = context.settings
    return {
        "rho": settings["calibration_decimals"],
        "cos": settings["calibration_decimals"],
        "gap_mse": settings["gap_decimals"],
    }.get(column, settings["decimals"])


def quality_rows(
    context: Context, experiment: str, dataset: str, model: str, width: int | None
) -> dict[str, list[Row]]:
    """Rows of the two quality columns of one model on one dataset."""
    return {
        column: context.metric(
            COLUMN_METRICS[column], experiment, dataset, model, width
        )
        for column in ("fid", "is")
    }


def quality_entries(
    context: Context,
    experiment: str,
    row: str,
    model: str,
    width: int | None,
    paper: PaperTable,
) -> list[Entry]:
    """The FID and IS boxes of one row, dataset by dataset."""
    entries = []
    for dataset in context.param(f"experiments.{experiment}.datasets"):
        for column, rows in quality_rows(
            context, experiment, dataset, model, width
        ).items():
            name = f"{dataset}_{column}"
            cell = context.measured(
                f"{row}/{name}",
                rows,
                decimals_of(context, column),
                paper=paper.value(row, name),
            )
            entries.append(Entry((cell,)))
    return entries


def quality_header(context: Context, datasets: Sequence[str]) -> list[str]:
    """Headings of the quality columns, named for what was measured."""
    heads = []
    for _ in datasets:
        for metric, arrow in (("frechet", "↓"), ("inception_score", "↑")):
            rows = context.collected.find(metric)
            names = sorted({metric_name(row.name) for row in rows}) or [metric]
            heads.append(f"{' or '.join(names)} {arrow}")
    return heads


def params_cell(context: Context, row: str, rows: list[Row], paper: str) -> Cell:
    """Millions of parameters, one digit."""
    return context.measured(
        f"{row}/params_m", rows, 1, exponent=-6, paper=paper, unit="millions"
    )


def shown_as_dash(
    context: Context, place: tuple[str, str, str, int], column: str
) -> str:
    """Why a calibration box is a dash, or "".

    Args:
        place: experiment, dataset, model, width.
        column: rho, cos or gap_mse.
    """
    if place[2] == "scratch":
        return "not shown, as in the paper: not distilled from this teacher"
    if column != "cos":
        return ""
    rho = context.calibration("rho", *place)
    if not rho:
        return ""
    limit = context.param("measure_calibration.cos_undefined_below")
    mean_rho = statistic_of([value_of(row) for row in rho], "mean", 0)
    return f"undefined: rho below {limit}" if mean_rho < Decimal(repr(limit)) else ""


def gap_exponent(
    context: Context, experiment: str, models: Sequence[str], width: int
) -> int:
    """One unit for the table's gap MSE column."""
    rows = [
        row
        for model in models
        if model != "scratch"
        for dataset in context.param(f"experiments.{experiment}.datasets")
        for row in context.calibration("gap_mse", experiment, dataset, model, width)
    ]
    return small_unit(rows, decimals_of(context, "gap_mse"))


def small_unit(rows: Sequence[Row], decimals: int) -> int:
    """Exponent e of a column's unit 10^-e: its smallest number keeps two digits.

    The paper's gap MSE fits e = 0; another scale of the same quantity may not.

    Args:
        rows: of the column.
        decimals: digits after the point.

    Returns:
        0, 3, 6, ...
    """
    found = [abs(row.number) for row in rows if row.number]
    smallest, least = min(found, default=Decimal(1)), Decimal(1).scaleb(1 - decimals)
    exponent = 0
    while smallest.scaleb(exponent) < least:
        exponent += 3
    return exponent


def unit_text(exponent: int) -> str:
    """ " (×10^{−3})" for exponent 3."""
    return f" (×10^{{−{exponent}}})" if exponent else ""


def measured_calibration(
    context: Context,
    row: str,
    column: str,
    place: tuple[str, str, str, int],
    paper: PaperTable,
    exponent: int = 0,
) -> Cell:
    """One calibration box, or its dash.

    Args:
        row: id of the row, in the address.
        column: rho, cos or gap_mse.
        place: experiment, dataset, model, width.
        exponent: unit of the gap MSE column.
    """
    address = f"{row}/{place[1]}_{column}"
    printed_value = paper.value(*address.split("/"))
    reason = shown_as_dash(context, place, column)
    if reason:
        return dash(f"{context.item}/{address}", reason, printed_value)
    shift = exponent if column == "gap_mse" else 0
    return context.measured(
        address,
        context.calibration(column, *place),
        decimals_of(context, column),
        paper=printed_value,
        exponent=shift,
        unit=f"10^-{shift}" if shift else "",
    )


def calibration_entries(
    context: Context,
    experiment: str,
    model: str,
    width: int,
    paper: PaperTable,
    exponent: int,
) -> list[Entry]:
    """rho, cos and gap MSE, the datasets side by side in each box."""
    datasets = context.param(f"experiments.{experiment}.datasets")
    return [
        Entry(
            tuple(
                measured_calibration(
                    context,
                    model,
                    column,
                    (experiment, dataset, model, width),
                    paper,
                    exponent,
                )
                for dataset in datasets
            )
        )
        for column in CALIBRATION_COLUMNS
    ]


def teacher_definition(
    context: Context, row: str, column: str, dataset: str, paper: PaperTable
) -> Cell:
    """The teacher against itself: rho 1, cos 1, gap MSE 0 by definition."""
    number = Decimal(0 if column == "gap_mse" else 1)
    text = round_half_up(number, decimals_of(context, column))
    name = f"{dataset}_{column}"
    address, printed_value = f"{context.item}/{row}/{name}", paper.value(row, name)
    return word(address, text, "definition", printed_value)


def calibration_header(exponent: int) -> tuple[str, str, str]:
    """Headings of the three calibration columns."""
    return "ρ", "cos(Δ)", f"gap MSE{unit_text(exponent)}"
