"""Where the formulas of claims find numbers: the paper's tables, and a run's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from pathlib import Path

from dash_repro.paper.aggregate import statistic_of
from dash_repro.paper.context import PaperTable
from dash_repro.paper.formula import NotTestable
from dash_repro.paper.registry import TableSpec
from dash_repro.paper.table import Table


class PaperCells:
    """The paper's own numbers, from its CSVs.

    Args:
        sources: its CSVs by file name.
        tables: that claims read.
    """

    def __init__(
        self, sources: Mapping[str, Path], tables: Iterable[TableSpec]
    ) -> None:
        self._tables = {
            spec.name: PaperTable.load(sources[spec.csv], *spec.keys)
            for spec in tables
            if spec.csv
        }
        self.read: list[str] = []

    def value(self, address: str) -> Decimal:
        """One printed number."""
        self.read.append(address)
        item, row, column = address.split("/")
        if item not in self._tables:
            raise NotTestable("the paper prints no numbers for this")
        text = self._tables[item].value(row, column)
        if not text:
            raise NotTestable(f"the paper has no {address}")
        return Decimal(text)

    def row(self, address: str) -> list[tuple[str, Decimal]]:
        """The numbers of a row whose columns are named fd_<steps> or w<scale>."""
        item, row = address.split("/")
        if item not in self._tables:
            raise NotTestable("the paper prints no numbers for this")
        names = [
            name
            for name in self._tables[item].by_id[row]
            if name.startswith("fd_") or name[1:2].isdigit()
        ]
        return [(name, self.value(f"{address}/{name}")) for name in names]

    def column(self, item: str, prefix: str, column: str) -> list[Decimal]:
        """A column over rows with a prefix."""
        rows = [row for row in self._tables[item].by_id if row.startswith(prefix)]
        return [self.value(f"{item}/{row}/{column}") for row in rows]


class OurCells:
    """Our numbers, unrounded, from built tables and from named extra values.

    Args:
        tables: built tables by item.
        extra: numbers under addresses of their own, with the seeds they rest on.
        without: what is left out: "seed" or "sampling_seed", and which; "": none.
    """

    def __init__(
        self,
        tables: Mapping[str, Table],
        extra: Mapping[str, tuple[Decimal, frozenset[str]]],
        without: tuple[str, str] = ("seed", ""),
    ) -> None:
        self._tables, self._extra, self._without = tables, extra, without
        self.read: list[str] = []
        self.seeds: dict[str, frozenset[str]] = {}
        self.sampling_seeds: dict[str, frozenset[str]] = {}

    def value(self, address: str) -> Decimal:
        """One measured number."""
        self.read.append(address)
        if address in self._extra:
            number, self.seeds[address] = self._extra[address]
            return number
        table = self._tables.get(address.split("/")[0])
        cell = table.cells.get(address) if table else None
        if cell is None:
            raise NotTestable(f"this run has no {address}")
        if cell.kind == "measured":
            field, which = self._without
            values = [
                v for v in cell.values if not (v.seed and getattr(v, field) == which)
            ]
            trained = [v for v in values if v.seed]
            self.seeds[address] = frozenset(v.seed for v in trained)
            samplings = (v.sampling_seed for v in trained if v.sampling_seed)
            self.sampling_seeds[address] = frozenset(samplings)
            number = statistic_of(values, cell.statistic, cell.ddof)
            return number.scaleb(cell.exponent)
        if cell.kind == "dash":
            raise NotTestable(f"{address} is a dash ({cell.note})")
        return Decimal(cell.displayed)

    def row(self, address: str) -> list[tuple[str, Decimal]]:
        """The numbers of a row, in the table's order."""
        item, _ = address.split("/")
        table = self._tables.get(item)
        names = [
            name.rsplit("/", 1)[1]
            for name in (table.cells if table else {})
            if name.startswith(f"{address}/")
        ]
        if not names:
            raise NotTestable(f"this run has no {address}")
        return [(name, self.value(f"{address}/{name}")) for name in names]

    def column(self, item: str, prefix: str, column: str) -> list[Decimal]:
        """A column over rows with a prefix."""
        table = self._tables[item]
        rows = [line.id for line in table.lines if line.id.startswith(prefix)]
        return [self.value(f"{item}/{row}/{column}") for row in rows]
