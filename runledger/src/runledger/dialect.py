"""What of DVC's dvc.yaml is read here; all else is refused by name, never guessed.

DVC's language has more than a reader needs that must be fast and never wrong: what a
stage stands for here is what it stands for in DVC, or there is an error that says which
part is not known and what to write instead. A test compares both readings.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping
from typing import Any

from runledger.errors import UserError

_TOP = {"stages", "vars"}
_SHOWN = {"metrics", "plots", "params", "artifacts"}  # what to show; they run nothing
_PATHS = ("deps", "outs", "metrics", "plots")
_STAGE = {"cmd", "params", "desc", "meta", *_PATHS}
_NOTES = {"desc", "type", "labels", "meta"}
_PLOT = {"template", "x", "y", "x_label", "y_label", "title", "header"}
_EXPRESSION = re.compile(r"\$\{(.*?)\}")
_KEY = re.compile(r"[^\s.\[\]{}]+(\.[^\s.\[\]{}]+|\[[^\s.\[\]{}]+\])*")
_INSTEAD = {  # a key of a stage that is not read: what to write instead
    "wdir": "write paths from the repository's root",
    "vars": "put the values into params.yaml",
    "frozen": "remove it: a frozen stage is out of date for one tool and not the other",
    "always_changed": "remove it: such a stage is never valid",
    "persist": "remove it: a job makes its outputs anew",
    "push": "remove it: every recorded output is pushed",
    "remote": "remove it: a remote is the project's (dvc remote default)",
    "checkpoint": "remove it: DVC 3 has no checkpoints",
    "datasets": "track the data with dvc add, or list the path under deps",
}


def refuse(what: str, stage: str, remedy: str) -> UserError:
    """Return the error for a part of a stage (or of the file, if it is "")."""
    return UserError(what, f"dvc.yaml, stage {stage}" if stage else "dvc.yaml", remedy)


def mapping(value: Any, what: str, stage: str) -> Mapping[str, Any]:
    """Return what has to be a mapping.

    Raises:
        UserError: it is none, or has keys that are no text.
    """
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return value
    raise refuse(f"{what} is not a mapping with text as keys", stage, "write one")


def _only(spec: Mapping[str, Any], known: set[str], stage: str, of: str = "") -> None:
    for key in spec.keys() - known:
        remedy = _INSTEAD.get(key, "remove it")
        raise refuse(f"`{key}`{of} is not supported", stage, remedy)


def _expressions(value: Any) -> Iterator[str]:
    """Yield all text, to look for ${...}."""
    if isinstance(value, Mapping):
        for key, entry in value.items():
            yield from _expressions(key)
            yield from _expressions(entry)
    elif isinstance(value, list):
        for entry in value:
            yield from _expressions(entry)
    elif isinstance(value, str):
        yield value


def variable_files(dvc: Any) -> list[str]:
    """Return the files that ``vars`` of a parsed dvc.yaml names.

    Raises:
        UserError: it has something else.
    """
    names = dvc.get("vars") if isinstance(dvc, Mapping) else None
    for entry in names or []:
        if not isinstance(entry, str):
            remedy = "put the values into params.yaml"
            raise refuse("`vars` with values in place is not supported", "", remedy)
        if not entry.endswith((".yaml", ".yml")):
            what = f"`vars: {entry}` is not supported"
            raise refuse(what, "", "name a whole YAML file, without keys")
    return names or []


def _paths(spec: Mapping[str, Any]) -> Iterator[str]:
    """Yield the paths of a stage as they are written."""
    for kind in _PATHS:
        for entry in spec.get(kind) or []:
            yield from entry if isinstance(entry, Mapping) else [str(entry)]


def check_file(dvc: Any) -> Mapping[str, Any]:
    """Look at a parsed dvc.yaml before anything is filled in; returns its stages.

    Raises:
        UserError: it has what is not known.
    """
    dvc = mapping(dvc, "the file", "")
    _only(dvc, _TOP | _SHOWN, "")
    stages = mapping(dvc.get("stages") or {}, "`stages`", "")
    for name, spec in stages.items():
        _check_stage(name, mapping(spec, "it", name))
    return stages


def _check_stage(name: str, spec: Mapping[str, Any]) -> None:
    if "foreach" in spec or "do" in spec:
        _only(spec, {"foreach", "do"}, name, " beside `foreach` and `do`")
        if spec.keys() != {"foreach", "do"}:
            raise refuse("`foreach` and `do` go together", name, "write both")
        _only(mapping(spec["do"], "`do`", name), _STAGE, name)
    else:
        _only(spec, {*_STAGE, "matrix"}, name)
    for text in _paths(spec.get("do", spec)):
        normal = posixpath.normpath(text)
        if normal != text and "${" not in text and "://" not in text:
            what = f"the path {text!r} is not supported"
            raise refuse(what, name, f"write {normal}")
    for text in _expressions(spec):
        if "\\${" in text:
            remedy = "write $NAME in place of ${NAME}"
            raise refuse(
                f"an escaped `\\${{` in {text!r} is not supported", name, remedy
            )
        for inner in _EXPRESSION.findall(text):
            if not _KEY.fullmatch(inner):
                remedy = "write ${key}, or ${section.key}, without blanks"
                raise refuse(f"`${{{inner}}}` is not supported", name, remedy)


def choices(data: Any, stage: str) -> dict[str, Any]:
    """Return {key: item} of ``foreach``: a mapping, or a list of plain values.

    Raises:
        UserError: it is something else, or a list of mappings or lists, which DVC would
            name by their place in the list.
    """
    if isinstance(data, Mapping):
        return dict(mapping(data, "`foreach`", stage))
    return {text(value): value for value in plain(data, stage, "foreach")}


def plain(data: Any, stage: str, of: str) -> list[Any]:
    """Return a list of plain values, such as one axis of ``matrix``.

    Raises:
        UserError: it is something else.
    """
    if not isinstance(data, list):
        raise refuse(f"`{of}` is no list and no mapping", stage, "write [a, b]")
    if any(isinstance(value, Mapping | list) for value in data):
        what = f"a list of mappings or lists in `{of}` is not supported"
        remedy = "write a mapping {name: values}: names stay when the order changes"
        raise refuse(what, stage, remedy)
    return data


def text(value: Any) -> str:
    """Return a plain value as DVC puts it into text.

    Raises:
        UserError: it is not plain.
    """
    if isinstance(value, Mapping | list):
        what = f"a mapping or a list cannot be put into text: {value!r:.60}"
        raise refuse(what, "", "name one value in it")
    return str(value).lower() if isinstance(value, bool) else str(value)


def check_filled(name: str, spec: Mapping[str, Any]) -> None:
    """Look at a stage whose ${...} are filled in.

    Raises:
        UserError: it has what is not known.
    """
    cmd = spec.get("cmd")
    if not isinstance(cmd, str) or not cmd.strip():
        kind = f"a {type(cmd).__name__} as `cmd`" if cmd else "a stage without `cmd`"
        remedy = "write one command; join several with &&"
        raise refuse(f"{kind} is not supported", name, remedy)
    for kind in ("params", *_PATHS):
        if not isinstance(spec.get(kind) or [], list):
            raise refuse(f"`{kind}` is no list", name, "begin each entry with a hyphen")
    for key in spec.get("params") or []:
        if not isinstance(key, str):
            what = "params of other files than params.yaml are not supported"
            raise refuse(what, name, "list dotted keys of params.yaml")
    for kind in _PATHS:
        for entry in spec.get(kind) or []:
            _check_path(name, kind, entry)


def _check_path(name: str, kind: str, entry: Any) -> None:
    if isinstance(entry, Mapping) and kind != "deps":
        if len(entry) != 1:
            what = f"an entry of `{kind}` with several paths is not supported"
            raise refuse(what, name, "begin each path with a hyphen")
        ((entry, options),) = entry.items()
        options = mapping(options or {}, f"what `{kind}` says of {entry}", name)
        known = {"cache", *_NOTES, *(_PLOT if kind == "plots" else ())}
        _only(options, known, name, f" of {entry}")
    if not isinstance(entry, str):
        what = f"a {type(entry).__name__} in `{kind}` is not supported"
        raise refuse(what, name, "write a path")
    if "://" in entry:
        what = f"{entry} in `{kind}` is not supported"
        raise refuse(what, name, "name a file: `dvc import-url` makes it one")
    if kind != "deps" and entry.startswith(("/", "../")):
        what = f"an output outside the repository is not supported: {entry}"
        raise refuse(what, name, "write it below the repository's root")
