"""Table A2: evaluation protocol of this run beside the paper's."""

from __future__ import annotations

from dash_repro.paper.context import Context, word
from dash_repro.paper.needs import experiments
from dash_repro.paper.registry import Section, table
from dash_repro.paper.scale import mark
from dash_repro.paper.table import Entry, Line, Table


def _protocol_rows(context: Context) -> dict[str, str]:
    sampling = context.param("experiments.sampling")
    scale = float(sampling["guidance_scale"])
    tag = sampling["student_guidance"] == "tag"
    guided = "TAG" if tag else f"w = {scale:.1f}"
    return {
        "sampler": f"DDIM, {sampling['steps']} steps, {guided}",
        "num_samples": str(context.param("generate_samples")["num_samples"]),
        "pairs": str(context.param("measure_calibration.pairs")),
        "calibration": "ρ, cos(Δ), gap MSE",
        "seeds": ", ".join(map(str, context.param("experiments.table3.seeds"))),
    }


@table(
    "tableA2",
    about_paper=True,
    title="Evaluation protocol",
    section=Section.APPENDIX_A,
    params=(
        "generate_samples",
        "measure_calibration.pairs",
        *experiments("table3"),
    ),
    csv="tableA2_protocol.csv",
    keys=("key",),
)
def table_a2(context: Context) -> Table:
    """Table A2: evaluation protocol of this run beside the paper's."""
    paper = context.source("tableA2_protocol.csv", "key")
    ours = _protocol_rows(context)
    lines = []
    for row, line in paper.by_id.items():
        cells = (
            word(f"tableA2/{row}/paper", line["value"], "literature", line["value"]),
            word(f"tableA2/{row}/value", ours[row], paper=line["value"]),
        )
        entries = tuple(Entry((cell,)) for cell in cells)
        lines.append(Line(row, line["label"], entries))
    return Table(
        context.item,
        "Evaluation protocol of the paper and of this run. "
        f"{mark(context.scale).caption}",
        ("Setting", "paper", "this run"),
        tuple(lines),
    )
