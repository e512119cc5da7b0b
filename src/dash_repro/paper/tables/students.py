"""Tables 3, 4, B3 and B4: students, their ablation, and both with their spread."""

from __future__ import annotations

from dataclasses import replace

from dash_repro.paper.calibration_columns import Calibration
from dash_repro.paper.columns import (
    Parameters,
    Quality,
    Setting,
    Spread,
    TableRow,
)
from dash_repro.paper.needs import STUDENTS, TEACHER
from dash_repro.paper.protocol import SPREAD
from dash_repro.paper.registry import Section
from dash_repro.paper.results import (
    View,
    results_table,
    students,
    teacher_and_students,
)
from dash_repro.paper.tables.teacher import STEPS


def _teacher_apart(view: View) -> list[TableRow]:
    """The teacher, and the students under a line."""
    teacher, first, *others = teacher_and_students(view)
    return [teacher, replace(first, rule=True), *others]


def _term(factor: str) -> Setting:
    """Whether a student's objective has a term, by its params."""

    def tick(view: View, row: TableRow) -> str:
        block = view.context.param("students")[row.model]
        return "✓" if block["objective"] == "branches" and block[factor] else "✗"

    name = factor.removeprefix("lambda_")
    return Setting(f"l_{name}", f"L_{{{name}}}", tick, params=("students",))


TABLE3 = results_table(
    "table3",
    title="Main distillation results",
    section=Section.STUDENTS,
    experiment="table3",
    csv="table3_main.csv",
    keys=("model",),
    models=(TEACHER, STUDENTS),
    rows=_teacher_apart,
    columns=(Parameters(), STEPS, Quality(), Calibration()),
    spread="tableB3",
    corner="Model",
    caption="Main distillation results at {width} base channels.",
    claims=True,
)
TABLE4 = results_table(
    "table4",
    title="Component ablation",
    section=Section.STUDENTS,
    experiment="table4",
    csv="table4_ablation.csv",
    keys=("configuration",),
    rows=students,
    columns=(
        *(_term(factor) for factor in ("lambda_im", "lambda_un", "lambda_an")),
        Quality(),
        Calibration(),
    ),
    spread="tableB4",
    corner="Configuration",
    caption="Component ablation at {width} base channels.",
    claims=True,
)
results_table(
    "tableB3",
    title="Main results with standard deviations",
    experiment=TABLE3.experiment,
    csv=TABLE3.csv,
    keys=TABLE3.keys,
    models=TABLE3.models,
    rows=teacher_and_students,
    columns=(Spread(),),
    corner="Model",
    caption="Main results with their spread.",
    after=SPREAD,
    claims=True,
)
results_table(
    "tableB4",
    title="Ablation with standard deviations",
    experiment=TABLE4.experiment,
    csv=TABLE4.csv,
    keys=TABLE4.keys,
    rows=students,
    columns=(Spread(),),
    corner="Model",
    caption="Ablation with its spread.",
    after=SPREAD,
    claims=True,
)
