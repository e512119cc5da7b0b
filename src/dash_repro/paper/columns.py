"""Columns of the tables of results: what each prints of a row, and what it needs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from dash_repro.paper.aggregate import SPREADS, Cell, alike, round_half_up
from dash_repro.paper.context import Context, Sampler, value_of
from dash_repro.paper.measures import MAIN, MANY, MEASURES, SPREAD, STANDIN, quality
from dash_repro.paper.names import dataset_name, metric_names
from dash_repro.paper.needs import STUDENTS, TEACHER, Need, bounds, metrics, profile
from dash_repro.paper.rows import Row
from dash_repro.paper.table import Entry

if TYPE_CHECKING:
    from dash_repro.paper.results import ResultsTable, View


@dataclass(frozen=True)
class TableRow:
    """Whose numbers a row of a table shows: a network's, or those of a bounding set.

    Attributes:
        id: its part of the addresses.
        label: printed name.
        model: student, or teacher_<block>; "" where no network of ours is meant.
        width: of a student; None: the teacher's.
        sampler: None: the model's default.
        bound: name of a bounding set (bounds.json).
        rule: a line above it.
    """

    id: str
    label: str
    model: str = ""
    width: int | None = None
    sampler: Sampler | None = None
    bound: str = ""
    rule: bool = False


class PrintedColumn(NamedTuple):
    """One column as it is printed.

    Attributes:
        group: heading over it and its neighbours with the same; "": none.
        head: its own heading.
        entry: its box in a row.
    """

    group: str
    head: str
    entry: Callable[[TableRow], Entry]


class Column(ABC):
    """One column of a table, or several that belong together."""

    params: tuple[str, ...] = ()
    measures: tuple[str, ...] = ()  # of calibration.json, by their names in MEASURES

    def needs(self, spec: ResultsTable) -> tuple[Need, ...]:
        """What the column reads: the instances whose files the table collects."""
        return ()

    @abstractmethod
    def printed(self, view: View) -> list[PrintedColumn]:
        """These columns, from left to right."""


@dataclass(frozen=True)
class NetworkColumn(Column):
    """A column that only a network can fill."""

    name: str
    heading: str

    def printed(self, view: View) -> list[PrintedColumn]:
        return [PrintedColumn("", self.heading, partial(self._entry, view))]

    def _entry(self, view: View, row: TableRow) -> Entry:
        if row.bound:
            return Entry((no_network(view.context, row.id, self.name),))
        paper = view.paper.value(row.id, self.name)
        if row.model:
            return Entry((self.cell(view, row, paper),))
        return Entry((view.context.quoted(f"{row.id}/{self.name}", paper),))

    @abstractmethod
    def cell(self, view: View, row: TableRow, paper: str) -> Cell:
        """The cell of a network."""


@dataclass(frozen=True)
class Setting(NetworkColumn):
    """A setting of the row, as params or its sampler say."""

    text: Callable[[View, TableRow], str]
    params: tuple[str, ...] = ()

    def cell(self, view: View, row: TableRow, paper: str) -> Cell:
        address, text = f"{row.id}/{self.name}", self.text(view, row)
        return view.context.word(address, text, paper=paper)


@dataclass(frozen=True)
class Parameters(NetworkColumn):
    """Millions of parameters."""

    name: str = "params_m"
    heading: str = "Params (M)"
    decimals: int = 1

    def needs(self, spec: ResultsTable) -> tuple[Need, ...]:
        return (profile(spec.experiment, spec.models),)

    def cell(self, view: View, row: TableRow, paper: str) -> Cell:
        rows = view.parameters(row.model, row.width)
        address = f"{row.id}/{self.name}"
        return view.context.millions(address, rows, self.decimals, paper)


@dataclass(frozen=True)
class Compression(NetworkColumn):
    """The teacher's parameters over the row's."""

    name: str = "compression"
    heading: str = "Compression"

    def needs(self, spec: ResultsTable) -> tuple[Need, ...]:
        return (profile(spec.experiment, (STUDENTS, TEACHER)),)

    def cell(self, view: View, row: TableRow, paper: str) -> Cell:
        teacher = view.parameters(TEACHER, None)
        own = view.parameters(row.model, row.width)
        address = f"{row.id}/{self.name}"
        return view.context.of_two("ratio", address, teacher, own, 1, paper)


@dataclass(frozen=True)
class Quality(Column):
    """Sample metrics, dataset by dataset; of literature, as the paper prints them."""

    params = ("tag", "students")

    def needs(self, spec: ResultsTable) -> tuple[Need, ...]:
        models = metrics(spec.experiment, spec.models, spec.samplers)
        return models, bounds(spec.experiment)

    def names(self, view: View) -> list[str]:
        """Names of the metrics that the column shows for one dataset."""
        return leading(view.context, quality(MAIN))

    def printed(self, view: View) -> list[PrintedColumn]:
        names = self.names(view)
        heads = heads_of(view.context, names)
        return [
            PrintedColumn(
                dataset_name(dataset), head, partial(self.entry, view, dataset, column)
            )
            for dataset in view.datasets
            for column, head in zip(names, heads, strict=True)
        ]

    def entry(self, view: View, dataset: str, column: str, row: TableRow) -> Entry:
        """The cell of one metric, dataset and row."""
        context, address = view.context, f"{row.id}/{dataset}_{column}"
        paper = "" if row.bound else view.paper.value(*address.split("/"))
        if not (row.bound or row.model):
            return Entry((_literature(context, address, dataset, column, paper),))
        if few := too_few(context, column):
            return Entry((context.dash(address, few, paper),))
        rows, about = view.quality(row, dataset, column), _unit(context, column)
        digits = context.digits(column)
        return Entry((context.measured(address, rows, digits, paper=paper, **about),))


def too_few(context: Context, column: str) -> str:
    """Why a column's metric is not printed of so few samples, or ""."""
    if not MEASURES[column].of_many or context.samples >= MANY:
        return ""
    return f"of {context.samples} samples it would be too low; {MANY} are needed"


