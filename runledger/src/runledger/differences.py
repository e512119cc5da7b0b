"""Why an instance is stale, in words: what differs from its most similar record."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runledger.canonical import canonical, leaves
from runledger.records import Record, recorded
from runledger.store import only_line_ends

NAMED = 3  # of what was added or removed

if TYPE_CHECKING:
    from runledger.judge import Verdict


def differ(
    record: Record,
    verdict: Verdict,
    inputs: Mapping[str, str] | None,
    modules: Mapping[str, str],
    root: Path,
) -> list[str]:
    """List in words what changed since a record was made."""
    old, frozen = record.recipe, verdict.frozen
    params = leaves(old["params"])
    for key in verdict.instance.uncounted:
        params.pop(key, None)
    words = [f"params: {c}" for c in _changes(params, leaves(frozen["params"]))]
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
            words.append(f"input {path} {word}{_counts(record, verdict, path)}")
    return words


def _only_line_ends(path: Path, md5: str) -> bool:
    small = path.is_file() and path.stat().st_size < 1 << 20  # as texts are
    return small and only_line_ends(path.read_bytes(), md5)


def _counts(record: Record, verdict: Verdict, name: str) -> str:
    """Say how many files and bytes an input had and has, if it lies outside."""
    now = [verdict.sources[dep] for dep, n in verdict.outside.items() if n == name]
    if not now or name not in record.inputs:
        return ""
    both = [recorded(record, name), *now]
    return " ({})".format(
        " -> ".join(f"{c.nfiles or 1} files, {c.size} bytes" for c in both)
    )


def _changes(old: Any, new: Any, prefix: str = "") -> list[str]:
    """List the leaves in which two parameter trees differ, as 'key: old -> new'.

    Of lists and of blocks it says what was added and removed.
    """
    if canonical(old) == canonical(new):
        return []
    if isinstance(old, dict) and isinstance(new, dict):
        gone = {k for k in old.keys() - new.keys() if isinstance(old[k], dict)}
        come = {k for k in new.keys() - old.keys() if isinstance(new[k], dict)}
        found = [
            change
            for key in sorted({*old, *new} - gone - come)
            for change in _changes(
                old.get(key, "(absent)"),
                new.get(key, "(absent)"),
                f"{prefix}.{key}" if prefix else key,
            )
        ]
        moved = _moved(sorted(gone), sorted(come))
        return [*found, f"{prefix}: {moved}".removeprefix(": ")] if moved else found
    if isinstance(old, list) and isinstance(new, list):
        gone = [one for one in old if one not in new]
        moved = _moved(gone, [one for one in new if one not in old])
        if moved or sorted(map(canonical, old)) == sorted(map(canonical, new)):
            return [f"{prefix}: {moved or 'in another order'}"]
    return [f"{prefix}: {_short(old)} -> {_short(new)}"]


def _moved(gone: list[Any], new: list[Any]) -> str:
    """What was added and removed, a few by name."""
    parts = [("added", new), ("removed", gone)]
    return ", ".join(f"{word} {_listed(values)}" for word, values in parts if values)


def _listed(values: list[Any]) -> str:
    rest = len(values) - NAMED
    named = " ".join(_short(value) for value in values[:NAMED])
    return f"{named} +{rest}" if rest > 0 else named


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else canonical(value)
    return text if len(text) <= 60 else text[:57] + "..."
