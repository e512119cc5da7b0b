"""A table as data, and its forms: LaTeX, and the sidecar JSON."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from dash_repro.paper.aggregate import Cell
from dash_repro.paper.intervals import interval_fields
from dash_repro.paper.markup import to_tex
from dash_repro.paper.registry import TABLES
from dash_repro.paper.rows import CollectedError


@dataclass(frozen=True)
class Entry:
    """One box of a table: one cell, or several joined ("0.91 / 0.89").

    Attributes:
        cells: printed.
        joiner: between them.
        unprinted: cells that say why they are not there.
        best: addresses of the cells that are the best of their column.
    """

    cells: tuple[Cell, ...]
    joiner: str = " / "
    unprinted: tuple[Cell, ...] = ()
    best: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """What is printed."""
        return self.joiner.join(cell.displayed + cell.mark for cell in self.cells)

    @property
    def tex(self) -> str:
        """The same in LaTeX: each cell links to its account, the best are bold."""
        boxes = []
        for cell in self.cells:
            text = to_tex(cell.displayed + cell.mark)
            text = rf"\textbf{{{text}}}" if cell.address in self.best else text
            boxes.append(rf"\story{{{cell.address}}}{{{text}}}")
        return to_tex(self.joiner).join(boxes)


@dataclass(frozen=True)
class Line:
    """One row: a label and its entries, or (no entries) a heading over the next rows.

    Attributes:
        rule: a line above it.
    """

    id: str
    label: str
    entries: tuple[Entry, ...] = ()
    rule: bool = False

    @classmethod
    def of_cells(
        cls, id: str, label: str, cells: Iterable[Cell], rule: bool = False
    ) -> Line:
        """A row with one cell in each box."""
        return cls(id, label, tuple(Entry((cell,)) for cell in cells), rule)


@dataclass(frozen=True)
class Table:
    """A whole table.

    Attributes:
        item: name under which it is registered.
        caption: what it shows, with the protocol.
        groups: (heading, columns spanned) over the header; empty: no such row.
        header: headings, the first over the labels.
        notes: sentences under the table.
        align: LaTeX column types; "" means one l and then c.
        long: may break over pages.
    """

    item: str
    caption: str
    header: tuple[str, ...]
    lines: tuple[Line, ...]
    groups: tuple[tuple[str, int], ...] = ()
    notes: tuple[str, ...] = ()
    align: str = ""
    long: bool = False
    cells: dict[str, Cell] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        cells: dict[str, Cell] = {}
        for line in self.lines:
            if line.entries and len(line.entries) != len(self.header) - 1:
                raise ValueError(f"{self.item}/{line.id}: {len(line.entries)} entries")
            for entry in line.entries:
                texts = [cell.displayed.strip() for cell in entry.cells]
                if not texts or not all(texts):
                    raise CollectedError(
                        "an empty cell",
                        f"{self.item}/{line.id}",
                        "a number is missing: collect again",
                    )
                for cell in (*entry.cells, *entry.unprinted):
                    if cell.address in cells:
                        raise ValueError(f"two cells are called {cell.address}")
                    cells[cell.address] = cell
        object.__setattr__(self, "cells", cells)

    @property
    def label(self) -> str:
        """Printed name: "Table 3"."""
        return TABLES[self.item].label


def to_latex(table: Table) -> str:
    """A table with booktabs rules; long ones break over pages.

    Its macros are those of paper/main.tex: a table too wide for the page is turned, and
    a note is printed where it comes first.
    """
    columns = len(table.header)
    align = table.align or "l" + "c" * (columns - 1)
    head = _group_lines(table.groups) if table.groups else []
    head.append(" & ".join(to_tex(text) for text in table.header) + r" \\")
    body: list[str] = []
    for line in table.lines:
        if line.rule:
            body.append(r"\midrule")
        if line.entries:
            boxes = [to_tex(line.label), *(entry.tex for entry in line.entries)]
            body.append(" & ".join(boxes) + r" \\")
        else:
            heading = rf"\textit{{{to_tex(line.label)}}}"
            body.append(rf"\multicolumn{{{columns}}}{{l}}{{{heading}}} \\")
    top, notes = [r"\toprule", *head, r"\midrule"], map(to_tex, table.notes)
    caption = rf"\textbf{{{table.label}.}} {to_tex(table.caption)}"
    if table.long:
        parts = [
            rf"{{\footnotesize\begin{{longtable}}{{{align}}}",
            rf"\caption*{{{caption}}}\\",
            *(*top, r"\endfirsthead", *top, r"\endhead"),
            *(*body, r"\bottomrule", r"\end{longtable}"),
            *(rf"{note}\par" for note in notes),
            "}",
        ]
    else:
        parts = [
            r"\begin{lrbox}{\tablebox}\small",
            rf"\begin{{tabular}}{{{align}}}",
            *(*top, *body, r"\bottomrule", r"\end{tabular}", r"\end{lrbox}"),
            rf"\begin{{papertable}}{{{table.item}}}{{{table.label}}}",
            rf"\caption*{{{caption}}}",
            r"\printtable",
            *(rf"\tablenote{{{note}}}" for note in notes),
            r"\end{papertable}",
        ]
    comment = f"% {table.item}: generated by make_table from results; do not edit."
    return "\n".join([comment, *parts, ""])


def _group_lines(groups: Sequence[tuple[str, int]]) -> list[str]:
    boxes, rules, start = [], [], 1
    for text, span in groups:
        boxes.append(rf"\multicolumn{{{span}}}{{c}}{{{to_tex(text)}}}")
        if text:
            rules.append(rf"\cmidrule(lr){{{start}-{start + span - 1}}}")
        start += span
    return [" & ".join(boxes) + r" \\", "".join(rules)]


def to_sidecar(table: Table) -> dict[str, Any]:
    """The table as plain data: its text box by box, and every cell by address."""
    return {
        "item": table.item,
        "name": table.label,
        "caption": table.caption,
        "groups": [list(group) for group in table.groups],
        "header": list(table.header),
        "notes": list(table.notes),
        "lines": [
            {
                "id": line.id,
                "label": line.label,
                "rule": line.rule,
                "entries": [
                    {
                        "text": entry.text,
                        "joiner": entry.joiner,
                        "cells": [cell.address for cell in entry.cells],
                        "best": list(entry.best),
                    }
                    for entry in line.entries
                ],
            }
            for line in table.lines
        ],
        "cells": {
            address: {**asdict(cell), **interval_fields(cell)}
            for address, cell in table.cells.items()
        },
    }
