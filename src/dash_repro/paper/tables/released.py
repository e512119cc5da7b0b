"""Table S2: the rows that the released code's README adds to the paper's."""

from __future__ import annotations

from dash_repro.paper.calibration_columns import Calibration
from dash_repro.paper.columns import Parameters, Spread
from dash_repro.paper.results import results_table, students

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
