"""Table S4: Appendix F's step reduction on top of a student."""

from __future__ import annotations

from dataclasses import replace

from dash_repro.paper.aggregate import Cell
from dash_repro.paper.bounds import quality_notes
from dash_repro.paper.columns import heads_of
from dash_repro.paper.context import Context
from dash_repro.paper.measures import MEASURES
from dash_repro.paper.names import dataset_name, model_name
from dash_repro.paper.needs import (
    CALIBRATION,
    DISTILLED,
    STEP_GAP,
    STUDENTS,
    Need,
    bounds,
    experiments,
    metrics,
)
from dash_repro.paper.protocol import protocol
from dash_repro.paper.registry import table
from dash_repro.paper.rows import Row
from dash_repro.paper.table import Line, Table
from dash_repro.paper.tables.sweeps import lines_of

EXPERIMENT = "stepwise"
NOTES = (
    "Distilled: each from the student of the next larger number of steps that it "
    "divides, after Salimans and Ho (2022), both branches along the guided path. Gain: "
    "the distance that this takes away.",
    "ρ: the student’s guidance gap over the teacher’s, each that of one step: the "
    "teacher’s is put together from its own smaller steps.",
)


@table(
    "tableS4",
    title="Fewer steps by distillation",
    needs=(
        metrics(EXPERIMENT, (STUDENTS, DISTILLED), "stepped"),
        Need(CALIBRATION, EXPERIMENT),
        Need(STEP_GAP, EXPERIMENT, (DISTILLED,)),
        bounds(EXPERIMENT),
    ),
    params=(*experiments(EXPERIMENT), "tag", "students"),
    claims=True,
)
def table_s4(context: Context) -> Table:
    """The student sampled in fewer steps as it is, and distilled to them."""
    block = context.param(f"experiments.{EXPERIMENT}")
    name = model_name(block["student"])
    labels = {
        "plain": f"{name}, as it is",
        "distilled": f"{name}, distilled",
        "gain": "Gain",
        "rho": "ρ",
    }
    lines = []
    for dataset in block["datasets"]:
        lines.append(Line(dataset, dataset_name(dataset), rule=bool(lines)))
        columns = [_column(context, dataset, steps) for steps in block["steps"]]
        lines += lines_of(f"{dataset}_", labels, columns)
    (metric,) = heads_of(context, ["fd"])
    how = protocol(context, EXPERIMENT, "steps")
    return Table(
        context.item,
        f"Step distillation on top of {name} ({metric}). {how}",
        ("Steps", *map(str, block["steps"])),
        tuple(lines),
        notes=(*NOTES, *quality_notes(context, block["datasets"])),
    )


def _column(context: Context, dataset: str, steps: int) -> dict[str, Cell]:
    """The cells of one number of steps, by row."""
    block, measure = context.param(f"experiments.{EXPERIMENT}"), MEASURES["fd"]
    student, width = block["student"], block["width"]
    digits = measure.digits(context.settings)
    column, own = f"fd_{steps}", steps == block["steps"][0]
    model = student if own else f"{student}_k{steps}"  # its own steps: nothing to do

    def rows(name: str) -> list[Row]:
        sampler = replace(context.sampler(name), steps=steps)
        place = (EXPERIMENT, dataset, name, width, sampler)
        return context.over_seeds(measure.metric, *place)

    plain, distilled = rows(student), rows(model)
    rho = context.over_seeds("rho", EXPERIMENT, dataset, model, width)
    rho_digits = MEASURES["rho"].digits(context.settings)
    gain = "difference", f"{dataset}_gain/{column}", plain, distilled, digits
    return {
        "plain": context.measured(f"{dataset}_plain/{column}", plain, digits),
        "distilled": context.measured(
            f"{dataset}_distilled/{column}", distilled, digits
        ),
        "gain": context.of_two(*gain),
        "rho": context.measured(f"{dataset}_rho/{column}", rho, rho_digits),
    }
