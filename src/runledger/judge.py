"""Verdicts: which instances are valid, which are stale, and why, in words.

An instance is valid if a record matches what today's params, code and upstream records
give. Bytes need not be present, and no mtime plays a part. Judging writes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runledger.canonical import canonical, digest, pretty
from runledger.errors import UserError
from runledger.fingerprint import Fingerprinter
from runledger.pipeline import CODE_STAGE, Instance, Pipeline
from runledger.records import Record, Records, recipe_key
from runledger.store import Digest, Store, md5_text, only_line_ends


def code_text(fingerprinter: Fingerprinter, stage: str) -> str:
    """Return the content of results/code/<stage>.json."""
    modules = fingerprinter.modules(f"stages/{stage}.py")
    return pretty({"stage": stage, "fingerprint": digest(modules), "modules": modules})


@dataclass
class Verdict:
    """What is known of one instance before anything runs.

    ``outputs`` maps paths to digests and is set only for a valid instance; ``key`` is
    known as soon as every input is.
    """

    instance: Instance
    frozen: dict[str, Any]
    frozen_digest: str
    valid: bool
    key: str | None = None
    reasons: list[str] = field(default_factory=list)
    inputs: dict[str, str] = field(default_factory=dict)
    outputs: dict[str, Digest] = field(default_factory=dict)
    record: Record | None = None
    sources: dict[str, str] = field(default_factory=dict)

    @property
    def adopted(self) -> bool:
        """Whether the bytes were accepted by hand."""
        return bool(self.record and self.record.adopted)


class Judge:
    """Judges every instance of a pipeline against a checkout's records.

    Args:
        root: the checkout.
        pipeline: today's instances.
        lost: {md5: why} of bytes that are neither here nor on the remote.
    """

    def __init__(
        self, root: Path, pipeline: Pipeline, lost: Mapping[str, str] | None = None
    ) -> None:
        self.root, self.pipeline = Path(root), pipeline
        self.records, self.store = Records(root), Store(root)
        self.code = Fingerprinter(root)
        self.lost = dict(lost or {})
        self._code_texts: dict[str, str] = {}

    def code_text(self, stage: str) -> str:
        """Return results/code/<stage>.json as it should be now (computed once)."""
        if stage not in self._code_texts:
            self._code_texts[stage] = code_text(self.code, stage)
        return self._code_texts[stage]

    def frozen(self, instance: Instance) -> dict[str, Any]:
        """Return the frozen part of an instance's recipe as of now."""
        stage = instance.id if instance.stage == CODE_STAGE else instance.stage
        return {
            "stage": instance.stage,
            "id": instance.id,
            "item": dict(instance.item),
            "params": self.pipeline.named_params(instance),
            "cmd": instance.cmd,
            "code": self.code.fingerprint(f"stages/{stage}.py"),
        }

    def judge(self) -> dict[str, Verdict]:
        """Return the verdict on every instance, producers first."""
        verdicts: dict[str, Verdict] = {}
        for instance in self.pipeline.instances.values():
            if instance.stage == CODE_STAGE:
                verdicts[instance.name] = self._judge_code(instance)
            else:
                verdicts[instance.name] = self._judge(instance, verdicts)
        return verdicts

    def _judge_code(self, instance: Instance) -> Verdict:
        frozen = self.frozen(instance)
        text = self.code_text(instance.id)
        content = Digest(md5_text(text), len(text.encode()))
        outputs = {out.path: content for out in instance.outs}
        key = recipe_key(frozen, {})
        return Verdict(instance, frozen, digest(frozen), True, key, outputs=outputs)

    def _judge(self, instance: Instance, known: Mapping[str, Verdict]) -> Verdict:
        frozen = self.frozen(instance)
        verdict = Verdict(instance, frozen, digest(frozen), False)
        pending = []
        for dep in instance.deps:
            name = self.pipeline.producer.get(dep)
            if name is None:
                self._source(verdict, dep)
            elif not known[name].valid:
                pending.append(name)
            elif known[name].instance.stage != CODE_STAGE:
                verdict.inputs[dep] = known[name].outputs[dep].md5
        if pending:
            verdict.reasons = self._explain(instance, frozen, None)
            verdict.reasons += [f"{name} is stale" for name in sorted(set(pending))]
            return verdict
        verdict.key = recipe_key(frozen, verdict.inputs)
        self._match(verdict)
        return verdict

    def _source(self, verdict: Verdict, dep: str) -> None:
        content = self.store.current(self.root / dep)
        if content is None:
            raise UserError(
                f"{verdict.instance.name} needs a file that no stage makes and that "
                "does not exist",
                dep,
                "restore it (git checkout -- FILE), or mend dvc.yaml",
            )
        verdict.inputs[dep] = verdict.sources[dep] = content.md5

    def _match(self, verdict: Verdict) -> None:
        instance = verdict.instance
        try:
            record = self.records.get(instance, verdict.key)
        except UserError as error:
            verdict.reasons = [f"its record cannot be used: {error.what}"]
            return
        if record is None:
            verdict.reasons = self._explain(instance, verdict.frozen, verdict.inputs)
            return
        outputs = {
            path: Digest(out["md5"], out["size"], out.get("nfiles"))
            for path, out in record.outputs.items()
        }
        gone = [p for p, out in outputs.items() if out.md5 in self.lost]
        if set(outputs) != {out.path for out in instance.outs}:
            verdict.reasons = ["the outputs declared in dvc.yaml changed"]
        elif gone:
            verdict.reasons = [f"{p}: {self.lost[outputs[p].md5]}" for p in gone]
        else:
            verdict.valid, verdict.outputs, verdict.record = True, outputs, record

    def _explain(
        self, instance: Instance, frozen: dict[str, Any], inputs: dict | None
    ) -> list[str]:
        """Say how today's recipe differs from the most similar earlier one."""
        past = self.records.history(instance.stage, instance.id)
        if not past:
            return ["never run"]
        modules = self.code.modules(f"stages/{instance.stage}.py")
        differences = [
            differ(record, frozen, inputs, modules, self.root)
            for record in reversed(past)
        ]
        return min(differences, key=len)


