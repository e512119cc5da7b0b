"""Table 1: which method addresses what."""

from __future__ import annotations

from dash_repro.paper.context import Context, PaperTable
from dash_repro.paper.registry import Section, table
from dash_repro.paper.table import Line, Table

QUALITIES = {
    "param_compression": "Parameters compressed",
    "step_reduction": "Steps reduced",
    "branch_calibration": "Branches calibrated",
    "curriculum_transfer": "Curriculum transferred",
}
TICKS = {"1": "✓", "0": "✗", "?": "?"}


@table(
    "table1",
    about_paper=True,
    title="Comparison of distillation approaches",
    section=Section.COMPARED,
    csv="table1_qualitative.csv",
    keys=("method",),
)
def table1(context: Context, paper: PaperTable) -> Table:
    """Table 1: which method addresses what, as the paper's prose says."""
    lines = []
    for row, line in paper.by_id.items():
        cells = (
            context.word(f"{row}/{name}", TICKS[line[name]], "literature", line[name])
            for name in QUALITIES
        )
        lines.append(Line.of_cells(row, line["label"], cells, rule=row == "dash"))
    return Table(
        context.item,
        "Distillation approaches compared (✓ addressed, ✗ not addressed, ? the text "
        "does not say). The tick marks of the paper’s table were lost when its text "
        "was extracted: these are reconstructed from its prose.",
        ("Method", *QUALITIES.values()),
        tuple(lines),
    )
