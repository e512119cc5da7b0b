"""Records: what was made, from what, by which code and params, in which bytes."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runledger.canonical import (
    canonical,
    digest_of,
    joined,
    pretty,
    to_bytes,
    write_atomic,
)
from runledger.errors import UserError
from runledger.pipeline import Instance
from runledger.project import ledger_path
from runledger.sources import counted
from runledger.store import Digest

SCHEMA = 1


def recipe_key(frozen: Mapping[str, Any], inputs: Mapping[str, str]) -> str:
    """Name a recipe: digest of its frozen part and the md5 of every input."""
    return recipe_key_of(canonical(frozen), inputs)


def recipe_key_of(frozen: str, inputs: Mapping[str, str]) -> str:
    """Name a recipe by the canonical text of its frozen part."""
    return digest_of(joined({"frozen": frozen, "inputs": canonical(dict(inputs))}))


@dataclass
class Record:
    """One finished run of one instance.

    ``recipe`` is the frozen part (stage, id, item, params, cmd, code), ``inputs`` maps
    paths (or names, see sources.py) to md5, ``outputs`` maps paths to md5, size and,
    for text that lives in git, the text itself. ``adopted`` is set where existing bytes
    were accepted by hand.
    """

    instance: str
    key: str
    recipe: dict[str, Any]
    inputs: dict[str, str]
    code_modules: dict[str, str]
    outputs: dict[str, dict[str, Any]]
    run: dict[str, Any]
    adopted: dict[str, Any] | None = None
    schema: int = SCHEMA
    seal: str = field(default="")

    def unsealed(self) -> str:
        """Return the file's text with an empty seal."""
        return pretty({**vars(self), "seal": ""})

    def content_seal(self) -> str:
        """Digest everything but the seal itself; an edit by hand breaks it."""
        return hashlib.sha256(to_bytes(self.unsealed())).hexdigest()[:32]


def _sealed(text: str, seal: str) -> bool:
    """Whether a seal is that of a record's text (its own place left empty)."""
    bare = text.replace(f'\n "seal": "{seal}"', '\n "seal": ""', 1)
    return hashlib.sha256(bare.encode()).hexdigest()[:32] == seal


def recorded(record: Record, name: str) -> Digest:
    """Return what a record says of an input outside the checkout."""
    about = record.run.get("outside", {}).get(name, {})
    return Digest(record.inputs[name], about.get("size", 0), about.get("nfiles"))


class Records:
    """The records of a checkout: <folder>/records/<stage>/<id>/<key>.json."""

    def __init__(self, root: Path) -> None:
        self.folder = ledger_path(root, "records")

    def path(self, instance: Instance, key: str) -> Path:
        """Return where the record of an instance and a key lives."""
        return self.folder / instance.key_name / f"{key}.json"

    def load(self, path: Path) -> Record:
        """Read one record.

        Raises:
            UserError: not readable, or its key and content disagree.
        """
        remedy = (
            "restore it from git (git checkout -- FILE); if it never was committed, "
            "delete it and run the same command again"
        )
        try:
            text = path.read_text(encoding="utf-8")
            record = Record(**json.loads(text))
        except (OSError, ValueError, TypeError) as error:
            raise UserError(f"not a record: {error}", str(path), remedy) from None
        if not _sealed(text, record.seal) or path.stem != record.key:
            raise UserError("a record was edited by hand", str(path), remedy)
        return record

    def get(self, instance: Instance, key: str) -> Record | None:
        """Return the record of a key, or None."""
        path = f"{self.folder}/{instance.key_name}/{key}.json"  # a Path costs more
        return self.load(Path(path)) if os.path.exists(path) else None

    def match(
        self,
        instance: Instance,
        key: str,
        frozen: Mapping[str, Any],
        inputs: Mapping[str, str],
    ) -> Record | None:
        """Return the record of a recipe and its inputs, whose key is given, or None.

        One of before a param was declared uncounted, or when the same params were
        listed otherwise, has another key and is as good.

        Raises:
            UserError: the record of this very key cannot be used.
        """
        record = self.get(instance, key)
        if record is None:
            same = self.of_recipe(instance, frozen)
            record = next((r for r in reversed(same) if r.inputs == inputs), None)
        return record

    def of_recipe(self, instance: Instance, frozen: Mapping[str, Any]) -> list[Record]:
        """Return the records of a frozen recipe with whatever inputs, latest last."""
        wanted = counted(frozen, instance.uncounted)
        return [
            record
            for record in self.history(instance.stage, instance.id)
            if counted(record.recipe, instance.uncounted) == wanted
        ]

    def history(self, stage: str, id: str) -> list[Record]:
        """Return all intact records of an instance, latest last."""
        return sorted(
            self._readable(self.folder / stage / (id or "_")),
            key=lambda record: str(record.run.get("end") or ""),
        )

    def made(self, instance: Instance, path: str, md5: str) -> bool:
        """Tell whether some record of an instance has these bytes at that path."""
        return any(
            record.outputs.get(path, {}).get("md5") == md5
            for record in self.history(instance.stage, instance.id)
        )

    def _readable(self, folder: Path) -> Iterator[Record]:
        for path in sorted(folder.glob("*.json")):
            try:
                yield self.load(path)
            except UserError:
                continue

    def all(self) -> Iterator[Record]:
        """Yield every intact record, current or not."""
        for folder, _, names in sorted(os.walk(self.folder)):
            if names:
                yield from self._readable(Path(folder))

    def write(self, instance: Instance, record: Record) -> Path:
        """Seal and write a record, atomically."""
        record.seal = record.content_seal()
        path = self.path(instance, record.key)
        write_atomic(path, pretty(vars(record)), durable=True)
        return path
