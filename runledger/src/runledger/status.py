"""What state every instance of a checkout is in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from runledger.adoption import adopted_below
from runledger.execution import failure
from runledger.judge import Judge, Verdict
from runledger.pipeline import CODE_STAGE
from runledger.presence import ABSENT, OTHER, PRESENT, WRONG, state_of
from runledger.project import load_pipeline
from runledger.store import ReadingStore, Store


def status(root: Path, verify: bool = False) -> list[dict[str, Any]]:
    """Return one row an instance: verdict, bytes, reasons, adoption."""
    pipeline = load_pipeline(root)
    verdicts = Judge(root, pipeline).judge()
    adopted = adopted_below(pipeline, verdicts)
    rows = []
    for name, verdict in verdicts.items():
        if verdict.instance.stage == CODE_STAGE:
            continue
        row: dict[str, Any] = {
            "instance": name,
            "verdict": "valid" if verdict.valid else "stale",
            "bytes": _bytes(root, verdict, verify),
            "reasons": verdict.reasons,
        }
        if verdict.valid and verdict.unread:
            row["not here"] = list(verdict.unread)
        failed = failure(root, name, verdict.frozen_digest)
        if failed is not None and not verdict.valid:
            row["failed"] = failed
        if name in adopted:
            row["adopted"] = adopted[name]
            if verdict.adopted:
                row["adoption"] = verdict.record.adopted
        rows.append(row)
    return rows


def _bytes(root: Path, verdict: Verdict, verify: bool) -> str:
    """Say what is on disk: present, absent, or wrong (all bytes read if verify)."""
    if not verdict.outputs:
        return "-"
    store = ReadingStore(root) if verify else Store(root)
    states = {state_of(root, store, verdict, path) for path in verdict.outputs}
    order = (WRONG, ABSENT, OTHER, PRESENT)
    return next(state for state in order if state in states)
