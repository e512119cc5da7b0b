"""Tables of results as data: rows of networks times columns, and their one builder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cached_property
from itertools import groupby
from typing import Any

from dash_repro.paper.columns import Column, TableRow, small_unit
from dash_repro.paper.context import Context, PaperTable
from dash_repro.paper.measures import MEASURES, worth
from dash_repro.paper.names import dataset_name, model_name
from dash_repro.paper.needs import STUDENTS, TEACHER, experiments
from dash_repro.paper.protocol import (
    BOUNDS,
    DIGITS_NOTE,
    protocol,
    quality_notes,
    spread_words,
)
from dash_repro.paper.registry import TABLES, TableSpec, register
from dash_repro.paper.rows import Row
from dash_repro.paper.table import Entry, Line, Table

BEST_NOTE = (  # without students in the table, and with
    "Bold: the best in its column by its printed digits, whatever its spread.",
    "Bold: the best student in its column by its printed digits, whatever its spread.",
)
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
        samplers: as Need has them; "": it shows no samples, and so no bounds of theirs.
        rows: the rows without those of the bounds.
        columns: see dash_repro.paper.columns.
        caption: before the sentence on the protocol; may name {width} and {datasets}.
        after: behind that sentence; may name {ddof} and {spread}.
        spread: the table that prints the spread over seeds.
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
    spread: str = ""
    grouped: bool = True
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        needs = [need for column in self.columns for need in column.needs(self)]
        keys = [key for column in self.columns for key in column.params]
        self.collects(needs, (*experiments(self.experiment), *keys, *self.params))

    def table(self, context: Context) -> Table:
        """Build the table from its collected rows."""
        view = View(self, context)
        rows = [*self.rows(view), *(_bounds() if self.samplers else [])]
        columns = [one for column in self.columns for one in column.printed(view)]
        boxes = [[column.entry(row) for column in columns] for row in rows]
        pairs = list(zip(rows, boxes, strict=True))
        unranked = ("", TEACHER if STUDENTS in self.models else "")
        mark_best([entries for row, entries in pairs if row.model not in unranked])
        lines = [Line(row.id, row.label, tuple(box), row.rule) for row, box in pairs]
        words = {"ddof": context.settings["ddof"], "width": view.block.get("width")}
        words["spread"] = spread_words(context, self.experiment)
        words["datasets"] = ", ".join(map(dataset_name, view.datasets))
        notes = [BEST_NOTE[STUDENTS in self.models]]
        notes += self.notes if view.paper.by_id or not self.csv else ()
        bounded = quality_notes(context, view.datasets) if self.samplers else []
        notes += bounded or [DIGITS_NOTE]
        notes += [FITNETS_NOTE] if "fitnets" in view.block.get("students", []) else []
        how = protocol(context, self.experiment, self.samplers)
        after = self.after.format(**words)
        if self.spread and len(view.block["seeds"]) > 1:
            after += f" {TABLES[self.spread].label} has the spreads."
        over = groupby(["", *(column.group for column in columns)])
        groups = tuple((text, len(list(same))) for text, same in over)
        return Table(
            context.item,
            f"{self.caption.format(**words)} {how}{after}",
            (self.corner, *(column.head for column in columns)),
            tuple(lines),
            groups if self.grouped else (),
            tuple(notes),
        )


def mark_best(rows: Sequence[list[Entry]]) -> None:
    """Name the best cells of each column, by their printed digits, in place.

    Args:
        rows: entries by row; a mean counts, a spread or a setting does not.
    """
    for column in range(len(rows[0]) if len(rows) > 1 else 0):
        entries = [row[column] for row in rows]
        found: set[str] = set()
        for place in range(max(len(entry.cells) for entry in entries)):
            values = {
                cell.address: value
                for entry in entries
                for cell in entry.cells[place : place + 1]
                if cell.kind == "measured" and cell.statistic == "mean"
                if (value := worth(cell.metric, Decimal(cell.displayed))) is not None
            }
            if len(values) > 1:
                top = max(values.values())
                found |= {address for address, value in values.items() if value == top}
        for row, entry in zip(rows, entries, strict=True):
            best = tuple(c.address for c in entry.cells if c.address in found)
            row[column] = replace(entry, best=best)


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
        return self.spec.paper(self.context)

    def quality(self, row: TableRow, dataset: str, column: str) -> list[Row]:
        """Raw values of a sample metric of a row."""
        metric = MEASURES[column].metric
        if row.bound:
            return self.context.bound(row.bound, metric, dataset)
        sampler = row.sampler or self.context.sampler(row.model)
        place = (self.spec.experiment, dataset, row.model, row.width, sampler)
        return self.context.over_seeds(metric, *place)

    def parameters(self, model: str, width: int | None) -> list[Row]:
        """A network's number of parameters."""
        return self.context.profile("parameters", self.datasets[0], model, width)

    @cached_property
    def exponents(self) -> dict[str, int]:
        """Of the unit of each measure of calibration.json that the table shows."""
        shown = {name for column in self.spec.columns for name in column.measures}
        return {name: self._exponent(name) for name in shown}

    def _exponent(self, name: str) -> int:
        measure = MEASURES[name]
        if measure.exponent is not None:
            return measure.exponent
        place = (measure.metric, self.spec.experiment)
        rows = [
            row
            for model in self.block["students"]
            if model != "scratch"
            for dataset in self.datasets
            for row in self.context.over_seeds(
                *place, dataset, model, self.block["width"]
            )
        ]
        return small_unit(rows, self.context.digits(name))


def students(view: View) -> list[TableRow]:
    """The experiment's students at its width."""
    width = view.block["width"]
    return [TableRow(m, model_name(m), m, width) for m in view.block["students"]]


def teacher_and_students(view: View) -> list[TableRow]:
    """The teacher above the students."""
    return [TableRow("teacher", model_name("teacher"), TEACHER), *students(view)]