PERCENT = 2  # exponent of the unit
MOST_IN_UNIT = 10_000  # a larger number makes its column leave a small unit
LITERATURE = {"fd": "FID", "is": "IS"}  # what a column's metric is called elsewhere


def _literature(
    context: Context, address: str, dataset: str, column: str, value: str
) -> Cell:
    """What the paper prints, if the column is of the same metric."""
    if not value:
        return context.dash(address, "the paper has no value for this dataset")
    measured = context.collected.find(MEASURES[column].metric, dataset=dataset)
    name = LITERATURE.get(column, "")
    if {row.name for row in measured} != {name}:
        note = f"the literature's {name} is not this column's metric"
        return context.dash(address, note, value)
    text = round_half_up(Decimal(value), 2)
    return replace(context.quoted(address, value), displayed=text, decimals=2)


@dataclass(frozen=True)
class Spread(Quality):
    """Mean and standard deviation of every sample metric."""

    def names(self, view: View) -> list[str]:
        found = {row.name for row in view.context.collected.find("frechet")}
        names = quality(MAIN, SPREAD, *([STANDIN] if found - {"FID"} else []))
        return leading(view.context, names)

    def entry(self, view: View, dataset: str, column: str, row: TableRow) -> Entry:
        """mean ± spread over training seeds ± spread over sampling seeds."""
        context = view.context
        whole = super().entry(view, dataset, column, row)
        rows = view.quality(row, dataset, column)
        values, shown, unprinted = [value_of(one) for one in rows], [], []
        resampled = len({value.sampling_seed for value in values if value.seed}) > 1
        for statistic in SPREADS[: 1 + resampled]:
            address = f"{row.id}/{dataset}_{column}_{statistic}"
            paper = "" if row.bound else view.paper.value(*address.split("/"))
            single = "" if alike(values, statistic) else "a single value has no spread"
            if why := too_few(context, column) or single:
                unprinted.append(context.dash(address, why, paper))
                continue
            about = {"statistic": statistic, "paper": paper, **_unit(context, column)}
            digits = context.digits(column)
            shown.append(context.measured(address, rows, digits, **about))
        return Entry((*whole.cells, *shown), " ± ", tuple(unprinted))


def known(context: Context, names: list[str]) -> list[str]:
    """Columns without those of metrics that the extractor's features cannot give."""
    find = context.collected.find
    return [name for name in names if find(MEASURES[name].metric)] or names


def leading(context: Context, names: list[str]) -> list[str]:
    """Columns of sample metrics, KID first where there are few samples."""
    names = known(context, names)
    if context.samples >= MANY:
        return names
    return ["kid", *(name for name in names if name != "kid")]


def power_of(context: Context, column: str) -> int:
    """Exponent of a column's unit: none for numbers that are large without it.

    KID is small of Inception's features, and in thousandths by custom. Of others it may
    be large; in a table, no number in thousandths has more than four digits before its
    point.
    """
    measure = MEASURES[column]
    rows = context.collected.find(measure.metric)
    if measure.exponent in (0, PERCENT) or not rows:
        return measure.exponent
    largest = max(abs(row.number) for row in rows).scaleb(measure.exponent)
    return measure.exponent if largest < MOST_IN_UNIT else 0


def _unit(context: Context, column: str) -> dict[str, Any]:
    """The unit of a column's cells."""
    power = power_of(context, column)
    unit = "%" if power == PERCENT else f"10^-{power}" if power else ""
    return {"exponent": power, "unit": unit}


def no_network(context: Context, row: str, name: str) -> Cell:
    """A box that only a network could fill."""
    return context.dash(f"{row}/{name}", "these images come from no network")


def heads_of(context: Context, columns: Sequence[str]) -> list[str]:
    """Headings of columns of sample metrics, named for what was measured."""
    heads = []
    for column in columns:
        measure = MEASURES[column]
        names = metric_names(context.collected.find(measure.metric)) or measure.metric
        unit = unit_text(power_of(context, column))
        heads.append(f"{names}{unit} {measure.heading}".rstrip())
    return heads


def unit_text(exponent: int) -> str:
    """ " (×10^{−3})" for exponent 3, " %" for 2."""
    if exponent == PERCENT:
        return " %"
    return f" (×10^{{−{exponent}}})" if exponent else ""


def small_unit(rows: Sequence[Row], decimals: int) -> int:
    """Exponent e of a column's unit 10^-e: its smallest number keeps two digits.

    The paper's gap MSE fits e = 0; another scale of the same quantity may not.

    Args:
        rows: of the column.
        decimals: digits after the point.

    Returns:
        0, 3, 6, ...
    """
    found = [abs(row.number) for row in rows if row.number]
    smallest, least = min(found, default=Decimal(1)), Decimal(1).scaleb(1 - decimals)
    exponent = 0
    while smallest.scaleb(exponent) < least:
        exponent += 3
    return exponent
