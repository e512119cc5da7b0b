"""Reading params.yaml: one clear error before any job, or values to rely on."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from dash_repro.params.checks import cross_checks
from dash_repro.params.definition import Params
from dash_repro.params.lookup import close, fields, find, scalar, schema, with_defaults
from dash_repro.params.overlay import BASE, Layers
from runledger.errors import UserError, printable

Key = tuple[str, ...]


class ParamsError(UserError):
    """params.yaml is not what the pipeline can run."""


def load_params(path: Path | str = "params.yaml", fill: bool = False) -> dict[str, Any]:
    """Read and validate a params file, over the base that it may name.

    Args:
        path: of the file.
        fill: keys that it lacks take their defaults, where they have one.

    Raises:
        UserError: a file is missing, or two YAML readers take it differently.
        ParamsError: with the offending key, its line, its value and what it may be.
    """
    layers = Layers.read(path)
    value = with_defaults(layers.value(), schema()) if fill else layers.value()
    return validate(value, str(path), layers)


def workspace_params(root: Path) -> dict[str, Any]:
    """Read and validate the params.yaml of a checkout, which has no base.

    Raises:
        UserError: as `load_params`; or it has one.
    """
    path = Path(root) / "params.yaml"
    layers = Layers.read(path)
    if layers.overlaid:
        raise ParamsError(
            "this params.yaml names a base, but DVC reads params.yaml alone",
            f"{path}, line {layers.documents[0][1].line((BASE,))}",
            "move it to another file, and run: python -m dash_repro.workspace DIR OVERLAY",
        )
    return validate(layers.value(), str(path), layers)


def validate(
    params: Mapping[str, Any],
    where: str = "params.yaml",
    layers: Layers | None = None,
) -> dict[str, Any]:
    """Check types and ranges against the definition, then what only fits together.

    Args:
        params: what was read.
        where: named in errors.
        layers: the files they were read from, for lines and inheritance.

    Returns:
        The params with the types that the definition names: a number is a float whether
        it was written 4 or 4.0, so that programs see one value where records see one.

    Raises:
        ParamsError: all problems found, one a line.
    """
    problems = list(_unprintable(params))
    typed: dict[str, Any] = {}
    try:
        typed = Params.model_validate(params).model_dump()
        tables = typed["experiments"]
        typed["experiments"] = {name: one for name, one in tables.items() if one}
    except ValidationError as error:
        problems = [*map(_problem, error.errors(include_url=False)), *problems]
    if not problems:
        problems = [(tuple(k.split(".")), says) for k, says in cross_checks(typed)]
    if problems:
        raise ParamsError(
            "\n".join(_listed(problems, layers)),
            where,
            "correct it; nothing was started or changed",
        )
    return typed


def _problem(error: ErrorDetails) -> tuple[Key, str]:
    """(key, what is wrong) of one finding of pydantic."""
    key = tuple(str(part) for part in error["loc"] if part != "[key]")
    kind, value = error["type"], error["input"]
    if kind == "missing":
        default = find(key).get("default", ...)
        hint = "" if default is ... else f" ({scalar(default)} in the paper)"
        return key, f"missing; it is required{hint}"
    if kind == "extra_forbidden":
        hint = close(key[-1], fields(find(key[:-1])))
        return key, f"unknown key '{key[-1]}'{hint}"
    if "[key]" in error["loc"]:
        return key, "not a name (a small letter, then at most 63 of a-z, 0-9 and _)"
    shown = repr(value) if len(repr(value)) < 80 else f"{repr(value)[:60]}..."
    says = re.sub(r"^\w+", "", error["msg"])
    if kind in ("model_type", "dict_type"):
        says = " should be a block of keys"
    if kind in ("int_type", "float_type"):
        number = _number(value, "int" in kind)
        says += f"; write {number}" if number else ""
    return key, f"{shown}{says}"


def _number(value: Any, whole: bool) -> str:
    """How to write the number that a text or a float stands for; "" if none."""
    try:
        number = float(value) if isinstance(value, str | float) else None
    except ValueError:
        return ""
    if number is None or abs(number) == float("inf") or number != number:
        return ""
    if number.is_integer() and (whole or "." not in str(value)):
        return str(int(number))
    return "" if whole else scalar(number)


def _unprintable(value: Any, key: Key = ()) -> Iterator[tuple[Key, str]]:
    """Text that no file name, table or terminal shows as it is."""
    if isinstance(value, str) and printable(value) != value:
        yield key, f"{value!a} has characters that cannot be printed"
    elif isinstance(value, Mapping | list):
        parts = value.items() if isinstance(value, Mapping) else enumerate(value)
        for name, one in parts:
            inner = (*key, ascii(str(name))[1:-1])
            yield from _unprintable(name, inner)
            yield from _unprintable(one, inner)


def _listed(problems: list[tuple[Key, str]], layers: Layers | None) -> list[str]:
    """One line a problem, at the block where it was written; then who inherits it."""
    if layers is None:
        return [f"{'.'.join(key) or 'top level'}: {says}" for key, says in problems]
    found: dict[tuple[int, Key, str], list[Key]] = {}
    for key, says in problems:
        found.setdefault((*layers.nearest(key), says), []).append(key)
    lines = []
    for (number, origin, says), names in found.items():
        first = origin if origin in names else names[0]
        others = len(names) - 1
        word = "inherits" if others == 1 else "inherit"
        tail = f", and {others} that {word} it" if others else ""
        if first != origin:
            tail = f"{tail or ', inherited'} from {'.'.join(origin[:-1])}"
        file, line = layers.line(number, origin)
        place = f"{file}, line {line}" if layers.overlaid else f"line {line}"
        name = ".".join(first) or "top level"
        lines.append((number, line, f"{place}: {name}: {says}{tail}"))
    return [text for _, _, text in sorted(lines)]
