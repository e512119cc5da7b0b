"""Appendix A's text on lambda_an as a table; the paper prints no numbers."""

from __future__ import annotations

from dataclasses import replace

from dash_repro.paper.calibration_columns import Calibration
from dash_repro.paper.columns import Quality, Setting, TableRow
from dash_repro.paper.results import View, results_table, students


def _lambda_an(view: View, row: TableRow) -> str:
    return f"{view.context.param('students')[row.model]['lambda_an']:g}"


def _rows(view: View) -> list[TableRow]:
    """DASH with each weight, named for it."""
    return [
        replace(row, label=f"DASH, λ_{{an}} = {_lambda_an(view, row)}")
        for row in students(view)
    ]


results_table(
    "anchor",
    title="Anchor weight (Appendix A)",
    label="Table A3",
    experiment="anchor",
    rows=_rows,
    columns=(
        Setting("lambda_an", "λ_{an}", _lambda_an, params=("students",)),
        Quality(),
        Calibration(("rho", "cos"), joined=False),
    ),
    corner="Student",
    caption="Weight of the anchor term, {datasets}.",
    grouped=False,
    claims=True,
)
