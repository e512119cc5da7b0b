"""Where the formulas of claims find numbers: the paper's tables, and a run's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from pathlib import Path

from dash_repro.paper.aggregate import Cell, Value, statistic_of
from dash_repro.paper.context import PaperTable
from dash_repro.paper.formula import Cells, NotTestable
from dash_repro.paper.registry import TableSpec
from dash_repro.paper.table import Table


class PaperCells(Cells):
    """The paper's own numbers, from its CSVs.

    Args:
        sources: its CSVs by file name.
        tables: that claims read.
    """

    def __init__(
        self, sources: Mapping[str, Path], tables: Iterable[TableSpec]
    ) -> None:
        super().__init__()
        self._tables = {
            spec.name: PaperTable.load(sources[spec.csv], *spec.keys)
            for spec in tables
            if spec.csv
        }

    def _table(self, item: str) -> PaperTable:
        if item not in self._tables:
            raise NotTestable("the paper prints no numbers for this")
        return self._tables[item]

    def value(self, address: str) -> Decimal:
        self.read.append(address)
        item, row, column = address.split("/")
        text = self._table(item).value(row, column)
        if not text:
            raise NotTestable(f"the paper has no {address}")
        return Decimal(text)

    def rows(self, item: str) -> Iterable[str]:
        return self._table(item).by_id

    def columns(self, item: str, row: str) -> list[str]:
        """Those that are named fd_<steps> or w<scale>."""
        names = self._table(item).by_id[row]
        return [n for n in names if n.startswith("fd_") or n[1:2].isdigit()]


class OurCells(Cells):
    """Our numbers, unrounded, from built tables and from named extra values.

    Args:
        tables: built tables by item.
        extra: numbers under addresses of their own, with the training seeds that
            they are computed from.
        without: what is left out: "seed" or "sampling_seed", and which; "": none.
    """

    def __init__(
        self,
        tables: Mapping[str, Table],
        extra: Mapping[str, tuple[Decimal, frozenset[str]]],
        without: tuple[str, str] = ("seed", ""),
    ) -> None:
        super().__init__()
        self._tables, self._extra, self._without = tables, extra, without

    def value(self, address: str) -> Decimal:
        self.read.append(address)
        if address in self._extra:
            return self._extra[address][0]
        cell = self._cell(address)
        if cell is None:
            raise NotTestable(f"this run has no {address}")
        if cell.kind == "measured":
            number = statistic_of(self._values(cell), cell.statistic, cell.ddof)
            return number.scaleb(cell.exponent)
        if cell.kind == "dash":
            raise NotTestable(f"{address} is a dash ({cell.note})")
        return Decimal(cell.displayed)

    def _cell(self, address: str) -> Cell | None:
        table = self._tables.get(address.split("/")[0])
        return table.cells.get(address) if table else None

    def _values(self, cell: Cell) -> list[Value]:
        field, which = self._without
        return [v for v in cell.values if not (v.seed and getattr(v, field) == which)]

    def seeds_read(self, field: str) -> frozenset[str]:
        found: set[str] = set()
        for address in self.read:
            if address in self._extra:
                found |= self._extra[address][1] if field == "seed" else set()
            elif cell := self._cell(address):
                found |= {getattr(v, field) for v in self._values(cell) if v.seed}
        return frozenset(found - {""})

    def rows(self, item: str) -> Iterable[str]:
        return [line.id for line in self._tables[item].lines]

    def columns(self, item: str, row: str) -> list[str]:
        table, prefix = self._tables.get(item), f"{item}/{row}/"
        cells = table.cells if table else {}
        names = [n.removeprefix(prefix) for n in cells if n.startswith(prefix)]
        if not names:
            raise NotTestable(f"this run has no {item}/{row}")
        return names
