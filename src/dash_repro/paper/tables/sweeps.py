"""Tables C5, C7 and S4: sampling steps, guidance scale, fewer steps by distillation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from dash_repro.paper.aggregate import Cell
from dash_repro.paper.columns import heads_of
from dash_repro.paper.context import Context, PaperTable
from dash_repro.paper.measures import MEASURES
from dash_repro.paper.names import dataset_name, model_name
from dash_repro.paper.needs import (
    CALIBRATION,
    DISTILLED,
    STEP_GAP,
    STUDENTS,
    TEACHER,
    Need,
    bounds,
    experiments,
    metrics,
)
from dash_repro.paper.protocol import BOUNDS, protocol, quality_notes
from dash_repro.paper.registry import TableSpec, register, table
from dash_repro.paper.rows import Row
from dash_repro.paper.table import Line, Table

COLUMN = "fd"  # every column shows the distance
GAP_NOTE = (
    "Gap: student minus teacher, from the unrounded values; it may differ in the last "
    "digit from the difference of the printed ones."
)
STEPWISE_NOTES = (
    "Distilled: each from the student of the next larger number of steps that it "
    "divides, after Salimans and Ho (2022), both branches along the guided path. Gain: "
    "the distance that this takes away.",
    "ρ: the student’s guidance gap over the teacher’s, each that of one step: the "
    "teacher’s is put together from its own smaller steps.",
)


@dataclass(frozen=True, kw_only=True)
class SweepTable(TableSpec):
    """A table whose columns are values of one setting of the sampler.

    Attributes:
        experiment: block of `experiments`; it lists the values.
        samplers: as Need has them; "steps" or "scales".
        values: key of the block that lists them.
        setting: field of Sampler that they are.
        column, head: names and headings of the columns, with {value}.
        corner: heading over the labels.
        by_dataset: rows are named for their dataset even where there is one only.
        caption: before the protocol; may name {metric}, {datasets} and {guided}.
    """

    experiment: str
    samplers: str
    values: str
    setting: str
    column: str
    head: str
    corner: str
    caption: str
    by_dataset: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        models = (STUDENTS, TEACHER)
        needs = metrics(self.experiment, models, self.samplers), bounds(self.experiment)
        self.collects(needs, (*experiments(self.experiment), "tag", "students"))

    def table(self, context: Context) -> Table:
        """Lay it out: for each dataset teacher, student, their gap and the bounds."""
        paper = self.paper(context)
        block = context.param(f"experiments.{self.experiment}")
        kind = float if self.setting == "scale" else int
        values = [kind(value) for value in block[self.values]]
        datasets, lines = block["datasets"], []
        several = self.by_dataset or len(datasets) > 1
        student = block["student"]
        labels = {
            "teacher": model_name("teacher"),
            student: f"{model_name(student)}, {block['width']} channels",
            "gap": "Gap",
            **{f"bound_{name}": label for name, label in BOUNDS.items()},
        }
        for dataset in datasets:
            if several:
                lines.append(Line(dataset, dataset_name(dataset), rule=bool(lines)))
            prefix = f"{dataset}_" if several else ""
            columns = [
                self._column(context, dataset, prefix, value, paper) for value in values
            ]
            lines += lines_of(prefix, labels, columns)
        (metric,) = heads_of(context, [COLUMN])
        constant = context.param("experiments.sampling.student_guidance") == "constant"
        caption = self.caption.format(
            metric=metric,
            datasets=", ".join(map(dataset_name, datasets)),
            guided="constant w of the student, " if constant else "student and ",
        )
        return Table(
            context.item,
            f"{caption} {protocol(context, self.experiment, self.samplers)}",
            (self.corner, *(self.head.format(value=value) for value in values)),
            tuple(lines),
            notes=(GAP_NOTE, *quality_notes(context, datasets)),
        )

    def _column(
        self, context: Context, dataset: str, prefix: str, value: Any, paper: PaperTable
    ) -> dict[str, Cell]:
        """Cells of one dataset and value, by row."""
        block = context.param(f"experiments.{self.experiment}")
        student, measure = block["student"], MEASURES[COLUMN]
        digits = context.digits(COLUMN)
        column, found = self.column.format(value=value), {}
        for row, model, width in (
            ("teacher", TEACHER, None),
            (student, student, block["width"]),
        ):
            sampler = replace(context.sampler(model), **{self.setting: value})
            place = (self.experiment, dataset, model, width, sampler)
            found[row] = context.over_seeds(measure.metric, *place)
        for name in BOUNDS:
            found[f"bound_{name}"] = context.bound(name, measure.metric, dataset)
        cells = {}
        for row, rows in found.items():
            printed = paper.value(prefix + row, column)
            address = f"{prefix}{row}/{column}"
            cells[row] = context.measured(address, rows, digits, paper=printed)
        both, address = (found[student], found["teacher"]), f"{prefix}gap/{column}"
        cells["gap"] = context.of_two("difference", address, *both, digits)
        return cells


def lines_of(
    prefix: str, labels: Mapping[str, str], columns: Sequence[Mapping[str, Cell]]
) -> list[Line]:
    """Rows of a table whose cells were made column by column.

    Args:
        prefix: of the rows' ids.
        labels: by row.
        columns: cells by row.
    """
    return [
        Line.of_cells(prefix + row, label, [column[row] for column in columns])
        for row, label in labels.items()
    ]


register(
    SweepTable(
        name="tableC5",
        title="Sampling steps",
        experiment="tableC5",
        csv="tableC5_steps.csv",
        keys=("dataset", "model"),
        samplers="steps",
        values="steps",
        setting="steps",
        column="fd_{value}",
        head="{value}",
        corner="Steps",
        caption="Sampling steps ({metric}). Trained once; the step count changes at "
        "sampling only.",
        by_dataset=True,
        claims=True,
    )
)
register(
    SweepTable(
        name="tableC7",
        title="Guidance scale",
        experiment="tableC7",
        csv="tableC7_guidance.csv",
        keys=("model",),
        samplers="scales",
        values="guidance_scales",
        setting="scale",
        column="w{value}",
        head="{value:.1f}",
        corner="w",
        caption="Guidance scale ({metric}, {datasets}): {guided}TAG's w_{{max}} of the "
        "teacher.",
        claims=True,
    )
)


@table(
    "tableS4",
    title="Fewer steps by distillation",
    needs=(
        metrics("stepwise", (STUDENTS, DISTILLED), "stepped"),
        Need(CALIBRATION, "stepwise"),
        Need(STEP_GAP, "stepwise", (DISTILLED,)),
        bounds("stepwise"),
    ),
    params=(*experiments("stepwise"), "tag", "students"),
    claims=True,
)
def table_s4(context: Context, _: PaperTable) -> Table:
    """The student sampled in fewer steps as it is, and distilled to them."""
    block = context.param("experiments.stepwise")
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
        columns = [
            _stepwise_column(context, dataset, steps) for steps in block["steps"]
        ]
        lines += lines_of(f"{dataset}_", labels, columns)
    (metric,) = heads_of(context, [COLUMN])
    how = protocol(context, "stepwise", "steps")
    return Table(
        context.item,
        f"Step distillation on top of {name} ({metric}). {how}",
        ("Steps", *map(str, block["steps"])),
        tuple(lines),
        notes=(*STEPWISE_NOTES, *quality_notes(context, block["datasets"])),
    )


def _stepwise_column(context: Context, dataset: str, steps: int) -> dict[str, Cell]:
    """The cells of one number of steps, by row."""
    block, measure = context.param("experiments.stepwise"), MEASURES[COLUMN]
    student, width = block["student"], block["width"]
    digits = context.digits(COLUMN)
    column, own = f"fd_{steps}", steps == block["steps"][0]
    model = student if own else f"{student}_k{steps}"  # its own steps: nothing to do

    def rows(name: str) -> list[Row]:
        sampler = replace(context.sampler(name), steps=steps)
        place = ("stepwise", dataset, name, width, sampler)
        return context.over_seeds(measure.metric, *place)

    plain, distilled = rows(student), rows(model)
    rho = context.over_seeds("rho", "stepwise", dataset, model, width)
    gain = "difference", f"{dataset}_gain/{column}", plain, distilled, digits
    return {
        "plain": context.measured(f"{dataset}_plain/{column}", plain, digits),
        "distilled": context.measured(
            f"{dataset}_distilled/{column}", distilled, digits
        ),
        "gain": context.of_two(*gain),
        "rho": context.measured(f"{dataset}_rho/{column}", rho, context.digits("rho")),
    }
