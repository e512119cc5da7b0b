"""dvc.lock from verified records: `dvc status` then agrees with the verdicts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from runledger.canonical import to_bytes, write_atomic
from runledger.judge import Judge, Verdict
from runledger.locktext import lock_text, locked_stages
from runledger.pipeline import CODE_STAGE, Instance, Pipeline
from runledger.presence import is_made
from runledger.project import load_pipeline
from runledger.projection import renew
from runledger.sources import lock_path
from runledger.store import Digest
from runledger.watching import watch_entry


def _entry(path: str, content: Digest) -> dict[str, Any]:
    entry = {"path": path, "hash": "md5", "md5": content.md5, "size": content.size}
    if content.nfiles is not None:
        entry["nfiles"] = content.nfiles
    return entry


class _Writer:
    def __init__(self, root: Path, pipeline: Pipeline) -> None:
        self.root, self.pipeline = root, pipeline
        self.judge = Judge(root, pipeline)
        self.verdicts = self.judge.judge()
        self.refused: list[str] = []

    def _dep(self, verdict: Verdict, path: str) -> Digest:
        maker = self.pipeline.producer.get(path)
        if maker:
            return self.verdicts[maker].outputs[path]
        if path in verdict.sources:
            return verdict.sources[path]
        return self.judge.store.current(self.root / path)  # of code: src, stages

    def _bytes_agree(self, verdict: Verdict) -> bool:
        """Whether what is present of an instance's outputs is what its record says."""
        for path, content in verdict.outputs.items():
            found = self.judge.store.current(self.root / path)
            differs = found is not None and found.md5 != content.md5
            if differs and not self._put_back(verdict, path, found.md5):
                self.refused.append(path)
                return False
            inline = verdict.record is None or "inline" in verdict.record.outputs[path]
            if found is not None and not inline:  # DVC asks its cache, too
                self.judge.store.hold(self.root / path, content)
        return True

    def _put_back(self, verdict: Verdict, path: str, there: str) -> bool:
        """Replace bytes of another record: nothing is lost by that.

        They lie there after a merge, or when params went back to what they were.
        """
        made = is_made(self.judge.records, self.judge.store, verdict, path, there)
        if verdict.record is None or not made:
            return False
        out = verdict.record.outputs[path]
        if "inline" in out:
            write_atomic(self.root / path, out["inline"])
            return True
        return self.judge.store.restore(out["md5"], self.root / path)

    def entry(self, instance: Instance) -> dict[str, Any] | None:
        verdict = self.verdicts[instance.name]
        if not verdict.valid or not self._bytes_agree(verdict):
            return None
        entry: dict[str, Any] = {"cmd": instance.call}
        if instance.deps:
            found = {
                lock_path(self.root, dep): self._dep(verdict, dep)
                for dep in instance.deps
            }
            entry["deps"] = [_entry(path, found[path]) for path in sorted(found)]
        if instance.params and not instance.read:  # else they are in the command
            named = self.pipeline.named_params(instance)
            entry["params"] = {"params.yaml": dict(sorted(named.items()))}
        outs = sorted(verdict.outputs.items())
        entry["outs"] = [_entry(path, content) for path, content in outs]
        return entry


def settle(root: Path) -> dict[str, Any]:
    """Write dvc.lock: valid instances from their records, others as they were.

    First, what can be put in place without loss is: code fingerprints, absent inline
    text, and what has the bytes of another record; and dvc.yaml is renewed. Returns
    {"valid": n, "kept": n, "refused": paths whose bytes differ from the record,
    "renewed": a line about dvc.yaml, or ""}. dvc.lock may be broken (by a merge): it is
    then written anew.
    """
    root = Path(root)
    pipeline = load_pipeline(root)
    renewed = renew(root, pipeline)
    writer = _Writer(root, pipeline)
    _place_text(root, writer)
    entries = {n: writer.entry(each) for n, each in pipeline.instances.items()}
    outdated = [name for name, entry in entries.items() if entry is None]
    old = locked_stages(root) if outdated else {}  # reading takes longer than writing
    stages = {n: entry for n, e in entries.items() if (entry := e or old.get(n))}
    kept = sum(name in old for name in outdated)
    if pipeline.watched:
        stages |= watch_entry(pipeline, writer.judge.store)
    if stages:
        text = lock_text({"schema": "2.0", "stages": stages})
        write_atomic(root / "dvc.lock", text)
    refused = writer.refused
    valid = len(entries) - len(outdated)
    return {"valid": valid, "kept": kept, "refused": refused, "renewed": renewed}


def _place_text(root: Path, writer: _Writer) -> None:
    """Put code fingerprints and absent inline text of valid records in place."""
    for verdict in writer.verdicts.values():
        if verdict.instance.stage == CODE_STAGE:
            text = writer.judge.code_text(verdict.instance.id)
            path = root / verdict.instance.outs[0].path
            if not path.is_file() or path.read_bytes() != to_bytes(text):
                write_atomic(path, text)
        elif verdict.record:
            for path, out in verdict.record.outputs.items():
                if "inline" in out and not (root / path).exists():
                    write_atomic(root / path, out["inline"])
