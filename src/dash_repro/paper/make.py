"""From collected rows to the two files of a table: .tex and sidecar JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dash_repro.arrays import write_json
from dash_repro.paper.context import Context
from dash_repro.paper.rows import read_rows
from dash_repro.paper.table import Table, to_latex, to_sidecar
from dash_repro.paper.tables import TABLES


def make_table(
    item: str,
    collected: Path,
    sources: Sequence[Path],
    scale: str,
    settings: Mapping[str, Any],
    tex: Path,
    sidecar: Path,
) -> Table:
    """Build one table and write its two files.

    Args:
        item: a registered table.
        collected: CSV of collect_results.
        sources: files in git that it reads (the paper's CSVs, claims.yaml).
        scale: as in params.yaml.
        settings: section make_table of params.yaml.
        tex, sidecar: files to write.

    Raises:
        CollectedError: a number is missing or there twice.
    """
    by_name = {path.name: path for path in sources}
    rows = read_rows(collected)
    context = Context(item, rows, settings, scale, by_name)
    table = TABLES[item].table(context)
    tex.write_text(to_latex(table), encoding="utf-8")
    write_json(sidecar, to_sidecar(table))
    return table
