"""Verdicts: which instances are valid, which are stale, and why, in words.

An instance is valid if a record matches what today's params, code and upstream records
give. Bytes need not be present, and no mtime plays a part. Judging writes nothing.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runledger.canonical import canonical, digest, digest_of, joined, pretty
from runledger.differences import differ
from runledger.errors import UserError
from runledger.fingerprint import Fingerprinter
from runledger.locktext import locked_stages
from runledger.pipeline import CODE_STAGE, Instance, Pipeline
from runledger.project import program_of
from runledger.records import Record, Records, recipe_key, recipe_key_of, recorded
from runledger.sources import absent, lock_path
from runledger.store import Digest, Store, md5_text


@contextmanager
def uncollected() -> Iterator[None]:
    """Look for no garbage while thousands of objects are made that all stay.

    Nor among them later.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if enabled:
            gc.enable()


def code_text(fingerprinter: Fingerprinter, stage: str, program: str) -> str:
    """Return the content of results/code/<stage>.json."""
    modules = fingerprinter.modules(program)
    return pretty({"stage": stage, "fingerprint": digest(modules), "modules": modules})


@dataclass
class Verdict:
    """What is known of one instance before anything runs.

    ``outputs`` maps paths to digests and is set only for a valid instance; ``key`` is
    known as soon as every input is. ``sources`` maps inputs that no stage makes to what
    is there, ``outside`` those that params place to their names in the recipe, and
    ``unread`` those that are absent or unusable to the error of a run that needs them.
    ``lost`` is a valid instance that must run again, because its bytes are needed and
    nobody has them; what was made from them is as valid as before.
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
    sources: dict[str, Digest] = field(default_factory=dict)
    outside: dict[str, str] = field(default_factory=dict)
    unread: dict[str, UserError] = field(default_factory=dict)
    lost: bool = False

    @property
    def adopted(self) -> bool:
        """Whether the bytes were accepted by hand."""
        return bool(self.record and self.record.adopted)


class Judge:
    """Judges every instance of a pipeline against a checkout's records.

    Args:
        root: the checkout.
        pipeline: today's instances.
        unavailable: {md5: why} of bytes that are neither here nor on the remote.
    """

    def __init__(
        self,
        root: Path,
        pipeline: Pipeline,
        unavailable: Mapping[str, str] | None = None,
    ) -> None:
        self.root, self.pipeline = Path(root), pipeline
        self.records, self.store = Records(root), Store(root)
        self.code = Fingerprinter(root)
        self.unavailable = dict(unavailable or {})
        self._code_texts: dict[str, str] = {}
        self._params: dict[tuple[str, ...], str] = {}  # canonical text, by the keys
        self._lock: dict[str, Any] | None = None

    def code_text(self, stage: str) -> str:
        """Return results/code/<stage>.json as it should be now (computed once)."""
        if stage not in self._code_texts:
            program = program_of(self.root, stage)
            self._code_texts[stage] = code_text(self.code, stage, program)
        return self._code_texts[stage]

    def frozen(self, instance: Instance) -> dict[str, Any]:
        """Return the frozen part of an instance's recipe as of now."""
        params = self.pipeline.named_params(instance)
        if instance.read:
            return instance.frozen(params, digest(instance.modules))
        stage = instance.id if instance.stage == CODE_STAGE else instance.stage
        program = program_of(self.root, stage)
        return instance.frozen(params, self.code.fingerprint(program))

    def _spelled(self, frozen: Mapping[str, Any]) -> str:
        """Return the canonical text of a frozen recipe.

        Params are the bulk of it, and those of one list of keys are spelled once.
        """
        keys = tuple(frozen["params"])
        if keys not in self._params:
            self._params[keys] = canonical(frozen["params"])
        texts = {key: canonical(frozen[key]) for key in frozen if key != "params"}
        return joined({**texts, "params": self._params[keys]})

    def judge(self) -> dict[str, Verdict]:
        """Return the verdict on every instance, producers first."""
        verdicts: dict[str, Verdict] = {}
        with uncollected():
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
        text = canonical(frozen) if instance.read else self._spelled(frozen)
        verdict = Verdict(instance, frozen, digest_of(text), False)
        verdict.outside = self.pipeline.outside(instance)
        pending = []
        for dep in instance.deps:
            name = self.pipeline.producer.get(dep)
            if name is None:
                self._source(verdict, dep)
            elif not known[name].valid:
                pending.append(name)
            elif known[name].instance.stage != CODE_STAGE:
                verdict.inputs[dep] = known[name].outputs[dep].md5
        unsettled = [f"{name} is stale" for name in sorted(set(pending))]
        if not (pending or self._as_recorded(verdict)):
            unsettled = [f"{e.where}: {e.what}" for e in verdict.unread.values()]
        if unsettled:
            verdict.reasons = self._explain(verdict, None) + unsettled
            return verdict
        verdict.key = recipe_key_of(text, verdict.inputs)
        self._match(verdict)
        return verdict

    def _source(self, verdict: Verdict, dep: str) -> None:
        """Take what lies at a path that no stage makes as an input."""
        name, here = verdict.instance.name, self.root / dep
        try:
            content = self.store.current(here)
        except UserError as error:
            if dep not in verdict.outside:
                raise
            verdict.unread[dep] = error
            return
        if content is not None:
            verdict.sources[dep] = content
            verdict.inputs[verdict.outside.get(dep, dep)] = content.md5
        elif dep in verdict.outside:
            verdict.unread[dep] = absent(name, dep, verdict.outside[dep])
        else:
            raise UserError(
                f"{name} needs a file that no stage makes and that does not exist",
                dep,
                "restore it (git checkout -- FILE), or correct the rule (or dvc.yaml)",
            )

    def _as_recorded(self, verdict: Verdict) -> bool:
        """Take inputs that are absent to be what they were; False if nobody knows.

        Data outside the checkout need not be on every machine that has the results.
        Of several records, that of the input which dvc.lock names; else the latest.
        """
        if any(os.path.lexists(self.root / dep) for dep in verdict.unread):
            return False
        names = {dep: verdict.outside[dep] for dep in verdict.unread}
        if not names:
            return True
        fitting = [
            record
            for record in self.records.of_recipe(verdict.instance, verdict.frozen)
            if record.inputs.keys() >= set(names.values())
            and verdict.inputs.items() <= record.inputs.items()
        ]
        locked = self._locked(verdict.instance)
        named = [
            record
            for record in fitting
            if all(record.inputs[n] == locked.get(dep) for dep, n in names.items())
        ]
        for record in (named or fitting)[-1:]:
            for dep, name in names.items():
                verdict.inputs[name] = record.inputs[name]
                verdict.sources[dep] = recorded(record, name)
        return bool(fitting)

    def _locked(self, instance: Instance) -> dict[str, str]:
        """Return {dependency: md5} that dvc.lock has of an instance."""
        if self._lock is None:
            self._lock = locked_stages(self.root)
        entry = self._lock.get(instance.name, {})
        md5s = {line["path"]: line.get("md5") for line in entry.get("deps", [])}
        return {dep: md5s.get(lock_path(self.root, dep)) for dep in instance.deps}

    def _match(self, verdict: Verdict) -> None:
        instance = verdict.instance
        try:
            record = self.records.match(
                instance, verdict.key, verdict.frozen, verdict.inputs
            )
        except UserError as error:
            verdict.reasons = [f"its record cannot be used: {error.what}"]
            return
        if record is None:
            verdict.reasons = self._explain(verdict, verdict.inputs)
            return
        outputs = {
            path: Digest(out["md5"], out["size"], out.get("nfiles"))
            for path, out in record.outputs.items()
        }
        gone = [p for p, out in outputs.items() if out.md5 in self.unavailable]
        if set(outputs) != {out.path for out in instance.outs}:
            verdict.reasons = ["the outputs declared in dvc.yaml changed"]
        else:
            verdict.valid, verdict.outputs, verdict.record = True, outputs, record
            verdict.lost = bool(gone)
            why = (self.unavailable[outputs[path].md5] for path in gone)
            verdict.reasons = list(dict.fromkeys(why))

    def _explain(self, verdict: Verdict, inputs: Mapping | None) -> list[str]:
        """Say how today's recipe differs from the most similar earlier one."""
        instance = verdict.instance
        past = self.records.history(instance.stage, instance.id)
        if not past:
            return ["never run"]
        modules = instance.modules
        if not instance.read:
            modules = self.code.modules(program_of(self.root, instance.stage))
        differences = [
            differ(record, verdict, inputs, modules, self.root)
            for record in reversed(past)
        ]
        return min(differences, key=len)


def stale_closure(
    targets: Iterable[str],
    verdicts: Mapping[str, Verdict],
    producer: Mapping[str, str],
) -> list[str]:
    """Return the stale and lost instances that the targets need, producers first."""
    found: dict[str, None] = {}

    def visit(name: str) -> None:
        verdict = verdicts[name]
        if (verdict.valid and not verdict.lost) or name in found:
            return
        for dep in verdict.instance.deps:
            if dep in producer:
                visit(producer[dep])
        found[name] = None

    for target in targets:
        visit(target)
    return list(found)
