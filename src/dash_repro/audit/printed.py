"""The paper's own values, from its CSVs."""

from __future__ import annotations

import csv
from collections.abc import Iterator

from dash_repro.audit.evidence import Evidence, Json, objection
from dash_repro.audit.expected import LAYOUTS
from runledger.audit import Finding

# items whose cells the paper prints, too
PAPER = {item: layout for item, layout in LAYOUTS.items() if layout.csv}


def paper_values(evidence: Evidence, item: str) -> dict[tuple[str, str], str]:
    """{(row, column): text} of the paper's CSV behind an item."""
    if item not in PAPER:
        return {}
    keys = PAPER[item].keys
    try:
        path = evidence.root / "paper" / "tables" / PAPER[item].csv
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


def is_own(evidence: Evidence) -> bool:
    """Whether this run shows nothing of the paper."""
    return evidence.params["scale"] == "own"


def check_paper(evidence: Evidence, item: str, sidecar: Json) -> Iterator[Finding]:
    """The paper's values shown beside ours are those of its CSV."""
    values = {} if is_own(evidence) else paper_values(evidence, item)
    if not values and not is_own(evidence):
        return
    for address, cell in sidecar["cells"].items():
        _, row, column = address.split("/")
        printed = values.get((row, column.removeprefix("readme_")), "")
        if cell["paper"] != printed:
            given, known = cell["paper"] or "none", printed or "none"
            detail = f"the paper's value is given as {given}, its CSV says {known}"
            yield objection("wrong paper value", address, detail)
