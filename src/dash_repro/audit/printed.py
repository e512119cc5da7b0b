"""The paper's own values, from its CSVs."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from typing import Any

from dash_repro.audit.evidence import Evidence
from runledger.audit.chain import OBJECTION, Finding

PAPER = {  # item -> the paper's CSV and the columns that name its rows
    "table2": ("table2_teacher_ablation.csv", ("method",)),
    "table3": ("table3_main.csv", ("model",)),
    "table4": ("table4_ablation.csv", ("configuration",)),
    "tableB3": ("table3_main.csv", ("model",)),
    "tableB4": ("table4_ablation.csv", ("configuration",)),
    "tableC5": ("tableC5_steps.csv", ("dataset", "model")),
    "tableC6": ("tableC6_width.csv", ("config", "width")),
    "tableC7": ("tableC7_guidance.csv", ("model",)),
    "tableS1": ("released_code_efficiency.csv", ("metric",)),
}


def paper_values(evidence: Evidence, item: str) -> dict[tuple[str, str], str]:
    """{(row, column): text} of the paper's CSV behind an item."""
    if item not in PAPER:
        return {}
    name, keys = PAPER[item]
    try:
        path = evidence.root / "paper" / "tables" / name
        with open(path, newline="", encoding="utf-8") as file:
            lines = list(csv.DictReader(file))
    except OSError:
        return {}
    return {
        ("_".join(line[key] for key in keys), column): text
        for line in lines
        for column, text in line.items()
        if column not in keys and text
    }


def check_paper(
    evidence: Evidence, item: str, sidecar: Mapping[str, Any]
) -> Iterator[Finding]:
    """The paper's values shown beside ours are those of its CSV."""
    values = paper_values(evidence, item)
    if not values:
        return
    for address, cell in sidecar["cells"].items():
        _, row, column = address.split("/")
        said = values.get((row, column.removeprefix("readme_")), "")
        if cell["paper"] and cell["paper"] != said:
            detail = (
                f"the paper's value is given as {cell['paper']}, its CSV says {said}"
            )
            yield Finding(
                OBJECTION, "wrong paper value", address, detail, cells=(address,)
            )