def differ(
    record: Record,
    frozen: Mapping[str, Any],
    inputs: Mapping[str, str] | None,
    modules: Mapping[str, str],
    root: Path,
) -> list[str]:
    """List in words what changed since a record was made."""
    old = record.recipe
    words = [
        f"params: {change}" for change in _changes(old["params"], frozen["params"])
    ]
    words += [f"identity: {c}" for c in _changes(old["item"], frozen["item"])]
    if old["cmd"] != frozen["cmd"]:
        words.append(f"command: {old['cmd']} -> {frozen['cmd']}")
    if old["code"] != frozen["code"]:
        names = sorted(
            name
            for name in {*record.code_modules, *modules}
            if record.code_modules.get(name) != modules.get(name)
        )
        words.append(f"code: {', '.join(names)}")
    for path in sorted({*record.inputs, *(inputs or {})}) if inputs is not None else ():
        before, now = record.inputs.get(path), inputs.get(path)
        if before != now:
            word = "changed" if before and now else "is new" if now else "is gone"
            if before and now and _only_line_ends(root / path, before):
                word = "has other line ends than it had (git's core.autocrlf?)"
            words.append(f"input {path} {word}")
    return words


def _only_line_ends(path: Path, md5: str) -> bool:
    small = path.is_file() and path.stat().st_size < 1 << 20  # as texts are
    return small and only_line_ends(path.read_bytes(), md5)


def _changes(old: Any, new: Any, prefix: str = "") -> list[str]:
    """List the leaves in which two parameter trees differ, as 'key: old -> new'."""
    if isinstance(old, dict) and isinstance(new, dict):
        return [
            change
            for key in sorted({*old, *new})
            for change in _changes(
                old.get(key, "(absent)"),
                new.get(key, "(absent)"),
                f"{prefix}.{key}" if prefix else key,
            )
        ]
    if canonical(old) == canonical(new):
        return []
    return [f"{prefix}: {_short(old)} -> {_short(new)}"]


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else canonical(value)
    return text if len(text) <= 60 else text[:57] + "..."


def stale_closure(
    targets: Iterable[str],
    verdicts: Mapping[str, Verdict],
    producer: Mapping[str, str],
) -> list[str]:
    """Return the stale instances that the targets need, producers first."""
    found: dict[str, None] = {}

    def visit(name: str) -> None:
        verdict = verdicts[name]
        if verdict.valid or name in found:
            return
        for dep in verdict.instance.deps:
            if dep in producer:
                visit(producer[dep])
        found[name] = None

    for target in targets:
        visit(target)
    return list(found)
