"""Columns of the guidance gap's statistics: rho, cosine and gap MSE."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING

from dash_repro.paper.aggregate import Cell, round_half_up
from dash_repro.paper.columns import (
    Column,
    PrintedColumn,
    TableRow,
    no_network,
    unit_text,
)
from dash_repro.paper.context import Context, mean_of
from dash_repro.paper.measures import MEASURES
from dash_repro.paper.names import dataset_name
from dash_repro.paper.needs import ALL, CALIBRATION, FIRST, TEACHER, Need
from dash_repro.paper.table import Entry

if TYPE_CHECKING:
    from dash_repro.paper.results import ResultsTable, View


@dataclass(frozen=True)
class Calibration(Column):
    """Statistics of the guidance gap; the teacher's own are so by definition.

    Attributes:
        measures: those of calibration.json, as MEASURES has them.
        datasets: ALL or FIRST of the experiment's.
        joined: the datasets side by side in each box, rather than in columns.
        titled: the datasets are named over the columns.
    """

    measures: tuple[str, ...] = ("rho", "cos", "gap_mse")
    datasets: str = ALL
    joined: bool = True
    titled: bool = True
    params = ("measure_calibration.cos_undefined_below",)

    def needs(self, spec: ResultsTable) -> tuple[Need, ...]:
        return (Need(CALIBRATION, spec.experiment, datasets=self.datasets),)

    def printed(self, view: View) -> list[PrintedColumn]:
        datasets = view.datasets[:1] if self.datasets == FIRST else view.datasets
        names = [dataset_name(dataset) for dataset in datasets]
        title = f"Calibration ({' / '.join(names)})" if self.titled else ""
        parts = [(title, datasets)]
        if not self.joined:
            groups = names if len(datasets) > 1 else [title]
            parts = list(zip(groups, ([dataset] for dataset in datasets), strict=True))
        return [
            PrintedColumn(
                group,
                MEASURES[name].heading + unit_text(view.exponents[name]),
                partial(self._entry, view, shown, name),
            )
            for group, shown in parts
            for name in self.measures
        ]

    def _entry(
        self, view: View, datasets: Sequence[str], name: str, row: TableRow
    ) -> Entry:
        if self.joined and row.bound:
            return Entry((no_network(view.context, row.id, name),))
        return Entry(tuple(self._cell(view, row, one, name) for one in datasets))

    def _cell(self, view: View, row: TableRow, dataset: str, name: str) -> Cell:
        context, column = view.context, f"{dataset}_{name}"
        if row.bound:
            return no_network(context, row.id, column)
        paper = view.paper.value(row.id, column)
        measure, address = MEASURES[name], f"{row.id}/{column}"
        digits = context.digits(name)
        if row.model == TEACHER:
            text = round_half_up(Decimal(0 if name == "gap_mse" else 1), digits)
            return context.word(address, text, "definition", paper)
        place = (view.spec.experiment, dataset, row.model, row.width)
        reason = shown_as_dash(context, place, name)
        if reason:
            return context.dash(address, reason, paper)
        own, power = context.over_seeds(measure.metric, *place), view.exponents[name]
        if measure.over:
            others = context.over_seeds(measure.over, *place)
            return context.of_two("ratio", address, own, others, digits, paper)
        about = {"exponent": power, "unit": f"10^-{power}" if power else ""}
        return context.measured(address, own, digits, paper=paper, **about)


def shown_as_dash(
    context: Context, place: tuple[str, str, str, int | None], column: str
) -> str:
    """Why a calibration box is a dash, or "".

    Args:
        place: experiment, dataset, model, width.
        column: rho, cos or gap_mse.
    """
    if place[2] == "scratch":
        return "not shown, as in the paper: not distilled from this teacher"
    if context.guided(place[2]):
        return "it has one branch, and so no guidance gap"
    rho = context.over_seeds("rho", *place) if column == "cos" else []
    limit = context.param("measure_calibration.cos_undefined_below")
    undefined = rho and mean_of(rho) < Decimal(repr(limit))
    return f"undefined: rho below {limit}" if undefined else ""
