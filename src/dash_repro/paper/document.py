"""The whole paper as one HTML page; as a PDF it is in `pdf`."""

from __future__ import annotations

import base64
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from dash_repro.arrays import read_json
from dash_repro.paper import web
from dash_repro.paper.markup import to_html, to_plain
from runledger.errors import UserError
from runledger.yamlfile import load_yaml

Contents = Sequence[Mapping[str, Any]]


def load_contents(path: Path) -> Contents:
    """Sections with their items, as paper/contents.yaml lists them.

    Returns:
        [{"section": title, "items": [{"item", "kind", "label", "title", of figures
        "caption", "share", "wide" and "panel"}]}], as dash_repro.paper.items.contents.
    """
    return load_yaml(path)


def build_page(
    tables: Sequence[Path], figures: Sequence[Path], contents: Contents, scale: str
) -> str:
    """One self-contained HTML page with every table and figure, in the paper's order.

    Args:
        tables: sidecar JSON files of make_table.
        figures: .png files of plot_figure.
        contents: see `load_contents`.
        scale: "paper", "demo" or "own".

    Raises:
        UserError: a file of an item that no section shows.
    """
    sidecars = {path.stem: read_json(path) for path in tables}
    pictures = {path.stem: path for path in figures}
    listed = {entry["item"] for part in contents for entry in part["items"]}
    shown = {*sidecars, *pictures}
    lost = sorted(shown - listed)
    if lost:
        raise UserError(
            f"no section shows {lost}",
            "paper/contents.yaml",
            "run `make plan`, which writes it from the registered items",
        )
    parts = [_part(part, sidecars, pictures) for part in present(contents, shown)]
    return web.render(
        "paper.html",
        style=web.style(),
        nav=[(part["id"], part["title"]) for part in parts],
        demo=DEMO if scale == "demo" else "",
        own=OWN if scale == "own" else "",
        parts=parts,
    )


def present(contents: Contents, items: Collection[str]) -> list[dict[str, Any]]:
    """The contents without the items that a run has not made, and empty sections."""
    parts = [
        {**part, "items": [entry for entry in part["items"] if entry["item"] in items]}
        for part in contents
    ]
    return [part for part in parts if part["items"]]


def _part(
    part: Mapping[str, Any],
    sidecars: Mapping[str, Any],
    pictures: Mapping[str, Path],
) -> dict[str, Any]:
    """One section for the template."""
    items, title = part["items"], part["section"]
    names = [entry["item"] for entry in items]
    return {
        "id": title.partition(":")[0].lower().replace(" ", "-"),
        "title": title,
        "tables": [to_page(sidecars[name]) for name in names if name in sidecars],
        "figures": [
            {"wide": False, **entry, "data": _base64(pictures[entry["item"]])}
            for entry in items
            if entry["item"] in pictures
        ],
    }


def _base64(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode("ascii")


def to_page(sidecar: Mapping[str, Any]) -> Markup:
    """HTML of a table whose cells carry their addresses."""

    def box(entry: Mapping[str, Any]) -> Markup:
        title = to_plain("; ".join(_titles(entry["cells"], sidecar["cells"])))
        text = Markup(to_html(entry["text"]))
        return Markup('<td id="{}" title="{}">{}</td>').format(
            entry["cells"][0], title, text
        )

    return web.table(sidecar, box)


def _titles(addresses: Iterable[str], cells: Mapping[str, Any]) -> Iterator[str]:
    for address in addresses:
        record = cells[address]
        paper = f", paper {record['paper']}" if record["paper"] else ""
        note = f" ({record['note']})" if record["note"] else ""
        yield f"{address}: {record['displayed']}{paper}{note}"


DEMO = (
    "Demo: a small run on other data or settings. It shows that the pipeline works; "
    "its numbers say nothing about the paper."
)
OWN = (
    "A run on own data, with own settings, of the method of the paper DASH: "
    "Dual-Branch Score Distillation for Guidance-Calibrated Compact Diffusion Models "
    "(arXiv:2606.00798v1). Tables and figures are numbered as they are there. Nothing "
    "here is compared with the paper. Columns are named for the metric that was "
    "computed."
)
