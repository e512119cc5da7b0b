"""Table S5: how far each branch of a student is from the teacher's, and in line."""

from __future__ import annotations

from dash_repro.paper.calibration_columns import Calibration
from dash_repro.paper.results import results_table, students

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
