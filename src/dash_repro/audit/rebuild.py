"""Each table laid out again from its rows: words, params, claims and captions too.

This is the code that made the tables; what it cannot see (a mistake of its own) the
checks of dash_repro.audit.tables see, which share nothing with it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dash_repro.arrays import ArrayFileError
from dash_repro.audit.evidence import Evidence, objection
from dash_repro.paper.collect import gather
from dash_repro.paper.context import Context
from dash_repro.paper.rows import Collected, read_rows
from dash_repro.paper.table import to_latex, to_sidecar
from dash_repro.paper.tables import TABLES
from runledger import lookup, nested
from runledger.audit import OBJECTION, UNCHECKED, Finding
from runledger.errors import UserError


def check_rebuild(evidence: Evidence) -> Iterator[Finding]:
    """Build every table again and compare cell by cell, then text by text."""
    for item in evidence.tables:
        sidecar = evidence.sidecars.get(item)
        tex = evidence.text(f"results/tables/{item}.tex", f"make_table-{item}")
        if sidecar is None or tex is None:
            continue
        try:
            rows = _rows(evidence, item)
            table = TABLES[item].table(_context(evidence, item, rows))
        except (UserError, OSError, KeyError, ValueError) as error:
            reason = getattr(error, "what", None) or str(error)
            detail = f"cannot be laid out again here: {reason}"
            yield Finding(UNCHECKED, "not laid out again", item, detail)
            continue
        yield from _compare(item, sidecar, tex, table)
        yield from _params(evidence, item, rows)


def _rows(evidence: Evidence, item: str) -> Collected:
    """The item's collected rows; without the CSV, gathered again from raw files."""
    if evidence.collected(item) is not None:
        return read_rows(evidence.root / "results" / "collect_results" / f"{item}.csv")
    instance = evidence.chain.verdicts[f"collect_results-{item}"].instance
    files = []
    for dep in instance.deps:
        member = "/".join(Path(dep).parts[1:3])
        if member in instance.item["members"]:
            files.append((member, evidence.root / dep))
            if not (evidence.root / dep).is_file():
                raise ArrayFileError(
                    "the data of this table are not here", dep, "make pull"
                )
    params = nested(evidence.chain.pipeline.named_params(instance))
    return Collected(gather(instance.item, params, files), item)


def _context(evidence: Evidence, item: str, rows: Collected) -> Context:
    instance = evidence.chain.verdicts[f"make_table-{item}"].instance
    sources = {
        Path(dep).name: evidence.root / dep
        for dep in instance.deps
        if dep not in evidence.chain.pipeline.producer
    }
    params: Any = evidence.params
    return Context(item, rows, params["make_table"], params["scale"], sources)


def _compare(item: str, sidecar: Any, tex: str, table: Any) -> Iterator[Finding]:
    again = json.loads(json.dumps(to_sidecar(table)))
    different = [
        address
        for address in sorted({*again["cells"], *sidecar["cells"]})
        if again["cells"].get(address) != sidecar["cells"].get(address)
    ]
    for address in different:
        now, was = again["cells"].get(address), sidecar["cells"].get(address)
        keys = [k for k in (now or was) if (now or {}).get(k) != (was or {}).get(k)]
        detail = f"{', '.join(keys)} differ when it is laid out again"
        yield objection("not reproduced", address, detail)
    everything = tuple(sidecar["cells"])
    if again != sidecar and not different:
        keys = [key for key in again if again[key] != sidecar.get(key)]
        detail = f"{', '.join(keys)} of the sidecar differ when laid out again"
        yield Finding(OBJECTION, "not reproduced", item, detail, cells=everything)
    elif not different and to_latex(table) != tex:
        detail = "the .tex differs when laid out again"
        yield Finding(OBJECTION, "not reproduced", item, detail, cells=everything)


def _params(evidence: Evidence, item: str, rows: Collected) -> Iterator[Finding]:
    """The params shown are those of params.yaml."""
    for row in rows.rows:
        if row.metric != "param":
            continue
        now, was = lookup(evidence.params, row.name), json.loads(row.value)
        if now != was:
            detail = f"{row.name} is not what params.yaml says: collect again"
            yield Finding(OBJECTION, "other params", item, detail)
