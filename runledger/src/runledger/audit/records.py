"""Records against themselves, each other, today's recipes and dvc.lock."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from runledger.audit.chain import (
    NOTICE,
    OBJECTION,
    UNCHECKED,
    Chain,
    Finding,
)
from runledger.canonical import canonical
from runledger.judge import Verdict
from runledger.pipeline import CODE_STAGE, Instance
from runledger.project import settings
from runledger.records import Record
from runledger.sources import lock_path
from runledger.watching import WATCH

UNUSABLE = "its record cannot be used"  # check_records says why


def check_records(chain: Chain) -> Iterator[Finding]:
    """Every record file: readable, unedited, where it belongs."""
    folders = {v.instance.key_name: n for n, v in chain.verdicts.items()}
    for raw in chain.raw:
        if not raw.wrong:
            continue
        path = raw.path.relative_to(chain.root).as_posix()
        kind = raw.wrong.partition(":")[0]
        kind = {"edited": "edited record", "misplaced": "misplaced record"}.get(
            kind, "broken record"
        )
        name = folders.get(raw.folder)
        doubt = (name,) if name and not chain.verdicts[name].valid else ()
        yield Finding(OBJECTION, kind, path, raw.wrong, doubt)


def check_verdicts(chain: Chain) -> Iterator[Finding]:
    """Instances that no record matches; what is only downstream of one is not named."""
    broken = {raw.folder for raw in chain.raw if raw.wrong}
    for name in chain.instances:
        verdict = chain.verdicts[name]
        own = [reason for reason in verdict.reasons if not _inherited(reason, chain)]
        never = own == ["never run"]
        inherited = len(own) < len(verdict.reasons) and (never or not own)
        reported = verdict.instance.key_name in broken and any(
            UNUSABLE in reason for reason in own
        )
        if verdict.valid or inherited or reported:
            continue
        kind = "missing run" if never else "stale"
        detail = (
            "planned by params.yaml, and no record of it" if never else "; ".join(own)
        )
        optional = _optional(verdict.instance, chain)
        yield Finding(NOTICE if optional else OBJECTION, kind, name, detail, (name,))


def _optional(instance: Instance, chain: Chain) -> bool:
    """Whether it may be missing: not every machine can make it, and nothing reads it.

    Not if its file is there, and outdated: somebody may read that one.
    """
    stages = settings(chain.root).get("optional", {})
    if instance.stage not in stages:
        return False
    read = {dep for i in chain.pipeline.instances.values() for dep in i.deps}
    return not any(
        out.path in read or (chain.root / out.path).exists() for out in instance.outs
    )


def _inherited(reason: str, chain: Chain) -> bool:
    return reason.removesuffix(" is stale") in chain.verdicts


def check_inputs(chain: Chain) -> Iterator[Finding]:
    """Each recorded input's md5 equals what the producer of that path recorded."""
    for name in chain.instances:
        record = chain.record_of(name)
        if record is None:
            continue
        for path, md5 in record.inputs.items():
            maker = chain.pipeline.producer.get(path)
            made = chain.record_of(maker) if maker else None
            if made is None or path not in made.outputs:
                continue
            if made.outputs[path]["md5"] != md5:
                other = chain.makers.get(md5)
                whose = f"those of {other}" if other and other != path else "others"
                detail = f"{path}: its maker recorded other bytes than were used"
                detail += f" ({whose})"
                yield Finding(OBJECTION, "foreign input", name, detail, (name,))


def check_present(chain: Chain) -> Iterator[Finding]:
    """Data that params place and that are not here: taken to be what was recorded."""
    for name in chain.instances:
        verdict = chain.verdicts[name]
        for dep in verdict.unread if verdict.valid else ():
            detail = f"{dep}: taken to be what its record and dvc.lock say"
            yield Finding(UNCHECKED, "input not here", name, detail, (name,))


