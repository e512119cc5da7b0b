"""Sections of the report: tables, figures, the paper's numbers, claims, cost."""

from __future__ import annotations

import base64
import html
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from markupsafe import Markup

from dash_repro.audit.audit import Audit
from dash_repro.audit.compare import Comparison
from dash_repro.audit.cost import cost
from dash_repro.audit.page.dag import by_stage
from dash_repro.audit.taint import short
from dash_repro.paper import web
from dash_repro.paper.figures import FIGURES
from dash_repro.paper.items import ITEMS
from dash_repro.paper.markup import to_html
from dash_repro.paper.registry import Section, in_order

escape = html.escape


def css(status: str) -> str:
    """Class of a status."""
    return "s-" + status.replace("not checked", "unchecked")


def chip(status: str) -> str:
    """A small coloured word."""
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


def tables(audit: Audit, compared: Mapping[str, Comparison]) -> str:
    """Every table in the paper's order, each cell a button."""
    parts = []
    shown = [i for i in ITEMS if i in audit.evidence.sidecars and i != "claims"]
    for section in Section:
        within = [item for item in shown if ITEMS[item].section == section]
        if within:
            parts.append(f"<h3>{escape(section.value)}</h3>")
            parts += [_table(audit, item, compared) for item in within]
    return "".join(parts)


def _table(audit: Audit, item: str, compared: Mapping[str, Comparison]) -> str:
    def box(entry: Mapping[str, Any]) -> Markup:
        between = f'<span class="and">{escape(entry["joiner"].strip())}</span>'
        buttons = [button(audit, address, compared) for address in entry["cells"]]
        return Markup(f"<td>{between.join(buttons)}</td>")

    return web.table(audit.evidence.sidecars[item], box)


def button(audit: Audit, address: str, compared: Mapping[str, Comparison]) -> str:
    """One cell: its number, its status, the paper's value under it."""
    cell = audit.evidence.cells[address]
    status, measured = audit.statuses.get(address, "ok"), cell["kind"] == "measured"
    name = css(status) if measured or status != "ok" else "plain"
    under = ""
    found = compared.get(address)
    if found is not None and measured:
        says = f"Δ {found.difference}" if found.difference else "n.c."
        spreads = f", {found.spreads} s" if found.spreads else ""
        under = f'<span class="p">{escape(found.paper)}, {says}{spreads}</span>'
    elif cell["paper"] and measured:
        under = f'<span class="p">{escape(cell["paper"])}</span>'
    label = f"{address}: {cell['displayed']}, {status}"
    return (
        f'<button class="{name}" data-cell="{escape(address)}" '
        f'aria-label="{escape(label)}">{to_html(cell["displayed"])}{under}</button>'
    )


def figures(audit: Audit, grids: bool) -> str:
    """Sample grids, or the other figures, embedded."""
    parts = []
    for item, spec in in_order(FIGURES).items():
        if item not in audit.evidence.figures or spec.images != grids:
            continue
        path = audit.evidence.root / "results" / "figures" / f"{item}.png"
        status = audit.statuses.get(item, "ok")
        title = f"{spec.label}. {spec.title}"
        wide = ' class="wide"' if spec.wide else ""
        if path.is_file():
            data = base64.b64encode(path.read_bytes()).decode("ascii")
            picture = (
                f'<img loading="lazy" alt="{escape(title)}" '
                f'src="data:image/png;base64,{data}">'
            )
        else:
            picture = "<p class='soft'>The picture’s bytes are not here: make pull.</p>"
        runs = len(audit.taint.closure(item))
        parts.append(
            f'<figure id="{item}"{wide}>{picture}<figcaption><b>{spec.label}.</b> '
            f"{to_html(spec.caption)} {chip(status)} from {runs} runs</figcaption>"
            "</figure>"
        )
    return f'<div class="figures">{"".join(parts)}</div>'


def against(compared: Mapping[str, Sequence[Comparison]]) -> str:
    """The paper's CSVs, every value beside ours."""
    parts = []
    for item, found in compared.items():
        good = sum(one.comparable for one in found)
        rows, name = "".join(_against(one) for one in found), ITEMS[item].label
        parts.append(
            f"<details><summary>{name}: {len(found)} values, {good} comparable"
            '</summary><div class="scroll" tabindex="0" role="region" '
            f'aria-label="{name}, the paper against this run">'
            '<table class="list"><thead><tr><th>row</th><th>column</th><th>paper</th>'
            "<th>ours</th><th>difference</th><th>in seeds’ spread</th>"
            "<th>not comparable, because</th></tr></thead>"
            f"<tbody>{rows}</tbody></table></div></details>"
        )
    return "".join(parts)


