"""Tables B3 and B4: Tables 3 and 4 with standard deviations."""

from __future__ import annotations

from collections.abc import Sequence

from dash_repro.paper.aggregate import units
from dash_repro.paper.bounds import BOUNDS
from dash_repro.paper.context import (
    COLUMN_METRICS,
    Context,
    PaperTable,
    dash,
    protocol,
    value_of,
)
from dash_repro.paper.names import metric_name, model_name
from dash_repro.paper.needs import TEACHER
from dash_repro.paper.quality import quality_header
from dash_repro.paper.rows import Row
from dash_repro.paper.table import Entry, Line, Table
from dash_repro.paper.tables_main import all_notes, group_heads


def _spread_entry(
    context: Context,
    row: str,
    name: str,
    rows: list[Row],
    paper: PaperTable,
    kilo: bool,
) -> Entry:
    """mean ± std; a dash for the spread of a single seed."""
    decimals, shift = context.settings["decimals"], 3 if kilo else 0
    about = {"exponent": shift, "unit": "10^-3" if kilo else ""}
    mean_cell = context.measured(
        f"{row}/{name}", rows, decimals, paper=paper.value(row, name), **about
    )
    address, printed_std = f"{row}/{name}_std", paper.value(row, f"{name}_std")
    if len(units([value_of(row) for row in rows])) <= context.settings["ddof"]:
        spread = dash(
            f"{context.item}/{address}", "a single value has no spread", printed_std
        )
    else:
        spread = context.measured(
            address, rows, decimals, statistic="std", paper=printed_std, **about
        )
    return Entry((mean_cell, spread), " ± ")


def _spread_table(
    context: Context,
    experiment: str,
    models: Sequence[tuple[str, str]],
    paper: PaperTable,
    title: str,
) -> Table:
    """Mean and spread of every quality metric, KID beside a stand-in distance."""
    block = context.param(f"experiments.{experiment}")
    datasets, width = block["datasets"], block["width"]
    standin = {row.name for row in context.collected.find("frechet")} - {"FID"}
    columns = ["fid", "is", *(["kid"] if standin else [])]
    lines = []
    for row, model in models:
        entries = []
        for dataset in datasets:
            for column in columns:
                place = (experiment, dataset, model)
                at = None if model == TEACHER else width
                rows = context.metric(COLUMN_METRICS[column], *place, at)
                name = f"{dataset}_{column}"
                kilo = column == "kid"
                entries.append(_spread_entry(context, row, name, rows, paper, kilo))
        lines.append(Line(row, model_name(row), tuple(entries)))
    lines += _bound_lines(context, datasets, columns)
    heads = _spread_header(context, datasets, bool(standin))
    ddof = context.settings["ddof"]
    spread = f" Spread: standard deviation over seeds or subsets, ddof {ddof}."
    return Table(
        context.item,
        f"{title} {protocol(context, experiment)}{spread}",
        ("Model", *heads),
        tuple(lines),
        tuple(group_heads(1, datasets, len(columns))),
        tuple(all_notes(context, datasets, block["students"])),
    )


def _bound_lines(
    context: Context, datasets: Sequence[str], columns: Sequence[str]
) -> list[Line]:
    """Mean and spread of every bound over its sets."""
    lines = []
    for bound, label in BOUNDS.items():
        entries = []
        for dataset in datasets:
            for column in columns:
                rows = context.bound(bound, COLUMN_METRICS[column], dataset)
                about = (f"{dataset}_{column}", rows, PaperTable({}), column == "kid")
                entries.append(_spread_entry(context, f"bound_{bound}", *about))
        lines.append(Line(f"bound_{bound}", label, tuple(entries), rule=not lines))
    return lines


def _spread_header(
    context: Context, datasets: Sequence[str], standin: bool
) -> list[str]:
    heads = quality_header(context, datasets[:1])
    if standin:
        names = sorted({metric_name(row.name) for row in context.collected.find("kid")})
        heads.append(f"{' or '.join(names)} (×10^{{−3}}) ↓")
    return heads * len(datasets)


def table_b3(context: Context) -> Table:
    """Table B3: Table 3's quality with standard deviations."""
    paper = context.source("table3_main.csv", "model")
    students = context.param("experiments.table3.students")
    models = [("teacher", TEACHER), *((name, name) for name in students)]
    title = "Main results with their spread."
    return _spread_table(context, "table3", models, paper, title)


def table_b4(context: Context) -> Table:
    """Table B4: Table 4's quality with standard deviations."""
    paper = context.source("table4_ablation.csv", "configuration")
    models = [(name, name) for name in context.param("experiments.table4.students")]
    return _spread_table(context, "table4", models, paper, "Ablation with its spread.")
