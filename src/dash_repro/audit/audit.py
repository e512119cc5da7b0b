"""The whole audit: chain, tables, text, and what a reviewer should know besides."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from dash_repro.audit.compare import Comparison, all_comparisons
from dash_repro.audit.evidence import Evidence
from dash_repro.audit.kept import check_kept
from dash_repro.audit.prose import check_prose
from dash_repro.audit.rebuild import check_rebuild
from dash_repro.audit.tables import check_tables
from dash_repro.audit.taint import Taint, short
from runledger import Record
from runledger.audit import LEVELS, NOTICE, OBJECTION, Chain, Finding, audit_chain, git

TRACED = "traced"  # every link from the digits to bytes was looked at, and holds
_LAYOUT = ("collect_results", "collect_images", "make_table", "plot_figure")


@dataclass
class Audit:
    """Everything that was found, with what it was found in."""

    evidence: Evidence
    taint: Taint
    findings: list[Finding]
    seconds: float

    @property
    def objections(self) -> list[Finding]:
        """What makes the audit fail."""
        return [f for f in self.findings if f.level == OBJECTION]

    @cached_property
    def groups(self) -> dict[tuple[str, str], list[Finding]]:
        """{(level, kind): findings}, gravest first."""
        found: dict[tuple[str, str], list[Finding]] = {}
        for finding in self.findings:
            found.setdefault((finding.level, finding.kind), []).append(finding)
        return found

    @cached_property
    def statuses(self) -> dict[str, str]:
        """{cell or figure: gravest level among its findings}; those without: none."""
        found: dict[str, str] = {}
        for level in reversed(LEVELS):
            for finding in self.findings:
                if finding.level == level:
                    found |= dict.fromkeys(finding.cells, level)
        return found

    def status(self, address: str) -> str:
        """The gravest level among a cell's findings; without any, TRACED."""
        return self.statuses.get(address, TRACED)

    @cached_property
    def head(self) -> str:
        """The first 12 digits of the checkout's commit; "" without git."""
        return (git(self.evidence.root, "rev-parse", "HEAD") or b"").decode()[:12]

    @cached_property
    def compared(self) -> dict[str, list[Comparison]]:
        """{item: the paper's values beside ours}."""
        return all_comparisons(self.evidence)

    @cached_property
    def beside(self) -> dict[str, Comparison]:
        """{cell: the paper's value beside it}."""
        return {one.address: one for found in self.compared.values() for one in found}

    def to_dict(self) -> dict[str, Any]:
        """As plain data, every tainted cell by address."""
        evidence = self.evidence
        counts = Counter(finding.level for finding in self.findings)
        return {
            "tables": len(evidence.sidecars),
            "cells": len(evidence.cells),
            "measured": len(evidence.measured),
            "instances": len(evidence.chain.instances),
            "seconds": round(self.seconds, 2),
            "counts": {level: counts.get(level, 0) for level in LEVELS},
            "findings": [asdict(finding) for finding in self.findings],
        }


def run_audit(
    root: Path,
    ask_remote: bool = True,
    every_metric: bool = False,
    cell: str | None = None,
) -> Audit:
    """Audit a checkout; reads everything, writes nothing.

    Args:
        root: of the checkout.
        ask_remote: whether the DVC remote has what is not here.
        every_metric: metrics of samples that take long are computed again, too.
        cell: that is asked for.

    Raises:
        UserError: there is no such cell, which is said before anything is checked.
    """
    start = time.perf_counter()
    chain = Chain(Path(root))
    evidence = Evidence(chain)
    if cell is not None:
        evidence.cell(cell)
    taint = Taint(evidence)
    findings = [
        *audit_chain(chain, ask_remote),
        *check_tables(evidence),
        *check_rebuild(evidence),
        *check_kept(evidence, every_metric),
        *check_prose(chain.root, evidence.measured),
        *check_differences(evidence, taint),
    ]
    tainted = {f.with_cells(taint.cells(f.instances)) for f in findings}
    order = {level: index for index, level in enumerate(LEVELS)}
    ordered = sorted(tainted, key=lambda f: (order[f.level], f.kind, f.subject))
    return Audit(evidence, taint, ordered, time.perf_counter() - start)


def facts(record: Record) -> Iterator[tuple[str, str]]:
    """(what, which) of a run that should not differ within one table."""
    run = record.run
    yield "commit", str(run.get("commit"))[:10]
    yield "python", str(run.get("python"))
    yield f"device of {record.recipe['stage']}", str(run.get("device"))
    yield from (run.get("libraries") or {}).items()
    variables = (run.get("variables") or {}).items()
    words = " ".join(f"{name}={value}" for name, value in variables)
    yield f"environment of {record.recipe['stage']}", words or "nothing set"


def check_differences(evidence: Evidence, taint: Taint) -> Iterator[Finding]:
    """Libraries, devices, commits that differ among the runs behind one table."""
    chain, differing = evidence.chain, {}
    for item in evidence.sidecars:
        found: dict[str, Counter[str]] = {}
        for name in taint.table_runs(item):
            record = chain.record_of(name)
            if record is None or record.recipe["stage"] in _LAYOUT:
                continue
            for what, which in facts(record):
                found.setdefault(what, Counter())[which] += 1
        for what, counts in found.items():
            if len(counts) > 1:
                listed = ", ".join(f"{w} ({n} runs)" for w, n in counts.most_common())
                differing.setdefault((what, listed), []).append(item)
    for (what, listed), items in differing.items():
        subject = ", ".join(items)
        detail = f"the runs behind it differ in {what}: {listed}"
        yield Finding(NOTICE, "mixed runs", subject, detail)


def as_text(audit: Audit, limit: int = 12) -> str:
    """The findings as text: grouped by level and kind, one line each."""
    data = audit.to_dict()
    lines = [
        f"{data['measured']} measured of {data['cells']} cells in {data['tables']} "
        f"tables, {data['instances']} runs, {data['seconds']:.1f} s"
    ]
    for (level, kind), found in audit.groups.items():
        lines.append(f"\n{level.upper()}: {kind} ({len(found)})")
        shown = found if level == OBJECTION else found[:limit]
        for finding in shown:
            detail = finding.detail
            detail = detail if len(detail) <= 400 else detail[:397] + "..."
            lines.append(f"  {finding.subject}: {detail}")
            cells = [c for c in finding.cells if c != finding.subject]
            if cells and level == OBJECTION:
                listed = short(cells, audit.evidence.cells)
                lines.append(f"    taints {len(cells)}: {listed}")
        if len(found) > len(shown):
            lines.append(f"  ... and {len(found) - len(shown)} more (--json lists all)")
    lines.append("\n" + verdict_line(data["counts"]))
    return "\n".join(lines)


def verdict_line(counts: Mapping[str, int]) -> str:
    """The last line: what was found, in numbers."""
    words = ", ".join(f"{counts[level]} {level}" for level in LEVELS)
    good = "nothing to object to" if not counts[OBJECTION] else "OBJECTIONS"
    return f"{good}: {words}"
