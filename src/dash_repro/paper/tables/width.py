"""Table C6: students of several widths; calibration on the first dataset."""

from __future__ import annotations

from dash_repro.paper.calibration_columns import Calibration
from dash_repro.paper.columns import (
    Compression,
    Parameters,
    Quality,
    TableRow,
)
from dash_repro.paper.names import model_name
from dash_repro.paper.needs import FIRST, STUDENTS, TEACHER
from dash_repro.paper.results import View, results_table


def _rows(view: View) -> list[TableRow]:
    """The teacher, then every student at every width."""
    full = view.context.param("train_teacher.width")
    students = view.block["students"]
    label = f"{model_name('teacher')}, {full} channels"
    rows = [TableRow(f"teacher_{full}", label, TEACHER)]
    for width in view.block["widths"]:
        for model in students:
            label = f"{model_name(model)}, {width} channels"
            rule = model == students[0]
            rows.append(TableRow(f"{model}_{width}", label, model, width, rule=rule))
    return rows


results_table(
    "tableC6",
    title="Student width",
    experiment="tableC6",
    csv="tableC6_width.csv",
    keys=("config", "width"),
    models=(TEACHER, STUDENTS),
    rows=_rows,
    columns=(
        Parameters(),
        Compression(),
        Quality(),
        Calibration(("rho", "cos"), datasets=FIRST),
    ),
    params=("train_teacher.width",),
    corner="Model",
    caption="Student width.",
    claims=True,
)
