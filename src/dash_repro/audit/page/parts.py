"""Sections of the page: tables, figures, claims, the paper's numbers, cost."""

from __future__ import annotations

import base64
from collections import Counter
from functools import partial
from io import BytesIO
from pathlib import Path

from markupsafe import Markup
from PIL import Image

from dash_repro.arrays import read_json
from dash_repro.audit.audit import Audit
from dash_repro.audit.page import macros
from dash_repro.paper import web
from dash_repro.paper.items import ITEMS
from dash_repro.paper.registry import Section
from dash_repro.paper.verdicts import VERDICTS
from runledger import span
from runledger.audit import costs_by_stage, draw_stages

COLORS = 32  # of a picture on the page; its files have all


def section(audit: Audit, part: Section) -> Markup:
    """Tables and figures of one section of the paper, each cell a button."""
    names = [name for name, spec in ITEMS.items() if spec.section == part]
    sidecars = audit.evidence.sidecars
    tables = [
        macros().claims(sidecars[name]) if name == "claims" else table(audit, name)
        for name in names
        if name in sidecars
    ]
    figures = [_figure(audit, n) for n in names if n in audit.evidence.figures]
    if figures:
        figures = [Markup('<div class="figures">'), *figures, Markup("</div>")]
    return Markup("").join([*tables, *figures])


def table(audit: Audit, item: str) -> Markup:
    """A table whose cells are buttons."""
    return web.table(audit.evidence.sidecars[item], partial(macros().box, audit))


def _figure(audit: Audit, item: str) -> Markup:
    """One figure, embedded, with its caption."""
    folder = audit.evidence.root / "results" / "figures"
    path, caption = folder / f"{item}.png", folder / f"{item}.json"
    picture = _smaller(path) if path.is_file() else ""
    data = read_json(caption)["data"] if caption.is_file() else ""
    runs = len(audit.taint.closure(item))
    return macros().figure(ITEMS[item], picture, data, audit.status(item), runs)


def _smaller(path: Path) -> str:
    """A picture in a quarter of its PNG's bytes: in COLORS colours, as WebP."""
    data = BytesIO()
    with Image.open(path) as image:
        few = image.convert("RGB").quantize(COLORS, dither=Image.Dither.NONE)
        few.convert("RGB").save(data, "WEBP", lossless=True, method=6)
    return base64.b64encode(data.getvalue()).decode("ascii")


def against(audit: Audit) -> Markup:
    """The paper's CSVs, every value beside ours."""
    tables = []
    for item, found in audit.compared.items():
        lines = audit.evidence.sidecars[item]["lines"]
        labels = {line["id"]: line["label"] for line in lines}
        tables.append(macros().against(ITEMS[item].label, found, labels))
    return macros().all_against(Markup("").join(tables))


def counted_claims(audit: Audit) -> str:
    """How many claims came out how on this run; "" without claims."""
    cells = audit.evidence.sidecars.get("claims", {}).get("cells", {})
    found = Counter(
        cell["displayed"]
        for address, cell in cells.items()
        if address.endswith("/ours_verdict")
    )
    return ", ".join(f"{found[name]} {name}" for name in VERDICTS) if found else ""


def runs(audit: Audit) -> Markup:
    """The stages as a picture; runs, hours and devices by stage."""
    chain = audit.evidence.chain
    doubt = {name for finding in audit.objections for name in finding.instances}
    spent = costs_by_stage(chain)
    most = max((one.hours for name, one in spent.items() if name != "all"), default=0)
    costs = macros().costs(spent, most, span)
    return macros().runs(Markup(draw_stages(chain, doubt)), costs)
