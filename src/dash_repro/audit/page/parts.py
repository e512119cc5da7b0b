"""Sections of the page: tables, figures, claims, the paper's numbers, cost."""

from __future__ import annotations

import base64
import html
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

from markupsafe import Markup
from PIL import Image

from dash_repro.arrays import read_json
from dash_repro.audit.audit import TRACED, Audit
from dash_repro.audit.compare import Comparison
from dash_repro.audit.taint import short
from dash_repro.paper import web
from dash_repro.paper.items import ITEMS
from dash_repro.paper.markup import to_html, to_plain
from dash_repro.paper.registry import Section
from dash_repro.paper.verdicts import VERDICTS
from runledger import span
from runledger.audit import cost, costs_by_stage

escape = html.escape
COLORS = 32  # of a picture on the page; its files have all


def css(status: str) -> str:
    """The CSS class of a status."""
    return "s-" + status.replace("not checked", "unchecked")


def chip(status: str) -> str:
    """HTML of a status: a small coloured word."""
    return f'<span class="chip {css(status)}">{escape(status)}</span>'


def findings(audit: Audit) -> str:
    """Everything found, gravest first."""
    groups: dict[tuple[str, str], list[Any]] = {}
    for finding in audit.findings:
        groups.setdefault((finding.level, finding.kind), []).append(finding)
    if not groups:
        return "<p>Nothing was found.</p>"
    everything, parts = list(audit.evidence.cells), []
    for (level, kind), found in groups.items():
        open_ = " open" if level == "objection" else ""
        lines = "".join(_finding(finding, everything) for finding in found[:200])
        parts.append(
            f"<details{open_}><summary>{chip(level)} {escape(kind)} ({len(found)})"
            f"</summary>{lines}</details>"
        )
    return "".join(parts)


def _finding(finding: Any, everything: Sequence[str]) -> str:
    taints = ""
    if finding.cells:
        listed = escape(short(finding.cells, everything))
        taints = f"<br><span class='soft'>taints {len(finding.cells)}: {listed}</span>"
    subject = f"<code>{escape(finding.subject)}</code>"
    return (
        f'<p class="finding {css(finding.level)}">{subject} '
        f"{escape(finding.detail)}{taints}</p>"
    )


def section(audit: Audit, compared: Mapping[str, Comparison], part: Section) -> str:
    """Tables and figures of one section of the paper, each cell a button."""
    names = [name for name, spec in ITEMS.items() if spec.section == part]
    shown = [name for name in names if name in audit.evidence.sidecars]
    tables = [
        claims(audit) if name == "claims" else table(audit, name, compared)
        for name in shown
    ]
    figures = [_figure(audit, n) for n in names if n in audit.evidence.figures]
    grid = f'<div class="figures">{"".join(figures)}</div>' if figures else ""
    return "".join(tables) + grid


def table(audit: Audit, item: str, compared: Mapping[str, Comparison]) -> str:
    def box(entry: Mapping[str, Any]) -> Markup:
        between = f'<span class="and">{escape(entry["joiner"].strip())}</span>'
        buttons = [
            button(audit, address, compared, address in entry["best"])
            for address in entry["cells"]
        ]
        return Markup(f"<td>{between.join(buttons)}</td>")

    return web.table(audit.evidence.sidecars[item], box)


def button(
    audit: Audit, address: str, compared: Mapping[str, Comparison], best: bool
) -> str:
    """One cell: its number, its status, the paper's value under it."""
    cell = audit.evidence.cells[address]
    status, measured = audit.status(address), cell["kind"] == "measured"
    name = css(status) if measured or status != TRACED else "plain"
    under = ""
    found = compared.get(address)
    if found is not None and measured:
        says = f"Δ {found.difference}" if found.difference else "n.c."
        spreads = f", {found.spreads} s" if found.spreads else ""
        under = f'<span class="p">{to_html(f"{found.paper}, {says}{spreads}")}</span>'
    elif cell["paper"] and measured:
        under = f'<span class="p">{to_html(cell["paper"])}</span>'
    shown = to_html(cell["displayed"] + cell["mark"])
    shown = f"<b>{shown}</b>" if best else shown
    label = to_plain(f"{address}: {cell['displayed']}, {status}")
    return (
        f'<button class="{name}" data-cell="{escape(address)}" '
        f'aria-label="{escape(label)}">{shown}{under}</button>'
    )


def _figure(audit: Audit, item: str) -> str:
    """One figure, embedded, with its caption."""
    spec, folder = ITEMS[item], audit.evidence.root / "results" / "figures"
    status = audit.statuses.get(item, TRACED)
    title = f"{spec.label}. {spec.title}"
    wide = ' class="wide"' if spec.wide else ""
    path, told = folder / f"{item}.png", folder / f"{item}.json"
    if path.is_file():
        picture = (
            f'<img loading="lazy" alt="{escape(title)}" '
            f'src="data:image/webp;base64,{_smaller(path)}">'
        )
    else:
        picture = "<p class='soft'>The picture’s bytes are not here: make pull.</p>"
    data = read_json(told)["data"] if told.is_file() else ""
    runs = len(audit.taint.closure(item))
    return (
        f'<figure id="{item}"{wide}>{picture}<figcaption><b>{spec.label}.</b> '
        f"{to_html(spec.caption)} {to_html(data)} {chip(status)} from {runs} runs"
        "</figcaption></figure>"
    )


def _smaller(path: Path) -> str:
    """A picture in a quarter of its PNG's bytes: in COLORS colours, as WebP."""
    data = BytesIO()
    with Image.open(path) as image:
        few = image.convert("RGB").quantize(COLORS, dither=Image.Dither.NONE)
        few.convert("RGB").save(data, "WEBP", lossless=True, method=6)
    return base64.b64encode(data.getvalue()).decode("ascii")


