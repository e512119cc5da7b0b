"""Writes results/report.html: the paper and its audit, as one page and as a PDF."""

from __future__ import annotations

import base64
import gzip
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from dash_repro.audit.account import (
    cell_account,
    paper_text,
    regenerate_with,
    run_account,
)
from dash_repro.audit.audit import Audit
from dash_repro.audit.page import FOLDER, macros, parts
from dash_repro.paper import web
from dash_repro.paper.pdf import OWN, build_pdf, load_contents, unusable
from dash_repro.paper.registry import Section
from dash_repro.paper.scale import mark
from runledger import digest, write_atomic

AUDITED = {  # sections behind those of the paper
    "findings": "Findings of the audit",
    "against": "Paper against ours",
    "runs": "Runs and cost",
}


def write_report(audit: Audit, path: Path) -> list[Path]:
    """Write the page and, where there is LaTeX, the PDF beside it.

    Returns:
        the files that were written.
    """
    write_atomic(path, build(audit))
    root, pdf = audit.evidence.root, path.with_suffix(".pdf")
    if unusable(root):
        return [path]
    paper, results = root / "paper", root / "results"
    figures = [results / f"figures/{name}.pdf" for name in audit.evidence.figures]
    figures += [path.with_suffix(".json") for path in figures]
    tables = [results / f"tables/{name}.tex" for name in audit.evidence.sidecars]
    build_pdf(
        paper / "main.tex",
        load_contents(paper / "contents.yaml"),
        [path for path in tables if path.is_file()],
        [path for path in figures if path.is_file()],
        pdf,
        audit.evidence.params["scale"],
        about_text(audit),
    )
    return [path, pdf]


def about_text(audit: Audit) -> str:
    """What the PDF says of its audit, in one sentence."""
    about = ", ".join(f"{what} {which}" for what, which in identity(audit).items())
    found = verdict(audit.to_dict()["counts"])
    return f"{about[0].upper()}{about[1:]}: {found[0].lower()}{found[1:]}."


def account_data(audit: Audit) -> dict[str, Any]:
    """Accounts of all cells and runs; each run once, by its number."""
    chain = audit.evidence.chain
    number = {name: index for index, name in enumerate(chain.instances)}
    cells: dict[str, Any] = {}
    for address in audit.evidence.cells:
        known = cell_account(audit, address)
        known["run_names"] = [number[name] for name in known["run_names"]]
        if known["regenerate"]:
            known["regenerate"].pop("command")
        known["paper_text"] = paper_text(known["paper"])
        known["paper"] = (known["paper"] or {}).get("paper", "")
        cells[address] = known
    runs = [run_account(audit, name) for name in chain.instances]
    return {
        "about": identity(audit),
        "again": regenerate_with(audit),
        "cells": cells,
        "runs": runs,
    }


def packed(data: Any) -> str:
    """JSON for page.js, each repeated text once: gzip in base64."""
    counts: Counter[str] = Counter(_texts(data))
    often = [text for text, count in counts.items() if count > 1 and len(text) > 8]
    often += [text for text in counts if text.startswith("~") and text not in often]
    number = {text: f"~{np.base_repr(i, 36).lower()}" for i, text in enumerate(often)}
    text = json.dumps([often, _numbered(data, number)], separators=(",", ":")).encode()
    return base64.b64encode(gzip.compress(text, mtime=0)).decode("ascii")


def _texts(data: Any) -> Iterator[str]:
    if isinstance(data, str):
        yield data
    elif isinstance(data, Mapping | list | tuple):
        for part in data.values() if isinstance(data, Mapping) else data:
            yield from _texts(part)


def _numbered(data: Any, number: Mapping[str, str]) -> Any:
    if isinstance(data, str):
        return number.get(data, data)
    if isinstance(data, Mapping):
        return {key: _numbered(part, number) for key, part in data.items()}
    if isinstance(data, list | tuple):
        return [_numbered(part, number) for part in data]
    return data


def build(audit: Audit) -> str:
    """The whole page as text."""
    data, params = audit.to_dict(), audit.evidence.params
    counts = data["counts"]
    inside = {
        "findings": macros().findings(audit.groups, audit.evidence.cells),
        "against": parts.against(audit),
        "runs": parts.runs(audit),
    }
    own = params["scale"] == "own"
    if own:
        del inside["against"]
    sections = [
        (part.name.lower().replace("_", "-"), part.value, text)
        for part in Section
        if not (own and part == Section.CLAIMS) and (text := parts.section(audit, part))
    ]
    sections += [(name, AUDITED[name], text) for name, text in inside.items()]
    main = web.render("report_main.html", legend=macros().legend(), sections=sections)
    return web.render(
        "report.html",
        style=web.style(),
        script=Markup((FOLDER / "page.js").read_text(encoding="utf-8")),
        data=packed({"main": main, **account_data(audit)}),
        banner=macros().banner(counts, verdict(counts), parts.counted_claims(audit)),
        facts=macros().facts(identity(audit), data),
        scale=mark(params["scale"]).page,
        own=OWN if own else "",
        sections=[(name, title) for name, title, _ in sections],
    )


def identity(audit: Audit) -> dict[str, str]:
    """What one quotes: when it was audited, the commit, the digest of params.yaml."""
    return {
        "audited": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "commit": audit.head or "no git",
        "params": digest(audit.evidence.params)[:12],
    }


def verdict(counts: dict[str, int]) -> str:
    """What the audit found, in one line."""
    bad, notices = (
        f"{counts[kind]} {kind}{'s' * (counts[kind] != 1)}"
        for kind in ("objection", "notice")
    )
    result = bad if counts["objection"] else "Nothing to object to"
    return f"{result}; {counts['not checked']} not checked, {notices}"
