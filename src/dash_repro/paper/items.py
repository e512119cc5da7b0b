"""Every table and figure of the paper, in its order.

The plan expands these into instances, and pages and lists are made from them. Imports
nothing heavy: the Snakefile reads this while it is parsed.
"""

from __future__ import annotations

from typing import Any

from dash_repro.paper.figures import FIGURES
from dash_repro.paper.registry import FigureSpec, TableSpec, in_order
from dash_repro.paper.tables import TABLES

ITEMS: dict[str, TableSpec | FigureSpec] = in_order({**TABLES, **FIGURES})


def contents() -> list[dict[str, Any]]:
    """What the pages show, section by section: paper/contents.yaml."""
    sections: dict[str, list[dict[str, Any]]] = {}
    for name, spec in ITEMS.items():
        entry: dict[str, Any] = {"item": name, "kind": spec.kind, "label": spec.label}
        entry["title"] = spec.title
        if isinstance(spec, FigureSpec):
            entry["share"] = spec.share
            entry |= {"wide": True} if spec.wide else {}
            entry |= {"panel": spec.panel} if spec.panel else {}
        sections.setdefault(spec.section.value, []).append(entry)
    return [{"section": title, "items": items} for title, items in sections.items()]
