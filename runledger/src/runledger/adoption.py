"""Bytes that a person declared to be what today's recipe would make."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from runledger.errors import UserError
from runledger.judge import Judge, Verdict
from runledger.pipeline import Pipeline
from runledger.project import load_pipeline, program_of
from runledger.records import Record


def adopt(root: Path, target: str, reason: str) -> Record:
    """Accept an instance's existing bytes under today's recipe, visibly.

    The new record keeps the recipe that the bytes were really made with.

    Raises:
        UserError: no reason, nothing to adopt, bytes that no record knows, or an input
            that is not valid.
    """
    pipeline = load_pipeline(root)
    judge = Judge(root, pipeline)
    verdict = judge.judge()[pipeline.find(target).name]
    instance, where = verdict.instance, verdict.instance.name
    if not reason.strip():
        raise UserError("adopting needs a reason", where, 'give --reason "..."')
    if verdict.valid:
        raise UserError("it is valid already", where, "nothing to do")
    if verdict.key is None:
        raise UserError(
            f"its own inputs are stale: {'; '.join(verdict.reasons)}",
            where,
            "adopt or run these inputs first",
        )
    present = {o.path: judge.store.current(root / o.path) for o in instance.outs}
    for record in reversed(judge.records.history(instance.stage, instance.id)):
        known = {path: out["md5"] for path, out in record.outputs.items()}
        if {p: c.md5 if c else None for p, c in present.items()} == known:
            break
    else:
        raise UserError(
            "no record of this instance describes the bytes on disk",
            where,
            "bring the recorded bytes back (python -m runledger pull) or run the stage",
        )
    new = Record(
        instance=where,
        key=verdict.key,
        recipe=verdict.frozen,
        inputs=verdict.inputs,
        code_modules=judge.code.modules(program_of(root, instance.stage)),
        outputs=record.outputs,
        run=record.run,
        adopted={
            "reason": reason,
            "when": datetime.now(UTC).isoformat(timespec="seconds"),
            "made_with": (record.adopted or {}).get("made_with")
            or {"key": record.key, "recipe": record.recipe, "inputs": record.inputs},
            "differences": verdict.reasons,
        },
    )
    judge.records.write(instance, new)
    return new


def adopted_below(
    pipeline: Pipeline, verdicts: Mapping[str, Verdict]
) -> dict[str, list[str]]:
    """Return {instance: adopted instances that it or its ancestry rests on}."""
    found: dict[str, set[str]] = {}
    for name, verdict in verdicts.items():
        mine = {name} if verdict.adopted else set()
        for dep in verdict.instance.deps:
            mine |= found.get(pipeline.producer.get(dep, ""), set())
        found[name] = mine
    return {name: sorted(names) for name, names in found.items() if names}
