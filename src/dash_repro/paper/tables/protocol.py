"""Table A2: evaluation protocol of this run beside the paper's."""

from __future__ import annotations

from dash_repro.paper.context import Context, word
from dash_repro.paper.needs import experiments
from dash_repro.paper.registry import table
from dash_repro.paper.scale import mark
from dash_repro.paper.table import Line, Table


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
    params=("generate_samples", "measure_calibration.pairs", *experiments("table3")),
    csv="tableA2_protocol.csv",
    keys=("key",),
)
def table_a2(context: Context) -> Table:
    """Table A2: evaluation protocol of this run beside the paper's."""
    paper = context.source("tableA2_protocol.csv", "key")
    ours = _protocol_rows(context)
    lines = []
    for row, line in paper.by_id.items():
        quoted, address = line["value"], f"tableA2/{row}"
        cells = (
            word(f"{address}/paper", quoted, "literature", quoted),
            word(f"{address}/value", ours[row], paper=quoted),
        )
        lines.append(Line.of_cells(row, line["label"], cells))
    return Table(
        context.item,
        "Evaluation protocol of the paper and of this run. "
        f"{mark(context.scale).caption}",
        ("Setting", "paper", "this run"),
        tuple(lines),
    )
