"""Writes results/report.html: self-contained, offline, every cell opens its account."""

from __future__ import annotations

import html
import json
from pathlib import Path
from typing import Any

from markupsafe import Markup

from dash_repro.audit.account import cell_account, paper_text, run_account
from dash_repro.audit.audit import Audit
from dash_repro.audit.page import dag, parts
from dash_repro.paper import web
from runledger.audit.history import git
from runledger.canonical import write_atomic

FOLDER = Path(__file__).parent / "page"
NAV = (
    ("findings", "Findings"),
    ("tables", "Tables"),
    ("figures", "Figures"),
    ("samples", "Samples"),
    ("against", "Paper against ours"),
    ("claims", "Claims"),
    ("runs", "Runs and cost"),
)
DEMO = (
    "Demo scale: a small run on other data. It shows that the pipeline works; its "
    "numbers say nothing about the paper."
)
LEGEND = (
    ("ok", "recomputed, its chain is whole"),
    ("notice", "something to know"),
    ("not checked", "bytes not here"),
    ("objection", "do not trust"),
)


def write_report(audit: Audit, path: Path) -> None:
    """Write the page."""
    write_atomic(path, build(audit))


def account_data(audit: Audit) -> str:
    """Accounts of all cells and runs as JSON; runs are told once and numbered."""
    chain = audit.evidence.chain
    number = {name: index for index, name in enumerate(chain.instances)}
    cells: dict[str, Any] = {}
    for address in audit.evidence.cells:
        known = cell_account(audit, address)
        known["run_names"] = [number[name] for name in known["run_names"]]
        known["paper_text"] = paper_text(known.pop("paper"))
        cells[address] = known
    runs = [run_account(audit, name) for name in chain.instances]
    return embedded({"cells": cells, "runs": runs})


def embedded(data: Any) -> str:
    """JSON for a <script> element: no text of it can end or comment the element."""
    return json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")


def build(audit: Audit) -> str:
    """The whole page as text."""
    data, params = audit.to_dict(), audit.evidence.params
    compared = {one.address: one for found in audit.compared.values() for one in found}
    head = (git(audit.evidence.root, "rev-parse", "HEAD") or b"").decode()[:12]
    sections = {
        "findings": parts.findings(audit),
        "tables": _legend() + parts.tables(audit, compared),
        "figures": parts.figures(audit, grids=False),
        "samples": parts.figures(audit, grids=True),
        "against": f"<p>{AGAINST}</p>" + parts.against(audit.compared),
        "claims": f"<p>{CLAIMS}</p>" + parts.claims(audit),
        "runs": f"<p>{RUNS}</p>"
        f'<div class="scroll" tabindex="0" role="region" aria-label="Stages">'
        f"{dag.draw(audit)}</div>{parts.costs(audit)}",
    }
    if params["scale"] == "own":
        del sections["against"], sections["claims"]
    return web.render(
        "report.html",
        style=web.style(),
        script=Markup((FOLDER / "page.js").read_text(encoding="utf-8")),
        data=Markup(account_data(audit)),
        banner=Markup(_banner(data["counts"])),
        facts=Markup(_facts(data, head)),
        demo=DEMO if params["scale"] == "demo" else "",
        nav=[entry for entry in NAV if entry[0] in sections],
        sections={name: Markup(text) for name, text in sections.items()},
    )


def _banner(counts: dict[str, int]) -> str:
    bad = counts["objection"]
    said = f"{bad} objections" if bad else "Nothing to object to"
    rest = f"{counts['not checked']} not checked, {counts['notice']} notices"
    return f'<p class="banner {"s-objection" if bad else "s-ok"}">{said}; {rest}</p>'


def _facts(data: dict[str, Any], head: str) -> str:
    pairs = (
        (str(data["measured"]), "measured cells recomputed"),
        (str(data["cells"]), "cells"),
        (str(data["tables"]), "tables"),
        (str(data["instances"]), "runs"),
        (head or "no git", "HEAD"),
    )
    return parts.facts(pairs)


def _legend() -> str:
    chips = "".join(
        f"<span>{parts.chip(status)} {html.escape(text)}</span>"
        for status, text in LEGEND
    )
    return (
        f'<div class="legend">{chips}<span class="screen">Click a number for its '
        "whole account.</span></div><p class='note'>Under a number: the paper’s value; "
        "Δ, ours less the paper’s, in units of the seeds’ spread s; n.c., not "
        "comparable (the account says why).</p>"
    )


AGAINST = (
    "Every value of the paper’s tables beside ours. A difference is given only where "
    "the protocol is the paper’s; otherwise the reason why not."
)
CLAIMS = (
    "Each claim of the paper’s text, evaluated by the same formula on the paper’s own "
    "tables and on this run’s."
)
RUNS = (
    "The stages and how many of their runs are valid. An arrow that follows from "
    "others is left out. Times are wall time, shared out among runs of one process."
)
