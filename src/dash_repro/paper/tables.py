"""Every table by item: from collected rows to .tex and sidecar JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from dash_repro.arrays import write_json
from dash_repro.paper.claims_table import claims
from dash_repro.paper.context import Context
from dash_repro.paper.rows import read_rows
from dash_repro.paper.table import Table, to_latex, to_sidecar
from dash_repro.paper.tables_efficiency import table_s1
from dash_repro.paper.tables_extended import anchor, table_c5, table_c6, table_c7
from dash_repro.paper.tables_main import table2, table3, table4
from dash_repro.paper.tables_spread import table_b3, table_b4
from dash_repro.paper.tables_static import table1, table_a1, table_a2

BUILDERS: dict[str, Callable[[Context], Table]] = {
    "table1": table1,
    "table2": table2,
    "table3": table3,
    "table4": table4,
    "tableA1": table_a1,
    "tableA2": table_a2,
    "tableB3": table_b3,
    "tableB4": table_b4,
    "tableC5": table_c5,
    "tableC6": table_c6,
    "tableC7": table_c7,
    "anchor": anchor,
    "tableS1": table_s1,
    "claims": claims,
}


def make_table(
    item: str,
    collected: Path,
    sources: Sequence[Path],
    scale: str,
    settings: Mapping[str, Any],
    tex: Path,
    sidecar: Path,
    allow_missing: bool = False,
) -> Table:
    """Build one table and write its two files.

    Args:
        item: a table of ITEMS.
        collected: CSV of collect_results.
        sources: files in git that it reads (the paper's CSVs, claims.yaml).
        scale: "paper" or "demo".
        settings: section make_table of params.yaml.
        tex, sidecar: files to write.
        allow_missing: show a dash for a number that is not there.

    Raises:
        CollectedError: a number is missing or there twice.
    """
    by_name = {path.name: path for path in sources}
    rows = read_rows(collected)
    context = Context(item, rows, settings, scale, by_name, allow_missing)
    table = BUILDERS[item](context)
    tex.write_text(to_latex(table), encoding="utf-8")
    write_json(sidecar, to_sidecar(table))
    return table
