"""Record files as they lie on disk, each with its first defect."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from runledger.canonical import digest, pretty, to_bytes
from runledger.pipeline import split_name
from runledger.project import ledger_path
from runledger.records import Record, recipe_key
from runledger.store import md5_text


@dataclass
class RawRecord:
    """A record file as found on disk, with its first defect ("" if none)."""

    path: Path
    folder: str  # stage/id, from where it lies
    record: Record | None
    wrong: str = ""


def read_raw(root: Path) -> list[RawRecord]:
    """Read every file of a record; a broken one is kept with the reason."""
    folder = ledger_path(root, "records")
    found = []
    for path in sorted(folder.glob("**/*")):
        if not path.is_file():
            continue
        place = path.parent.relative_to(folder).as_posix()
        try:
            text = path.read_text(encoding="utf-8")
            record = Record(**json.loads(text))
        except (OSError, ValueError, TypeError) as error:
            found.append(RawRecord(path, place, None, f"not a record: {error}"))
            continue
        found.append(RawRecord(path, place, record, _wrong(record, text, path)))
    return found


def _wrong(record: Record, text: str, path: Path) -> str:
    """Say how a record disagrees with itself or with where it lies."""
    place = f"{path.parent.parent.name}/{path.parent.name}"
    if record.key != recipe_key(record.recipe, record.inputs):
        return "edited: its key is not that of its recipe and inputs"
    if record.seal != record.content_seal():
        return "edited: its seal is not that of its outputs and run"
    if to_bytes(text) != to_bytes(pretty(vars(record))):
        return "edited: it is not laid out as records are written"
    stage, id = split_name(record.instance)
    own = f"{stage}/{id or '_'}"
    if place != own or path.stem != record.key:
        return f"misplaced: it is {record.key} of {own}"
    recipe = record.recipe
    if (recipe["stage"], recipe["id"]) != (stage, id):
        return f"its recipe is of {recipe['stage']}/{recipe['id']}"
    if recipe["code"] != digest(record.code_modules):
        return "its list of modules is not the code of its recipe"
    for out_path, out in record.outputs.items():
        if "inline" in out and md5_text(out["inline"]) != out["md5"]:
            return f"its copy of {out_path} has another md5 than it says"
    return ""
