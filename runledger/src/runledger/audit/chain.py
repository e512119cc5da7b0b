"""What the checks share: instances, raw records, verdicts, dvc.lock, ancestry."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from runledger.audit.raw import RawRecord, read_raw
from runledger.judge import Judge, Verdict
from runledger.locktext import locked_stages
from runledger.pipeline import CODE_STAGE, Pipeline
from runledger.project import load_pipeline
from runledger.records import Record
from runledger.store import Digest, Store, hash_path

OBJECTION, UNCHECKED, NOTICE = "objection", "not checked", "notice"
LEVELS = (OBJECTION, UNCHECKED, NOTICE)


@dataclass(frozen=True, order=True)
class Finding:
    """One thing that a reviewer should know.

    Attributes:
        level: OBJECTION (the audit fails), UNCHECKED, or NOTICE (for information).
        kind: two or three words that group findings.
        subject: file, instance, cell or commit it is about.
        detail: what was found and what was expected.
        instances: in doubt, and with them everything that depends on them.
        cells: table cells and figures in doubt (filled in by who knows the tables).
    """

    level: str
    kind: str
    subject: str
    detail: str
    instances: tuple[str, ...] = ()
    cells: tuple[str, ...] = ()

    def with_cells(self, cells: Iterable[str]) -> Finding:
        """The same finding with the cells it taints."""
        return replace(self, cells=tuple(sorted({*self.cells, *cells})))


@dataclass
class Bytes:
    """What is known of one recorded output's bytes.

    ``state``: ok | wrong | cache (absent, but in the DVC cache) | remote | absent.
    """

    path: str
    expected: Digest
    state: str = "absent"
    found: Digest | None = None


class FreshStore(Store):
    """A store that reads bytes instead of remembering, and writes nothing."""

    def remember(self, path: Path, content: Digest) -> None:
        """Remember nothing: an audit leaves no trace."""

    def current(self, path: Path) -> Digest | None:
        """Hash the bytes as they are now; None if absent."""
        return hash_path(path, self.ignored(path)) if path.exists() else None


@dataclass
class Chain:
    """A checkout under audit.

    Args:
        root: the checkout.
    """

    root: Path
    pipeline: Pipeline = field(init=False)
    verdicts: dict[str, Verdict] = field(init=False)
    bytes: dict[str, Bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.root = Path(self.root)
        self.pipeline = load_pipeline(self.root)
        judge = Judge(self.root, self.pipeline)
        judge.store = FreshStore(self.root)
        self.verdicts = judge.judge()
        self._ancestors: dict[str, frozenset[str]] = {}

    @cached_property
    def instances(self) -> list[str]:
        """Names of all instances that have records."""
        return [
            name
            for name, verdict in self.verdicts.items()
            if verdict.instance.stage != CODE_STAGE
        ]

    @cached_property
    def lock(self) -> dict[str, Any] | None:
        """The stages of dvc.lock; None if there is no such file."""
        if not (self.root / "dvc.lock").is_file():
            return None
        return locked_stages(self.root)

    @cached_property
    def raw(self) -> list[RawRecord]:
        """Every record file, readable or not."""
        return read_raw(self.root)

    @cached_property
    def by_folder(self) -> dict[str, list[Record]]:
        """{stage/id: records that could be read, latest last}."""
        found: dict[str, list[Record]] = {}
        for raw in self.raw:
            if raw.record is not None and not raw.wrong:
                found.setdefault(raw.folder, []).append(raw.record)
        for records in found.values():
            records.sort(key=lambda record: str(record.run.get("end") or ""))
        return found

    @cached_property
    def makers(self) -> dict[str, str]:
        """{md5 of an output: its path}, over all records."""
        return {
            out["md5"]: path
            for records in self.by_folder.values()
            for record in records
            for path, out in record.outputs.items()
        }

    def record_of(self, name: str) -> Record | None:
        """The record behind an instance: the valid one, or the latest there is."""
        verdict = self.verdicts[name]
        if verdict.record is not None:
            return verdict.record
        past = self.by_folder.get(verdict.instance.key_name)
        return past[-1] if past else None

    def ancestors(self, name: str) -> frozenset[str]:
        """An instance and everything it depends on, code fingerprints left out."""
        if name not in self._ancestors:
            found = {name}
            for dep in self.verdicts[name].instance.deps:
                maker = self.pipeline.producer.get(dep)
                if maker and self.verdicts[maker].instance.stage != CODE_STAGE:
                    found |= self.ancestors(maker)
            self._ancestors[name] = frozenset(found)
        return self._ancestors[name]
