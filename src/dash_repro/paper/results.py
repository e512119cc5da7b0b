"""Tables of results as data: rows of networks times columns, and their one builder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from dash_repro.paper.bounds import BOUNDS, quality_notes
from dash_repro.paper.columns import Column, TableRow, small_unit
from dash_repro.paper.context import Context, PaperTable, protocol
from dash_repro.paper.measures import MEASURES
from dash_repro.paper.names import dataset_name, model_name
from dash_repro.paper.needs import STUDENTS, TEACHER, experiments
from dash_repro.paper.registry import TableSpec, register
from dash_repro.paper.rows import Row
from dash_repro.paper.table import Line, Table

FITNETS_NOTE = (
    "FitNets keeps the anchor term L_{an} (choice): feature losses alone leave the "
    "output convolution without gradient."
)


@dataclass(frozen=True, kw_only=True)
class ResultsTable(TableSpec):
    """A table of networks (rows) and what was measured of them (columns).

    Its needs and params follow from its columns.

    Attributes:
        experiment: block of `experiments` that names datasets, seeds and students.
        models: of the rows, as Need has them.
        samplers: as Need has them.
        rows: the rows without those of the bounds.
        columns: see dash_repro.paper.columns.
        caption: before the sentence on the protocol; may name {width} and {datasets}.
        after: behind that sentence; may name {ddof}.
        corner: heading over the labels.
        grouped: datasets stand over their columns.
        notes: on the paper's values; before those on the bounds.
    """

    experiment: str
    rows: Callable[[View], list[TableRow]]
    columns: Sequence[Column]
    caption: str
    corner: str
    models: tuple[str, ...] = (STUDENTS,)
    samplers: str = "default"
    after: str = ""
    grouped: bool = True
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        needs = [need for column in self.columns for need in column.needs(self)]
        keys = [key for column in self.columns for key in column.params]
        params = (*experiments(self.experiment), *keys, *self.params)
        object.__setattr__(self, "needs", tuple(dict.fromkeys(needs)))
        object.__setattr__(self, "params", tuple(dict.fromkeys(params)))

    def table(self, context: Context) -> Table:
        """Lay it out."""
        view = View(self, context)
        rows = [*self.rows(view), *_bounds()]
        lines = tuple(
            Line(
                row.id,
                row.label,
                tuple(e for column in self.columns for e in column.entries(view, row)),
                row.rule,
            )
            for row in rows
        )
        words = {"ddof": context.settings["ddof"], "width": view.block.get("width")}
        words["datasets"] = ", ".join(map(dataset_name, view.datasets))
        notes = self.notes if view.paper.by_id or not self.csv else ()
        how = protocol(context, self.experiment, self.samplers)
        heads = [head for column in self.columns for head in column.heads(view)]
        return Table(
            context.item,
            f"{self.caption.format(**words)} {how}{self.after.format(**words)}",
            (self.corner, *heads),
            lines,
            tuple(self._groups(view)) if self.grouped else (),
            (*notes, *quality_notes(context, view.datasets), *view.fitnets_note),
        )

    def _groups(self, view: View) -> list[tuple[str, int]]:
        """Headings over columns; neighbours without one are a single blank."""
        groups = [("", 1)]
        for text, span in (g for column in self.columns for g in column.groups(view)):
            if text or groups[-1][0]:
                groups.append((text, span))
            else:
                groups[-1] = ("", groups[-1][1] + span)
        return groups


def _bounds() -> list[TableRow]:
    return [
        TableRow(f"bound_{name}", label, bound=name, rule=index == 0)
        for index, (name, label) in enumerate(BOUNDS.items())
    ]


def results_table(name: str, **about: Any) -> ResultsTable:
    """Register a table of results."""
    return register(ResultsTable(name=name, **about))


class View:
    """What rows and columns of one table read of its context."""

    def __init__(self, spec: ResultsTable, context: Context) -> None:
        self.spec, self.context = spec, context

    @cached_property
    def block(self) -> dict[str, Any]:
        """The experiment's params."""
        return self.context.param(f"experiments.{self.spec.experiment}")

    @property
    def datasets(self) -> list[str]:
        """The experiment's datasets."""
        return self.block["datasets"]

    @cached_property
    def paper(self) -> PaperTable:
        """The paper's values."""
        if not self.spec.csv:
            return PaperTable({})
        return self.context.source(self.spec.csv, *self.spec.keys)

    def quality(self, row: TableRow, dataset: str, column: str) -> list[Row]:
        """Raw values of a sample metric of a row."""
        metric = MEASURES[column].metric
        if row.bound:
            return self.context.bound(row.bound, metric, dataset)
        place = (self.spec.experiment, dataset, row.model, row.width, row.sampler)
        return self.context.metric(metric, *place)

    def parameters(self, model: str, width: int | None) -> list[Row]:
        """A network's number of parameters."""
        return self.context.profile("parameters", self.datasets[0], model, width)

    @cached_property
    def gap_exponent(self) -> int:
        """One unit for the table's column of gap MSE."""
        rows = [
            row
            for model in self.block["students"]
            if model != "scratch"
            for dataset in self.datasets
            for row in self.context.calibration(
                "gap_mse", self.spec.experiment, dataset, model, self.block["width"]
            )
        ]
        return small_unit(rows, MEASURES["gap_mse"].digits(self.context.settings))

    @property
    def fitnets_note(self) -> tuple[str, ...]:
        """What FitNets' row must say, where there is one."""
        return (FITNETS_NOTE,) if "fitnets" in self.block.get("students", []) else ()


def students(view: View) -> list[TableRow]:
    """The experiment's students at its width."""
    width = view.block["width"]
    return [TableRow(m, model_name(m), m, width) for m in view.block["students"]]


def teacher_and_students(view: View) -> list[TableRow]:
    """The teacher above the students."""
    return [TableRow("teacher", model_name("teacher"), TEACHER), *students(view)]
