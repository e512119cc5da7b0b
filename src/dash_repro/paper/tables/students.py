"""Tables of students: 3, 4, A3, B3, B4, C6, S2, S3 and S5."""

from __future__ import annotations

from dataclasses import replace

from dash_repro.paper.calibration_columns import Calibration
from dash_repro.paper.columns import (
    Compression,
    Parameters,
    Quality,
    Setting,
    Spread,
    TableRow,
    known,
)
from dash_repro.paper.measures import EXTRA, quality
from dash_repro.paper.names import model_name
from dash_repro.paper.needs import FIRST, STUDENTS, TEACHER
from dash_repro.paper.protocol import SPREAD
from dash_repro.paper.registry import Section
from dash_repro.paper.results import View, results_table, students, teacher_and_students
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


def _lambda_an(view: View, row: TableRow) -> str:
    return f"{view.context.param('students')[row.model]['lambda_an']:g}"


def _by_lambda_an(view: View) -> list[TableRow]:
    """DASH with each weight, named for it."""
    return [
        replace(row, label=f"DASH, λ_{{an}} = {_lambda_an(view, row)}")
        for row in students(view)
    ]


def _by_width(view: View) -> list[TableRow]:
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


class Extra(Spread):
    """Mean and standard deviation of the metrics that the paper does not have."""

    def names(self, view: View) -> list[str]:
        return known(view.context, quality(EXTRA))


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
results_table(
    "anchor",
    title="Anchor weight (Appendix A)",
    label="Table A3",
    experiment="anchor",
    rows=_by_lambda_an,
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
results_table(
    "tableC6",
    title="Student width",
    experiment="tableC6",
    csv="tableC6_width.csv",
    keys=("config", "width"),
    models=(TEACHER, STUDENTS),
    rows=_by_width,
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
results_table(
    "tableS2",
    about_paper=True,
    title="Rows of the released code’s README",
    experiment="released",
    csv="released_code_extra.csv",
    keys=("model",),
    rows=students,
    columns=(
        Parameters("parameters_m", decimals=2),
        Spread(),
        Calibration(("rho",), titled=False),
    ),
    corner="Student",
    caption="Rows that the released code’s README adds, with Composite and DASH of "
    "Table 3 to compare; ρ on {datasets}.",
    notes=(
        "The README names these rows (multi-w composite, magnitude pruning, single "
        "head without CFG) but not their settings, which are choices here. Random w: "
        "Composite at one w a batch, uniform over the range of Table C7. Pruned: the "
        "teacher’s channels with the largest weights, then trained as Scratch. Single "
        "head: distilled from the teacher’s guided noise at one w, and sampled with "
        "one evaluation a step. With two blocks a level these two have 8.95M "
        "parameters at 64 channels; the README prints 8.95 and 8.99.",
    ),
    claims=True,
)
results_table(
    "tableS3",
    title="Further metrics of samples",
    experiment="table3",
    models=(TEACHER, STUDENTS),
    rows=teacher_and_students,
    columns=(Extra(),),
    params=("compute_metrics",),
    corner="Model",
    caption="Further metrics of the samples of Table 3.",
    after=SPREAD,
    notes=(
        "FD∞: the Fréchet distance at infinitely many samples, from a line over 1/N "
        "(Chong and Forsyth, 2020); of large sets its interval is over seeds alone. "
        "Precision: the share of samples among real images; recall: the share of real"
        " images among samples (Kynkäänniemi et al., 2019), of as many of either. NN "
        "ratio: the median distance of samples to the nearest training image over "
        "that of held-out images; near 1 samples are as new as these, near 0 copies. "
        "Class accuracy: the share of samples in which a classifier of the training "
        "images sees the class that was asked for; of held-out images it is the "
        "classifier’s own.",
    ),
)
results_table(
    "tableS5",
    about_paper=True,  # of what its composite loss leaves free
    title="Errors of the branches",
    experiment="table3",
    params=("students",),
    rows=students,
    samplers="",
    columns=(
        Calibration(("err_cond", "err_uncond", "err_ratio", "err_cos"), joined=False),
    ),
    corner="Student",
    caption="Errors of the two branches of the students of Table 3: δ_{{y}} is the "
    "student’s noise with the label less the teacher’s, δ_{{∅}} the same with the null "
    "token, and E_{{y}} and E_{{∅}} are their mean squares a pixel, where that of the "
    "noise itself is 1.",
    notes=(
        "The guidance gap’s error is δ_{y} − δ_{∅}. Composite asks only that "
        "w δ_{y} = (w − 1) δ_{∅}: whatever satisfies it costs nothing. Where that is "
        "all of its error, the cosine is 1 and E_{y} / E_{∅} is the square of "
        "(w − 1) / w: 0.5625 at w = 4.",
    ),
)