def _against(one: Comparison) -> str:
    ours = escape(one.ours) or "–"
    if one.address:
        ours = f'<button data-cell="{escape(one.address)}">{ours}</button>'
    spread = f"{one.spreads} × {one.spread}" if one.spreads else ""
    boxes = (one.paper, ours, one.difference, spread)
    numbers = "".join(f'<td class="num">{box}</td>' for box in boxes)
    return (
        f"<tr><td>{escape(one.row)}</td><td>{escape(one.column)}</td>{numbers}"
        f"<td>{escape('; '.join(one.reasons))}</td></tr>"
    )


_CLAIM = {
    "holds": "ok",
    "fails": "objection",
    "inconclusive": "unchecked",
    "not testable": "unchecked",
}


def claims(audit: Audit) -> str:
    """Every claim on both sides: values, verdict, remark."""
    sidecar = audit.evidence.sidecars.get("claims")
    if sidecar is None:
        return "<p>The claims table is not there.</p>"
    cards = []
    for line in sidecar["lines"]:
        sides = []
        for side, name in (("paper", "its tables"), ("ours", "this run")):
            verdict = sidecar["cells"][f"claims/{line['id']}/{side}_verdict"]
            value = sidecar["cells"][f"claims/{line['id']}/{side}_values"]
            word, address = verdict["displayed"], value["address"]
            reason = "" if word in ("holds", "fails") else verdict["note"]
            reason = f" <span class=soft>{to_html(reason)}</span>" if reason else ""
            sides.append(
                f"<dt>{name}</dt><dd><span class='chip s-{_CLAIM[word]}'>{word}</span> "
                f'<button data-cell="{escape(address)}">'
                f"{to_html(value['displayed'])}</button>{reason}</dd>"
            )
        cards.append(
            f'<div class="claim" id="claim-{line["id"]}">'
            f"<p>{to_html(line['label'])}</p><dl>{''.join(sides)}</dl></div>"
        )
    return f'<div class="claims">{"".join(cards)}</div>'


def costs(audit: Audit) -> str:
    """Runs, hours and devices by stage."""
    chain, rows = audit.evidence.chain, []
    spent = {}
    for stage, names in by_stage(audit).items():
        records = (chain.record_of(name) for name in names)
        spent[stage] = cost(record for record in records if record)
    whole = cost(
        record for name in chain.instances if (record := chain.record_of(name))
    )
    most = max((one.hours for one in spent.values()), default=0) or 1
    for stage, one in [*spent.items(), ("all", whole)]:
        share = 100 * one.hours / most if stage != "all" else 0
        bar = f'<span class="bar" style="width:{share:.1f}%"></span>' if share else ""
        numbers = (one.runs, duration(one.hours), duration(one.gpu_hours), one.resumed)
        boxes = "".join(f'<td class="num">{number}</td>' for number in numbers)
        name = f"<b>{stage}</b>" if stage == "all" else stage
        rows.append(
            f"<tr><td>{name}</td>{boxes}<td>{escape(', '.join(one.devices))}</td>"
            f'<td class="wide">{bar}</td></tr>'
        )
    return (
        '<div class="scroll" tabindex="0" role="region" aria-label="Cost by stage">'
        '<table class="list"><thead><tr><th>stage</th><th>runs</th><th>time</th>'
        "<th>on a GPU</th><th>resumed</th><th>device</th><th></th></tr></thead>"
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def duration(hours: float) -> str:
    """Hours, minutes or seconds, whichever reads best."""
    if hours >= 1:
        return f"{hours:.1f} h"
    return f"{hours * 60:.1f} min" if hours * 60 >= 1 else f"{hours * 3600:.1f} s"


def facts(pairs: Iterable[tuple[str, str]]) -> str:
    """A row of numbers under the title."""
    items = "".join(f"<li><b>{escape(n)}</b> {escape(what)}</li>" for n, what in pairs)
    return f'<ul class="facts">{items}</ul>'
