"""Table S1: what a guided sample costs, beside the released code's README."""

from __future__ import annotations

from collections.abc import Sequence

from dash_repro.paper.aggregate import Cell
from dash_repro.paper.context import Context, PaperTable
from dash_repro.paper.intervals import COUNTS
from dash_repro.paper.markup import literal
from dash_repro.paper.needs import TEACHER, profile
from dash_repro.paper.registry import table
from dash_repro.paper.rows import Row
from dash_repro.paper.scale import mark
from dash_repro.paper.table import Line, Table

# row of the README -> number of profile.json, label, exponent of its unit, decimals
EFFICIENCY: dict[str, tuple[str, str, int, int]] = {
    "parameters_m": ("parameters", "Parameters (M)", -6, 2),
    "flops_50step_cfg_g": ("sampling_flops", "GFLOP an image, {steps} steps", -9, 1),
    "latency_ms_t4_batch64": (
        "sampling_latency_s",
        "Sampling {batch} images (ms)",
        3,
        1,
    ),
    "peak_memory_mb_t4_batch64": (
        "peak_memory_bytes",
        "Peak memory, {batch} images (MB)",
        -6,
        1,
    ),
}


@table(
    "tableS1",
    about_paper=True,
    title="Efficiency",
    needs=(profile("table3", (TEACHER, "dash")),),
    params=("profile_model", "experiments.table3"),
    csv="released_code_efficiency.csv",
    keys=("metric",),
)
def table_s1(context: Context, paper: PaperTable) -> Table:
    """Efficiency of teacher and student beside the released code's README."""
    settings = context.param("profile_model")
    words = {"steps": settings["steps"], "batch": settings["batch_size"]}
    lines = [
        Line.of_cells(row, spec[1].format(**words), _cells(context, row, spec, paper))
        for row, spec in EFFICIENCY.items()
    ]
    names = context.collected.find("profile_text", name="device")
    devices = sorted({literal(row.value) for row in names})
    place = ", ".join(devices) or "the machine of this run"
    return Table(
        context.item,
        f"Efficiency: the released code’s README (on a T4) and this run (on {place}). "
        f"{mark(context.scale).caption}",
        ("", "README", "this run", "README", "this run", "README", "this run"),
        tuple(lines),
        (("", 1), ("Teacher", 2), ("Student", 2), ("Ratio", 2)),
        (
            "GFLOP: two operations a multiply-add of convolutions and matrix products, "
            "two forwards a step; the README’s are these and 10 for each normalised, "
            "2 for each upsampled value. Memory: live tensors, weights among them. A "
            "dash: not measured, or the two were measured on different devices.",
        ),
    )


def _cells(
    context: Context, row: str, spec: tuple[str, str, int, int], paper: PaperTable
) -> list[Cell]:
    """The README's and this run's boxes of teacher, student and their ratio."""
    key, _, exponent, decimals = spec
    table3 = context.param("experiments.table3")
    where = {"name": key, "dataset": table3["datasets"][0]}
    find = context.collected.find
    found = {
        "teacher": find("profile", **where, model=TEACHER),
        "student": find("profile", **where, model="dash", width=table3["width"]),
    }
    both = found["teacher"] + found["student"]
    cells = []
    for column in ("teacher", "student", "ratio"):
        readme, address = paper.value(row, column), f"{row}/{column}"
        cells.append(context.quoted(f"{row}/readme_{column}", readme))
        if len(both) != 2 or (column == "ratio" and not _comparable(context, both)):
            cells.append(context.dash(address, "not measured", readme))
        elif column == "ratio":
            cells.append(context.of_two("ratio", address, *found.values(), 2, readme))
        else:
            about = {"exponent": exponent, "paper": readme}
            cells.append(context.measured(address, found[column], decimals, **about))
    return cells


def _comparable(context: Context, rows: Sequence[Row]) -> bool:
    """Counts always; times and memory only if measured on one device, in one way."""
    if rows[0].name in COUNTS:
        return True
    find = context.collected.find
    ways = {
        tuple(
            text.value
            for name in ("device", "peak_memory_kind")
            for text in find("profile_text", name=name, instance=row.instance)
        )
        for row in rows
    }
    return len(ways) == 1
