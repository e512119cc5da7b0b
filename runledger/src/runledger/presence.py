"""What is on disk of the outputs of valid instances.

PRESENT: the recorded bytes. OTHER: those of another record (params went back, or
another branch is checked out): nothing is wrong with them, and they are replaced when
the recorded ones are needed. WRONG: bytes that no job made.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from runledger.canonical import write_once
from runledger.errors import UserError
from runledger.judge import Verdict
from runledger.pipeline import Pipeline
from runledger.project import ledger_folder
from runledger.records import Records
from runledger.store import Store

PRESENT, ABSENT, OTHER, WRONG = "present", "absent", "other", "wrong"
SMALL = 1 << 20  # bytes; what people edit by hand is smaller


def state_of(root: Path, store: Store, verdict: Verdict, path: str) -> str:
    """Return what is on disk of one output of a valid instance.

    Bytes are read only if size, inode or times are not those of the last look.
    """
    try:
        found = store.current(root / path)
    except (OSError, UserError):  # not to be read, or no folder that a stage makes
        return WRONG
    if found is None:
        return ABSENT
    if found.md5 == verdict.outputs[path].md5:
        return PRESENT
    made = is_made(Records(root), store, verdict, path, found.md5)
    return OTHER if made else WRONG


def is_made(
    records: Records, store: Store, verdict: Verdict, path: str, md5: str
) -> bool:
    """Tell whether a job made these bytes: a record says so, or the cache has them.

    A record of another branch is not in the checkout; its bytes stay in the cache.
    """
    return records.made(verdict.instance, path, md5) or store.has(md5)


class Presence:
    """Looks at each output of the valid instances once.

    Args:
        root, store, pipeline: of the checkout.
        verdicts: those on all instances.
    """

    def __init__(
        self,
        root: Path,
        store: Store,
        pipeline: Pipeline,
        verdicts: Mapping[str, Verdict],
    ) -> None:
        self.root, self.store, self.pipeline = Path(root), store, pipeline
        self.verdicts = verdicts
        self._states: dict[str, str] = {}

    def state(self, path: str) -> str:
        """Return what is on disk; "" if its maker has no valid record."""
        if path not in self._states:
            verdict = self.verdicts[self.pipeline.producer[path]]
            known = verdict.valid and verdict.record is not None
            self._states[path] = (
                state_of(self.root, self.store, verdict, path) if known else ""
            )
        return self._states[path]

    def inline(self, path: str) -> str | None:
        """Return the text of an output that its record keeps; None of others."""
        record = self.verdicts[self.pipeline.producer[path]].record
        return record.outputs[path].get("inline") if record else None

    def at_hand(self, path: str) -> bool:
        """Tell whether the recorded bytes are in the record or in the cache."""
        content = self.verdicts[self.pipeline.producer[path]].outputs[path]
        return self.inline(path) is not None or self.store.looks_sound(content.md5)

    def set_aside(self, path: str) -> str | None:
        """Keep a small file that is about to be replaced; returns where, if anywhere.

        It may be an edit by hand, which exists nowhere else.
        """
        file = self.root / path
        if not file.is_file() or file.stat().st_size > SMALL:
            return None
        md5 = self.store.current(file).md5
        kept = f"{ledger_folder(self.root)}/.state/replaced/{md5}/{file.name}"
        write_once(self.root / kept, file.read_bytes())
        return kept