def against(audit: Audit) -> str:
    """The paper's CSVs, every value beside ours."""
    parts = []
    for item, found in audit.compared.items():
        labels = {line["id"]: line["label"] for line in _lines(audit, item)}
        good = sum(one.comparable for one in found)
        rows = "".join(_against(one, labels) for one in found)
        name = ITEMS[item].label
        heads = ("row", "column", "paper", "ours", "difference", "in seeds’ spread")
        table = _listed((*heads, "not comparable, because"), rows, f"{name}, compared")
        parts.append(
            f"<details><summary>{name}: {len(found)} values, {good} comparable"
            f"</summary>{table}</details>"
        )
    return "".join(parts)


def _lines(audit: Audit, item: str) -> Sequence[Mapping[str, Any]]:
    return audit.evidence.sidecars.get(item, {}).get("lines", ())


def _listed(heads: Iterable[str], rows: str, label: str) -> str:
    """A table of our own; its headings sort it."""
    head = "".join(f'<th scope="col">{text}</th>' for text in heads)
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(label)}">'
        f'<table class="list"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody>'
        "</table></div>"
    )


def _against(one: Comparison, labels: Mapping[str, str]) -> str:
    ours = to_html(one.ours) or "–"
    row = to_html(labels.get(one.row, one.row))
    if one.address:
        ours = f'<button data-cell="{escape(one.address)}">{ours}</button>'
        row = to_html(labels.get(one.address.split("/")[1], one.row))
    spread = f"{one.spreads} × {one.spread}" if one.spreads else ""
    boxes = (to_html(one.paper), ours, to_html(one.difference), to_html(spread))
    numbers = "".join(f'<td class="num">{box}</td>' for box in boxes)
    return (
        f"<tr><td>{row}</td><td>{escape(one.column)}</td>{numbers}"
        f"<td>{escape('; '.join(one.reasons))}</td></tr>"
    )


_CLAIM = {"holds": "traced", "fails": "objection"}


def counted_claims(audit: Audit) -> str:
    """How many claims came out how on this run, for the head of the page."""
    cells = audit.evidence.sidecars.get("claims", {}).get("cells", {})
    found = Counter(
        cell["displayed"]
        for address, cell in cells.items()
        if address.endswith("/ours_verdict")
    )
    counts = ", ".join(f"{found[name]} {name}" for name in VERDICTS)
    told = f'<a href="#claims">Claims of the text</a> on this run: {counts}'
    return f'<p class="soft">{told}</p>' if found else ""


def claims(audit: Audit) -> str:
    """Every claim on both sides: values, verdict, reason; its headings sort it."""
    sidecar, rows = audit.evidence.sidecars["claims"], []
    for line in sidecar["lines"]:
        boxes = [f"<td>{to_html(line['label'])}</td>"]
        for side in ("paper", "ours"):
            verdict = sidecar["cells"][f"claims/{line['id']}/{side}_verdict"]
            value = sidecar["cells"][f"claims/{line['id']}/{side}_values"]
            word = verdict["displayed"]
            reason = "" if word in ("holds", "fails") else to_html(verdict["note"])
            boxes.append(
                f'<td><span class="chip {css(_CLAIM.get(word, "not checked"))}">'
                f'{word}</span></td><td><button data-cell="{escape(value["address"])}">'
                f'{to_html(value["displayed"])}</button> <span class="soft">{reason}'
                "</span></td>"
            )
        rows.append(f'<tr id="claim-{line["id"]}">{"".join(boxes)}</tr>')
    heads = ("claim", "the paper’s tables", "values", "this run", "values")
    notes = "".join(f'<p class="note">{to_html(note)}</p>' for note in sidecar["notes"])
    return (
        f'<p class="caption"><b>Claims.</b> {to_html(sidecar["caption"])}</p>'
        + _listed(heads, "".join(rows), "Claims of the text")
        + notes
    )


def costs(audit: Audit) -> str:
    """Runs, hours and devices by stage."""
    chain, rows = audit.evidence.chain, []
    spent = costs_by_stage(chain)
    whole = cost(
        record for name in chain.instances if (record := chain.record_of(name))
    )
    most = max((one.hours for one in spent.values()), default=0) or 1
    for stage, one in [*spent.items(), ("all", whole)]:
        share = 100 * one.hours / most if stage != "all" else 0
        bar = f'<span class="bar" style="width:{share:.1f}%"></span>' if share else ""
        times = (span(3600 * hours) for hours in (one.hours, one.gpu_hours))
        numbers = (one.runs, *times, one.resumed)
        boxes = "".join(f'<td class="num">{number}</td>' for number in numbers)
        name = f"<b>{stage}</b>" if stage == "all" else stage
        rows.append(
            f"<tr><td>{name}</td>{boxes}<td>{escape(', '.join(one.devices))}</td>"
            f'<td class="wide">{bar}</td></tr>'
        )
    heads = ("stage", "runs", "time", "on a GPU", "resumed", "device", "")
    return _listed(heads, "".join(rows), "Cost by stage")


def facts(identity: Mapping[str, str], data: Mapping[str, Any]) -> str:
    """What to quote, and how much there is, in a row under the title."""
    about = [f"<li>{what} <b>{escape(n)}</b></li>" for what, n in identity.items()]
    counts = {
        "measured": "measured cells recomputed",
        "cells": "cells",
        "tables": "tables",
        "instances": "runs",
    }
    about += [f"<li><b>{data[key]}</b> {what}</li>" for key, what in counts.items()]
    return f'<ul class="facts">{"".join(about)}</ul>'