def check_lock(chain: Chain) -> Iterator[Finding]:
    """dvc.lock says of every valid instance what its record says."""
    if chain.lock is None:
        yield Finding(
            UNCHECKED, "no dvc.lock", "dvc.lock", "absent: `runledger settle` writes it"
        )
        return
    for name, verdict in chain.verdicts.items():
        if not verdict.valid:
            continue
        entry = chain.lock.get(name)
        code = verdict.instance.stage == CODE_STAGE
        doubt = () if code else (name,)
        if entry is None:
            detail = "has a valid record and no entry"
            yield Finding(OBJECTION, "dvc.lock", name, detail, doubt)
            continue
        for detail in _lock_differences(chain, verdict, entry):
            yield Finding(OBJECTION, "dvc.lock", name, detail, doubt)
    for name in sorted(set(chain.lock) - {*chain.verdicts, WATCH}):
        detail = "an entry of an instance that params.yaml does not ask for"
        yield Finding(NOTICE, "dvc.lock", name, detail)


def _lock_differences(
    chain: Chain, verdict: Verdict, entry: Mapping[str, Any]
) -> Iterator[str]:
    instance = verdict.instance
    if entry.get("cmd") != instance.call:
        yield f"cmd: {entry.get('cmd')!r} instead of {instance.call!r}"
    expected = {
        "outs": {path: out.md5 for path, out in verdict.outputs.items()},
        "deps": {
            lock_path(chain.root, dep): _dep_md5(chain, verdict, dep)
            for dep in instance.deps
        },
    }
    if instance.stage == CODE_STAGE:  # its sources may differ in comments
        del expected["deps"]
    for part, wanted in expected.items():
        found = {line["path"]: line.get("md5") for line in entry.get(part, [])}
        for path in sorted({*wanted, *found}):
            if wanted.get(path) != found.get(path):
                was, now = found.get(path), wanted.get(path)
                yield f"{part} {path}: md5 {was} instead of {now}"
    params = (entry.get("params") or {}).get("params.yaml", {})
    named = {} if instance.read else chain.pipeline.named_params(instance)
    for key in sorted({*named, *params}):
        if canonical(named.get(key)) != canonical(params.get(key)):
            yield f"params {key}: differs from params.yaml"


def _dep_md5(chain: Chain, verdict: Verdict, dep: str) -> str | None:
    maker = chain.pipeline.producer.get(dep)
    if maker:
        return chain.verdicts[maker].outputs[dep].md5
    return verdict.sources[dep].md5 if dep in verdict.sources else None


def check_adopted(chain: Chain) -> Iterator[Finding]:
    """Report adopted records as notices; object if reason or origin is missing."""
    for name in chain.instances:
        record = chain.verdicts[name].record
        if record is None or record.adopted is None:
            continue
        reason = str(record.adopted.get("reason") or "").strip()
        source = (record.adopted.get("made_with") or {}).get("key")
        if not reason or not source:
            detail = "adopted without a reason or without the recipe of its bytes"
            yield Finding(OBJECTION, "silent adoption", name, detail, (name,))
            continue
        differences = "; ".join(record.adopted.get("differences", []))
        detail = f"by hand, although {differences}; reason given: {reason}"
        yield Finding(NOTICE, "adopted", name, detail, (name,))


def check_dropped(chain: Chain) -> Iterator[Finding]:
    """Runs that repeat a planned one, and are not planned themselves."""
    planned: dict[str, str] = {}
    for name in chain.instances:
        record = chain.verdicts[name].record
        if record is not None and _replicate(chain, record):
            planned.setdefault(_settings(chain, record), name)
    folders = {v.instance.key_name for v in chain.verdicts.values()}
    for folder, records in sorted(chain.by_folder.items()):
        if folder in folders:
            continue
        record = records[-1]
        mine = _replicate(chain, record)
        sibling = planned.get(_settings(chain, record)) if mine else None
        if sibling:
            detail = f"ran with {mine}, the settings of {sibling}, and is in no table"
            yield Finding(OBJECTION, "dropped run", record.instance, detail, (sibling,))


def _replicate(chain: Chain, record: Record) -> dict[str, Any]:
    """What differs between a run and its repetitions: fields that the settings name."""
    item, fields = record.recipe["item"], settings(chain.root).get("replicates", ())
    return {key: item[key] for key in fields if key in item}


def _settings(chain: Chain, record: Record) -> str:
    """What two runs that only repeat each other have in common."""
    table = settings(chain.root)
    left = {*table.get("replicates", ()), *table.get("follows", ())}
    item = {k: v for k, v in record.recipe["item"].items() if k not in left}
    recipe = record.recipe
    return canonical([recipe["stage"], item, recipe["params"], recipe["code"]])
