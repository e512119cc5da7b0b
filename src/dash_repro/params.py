"""Reading params.yaml: one clear error before any job, or values to rely on."""

from __future__ import annotations

import difflib
import sys
import unicodedata
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from dash_repro.params_checks import cross_checks
from runledger.errors import UserError
from runledger.yamlfile import Document, load_yaml, read_yaml

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = ROOT / "workflow" / "schemas" / "params.schema.yaml"
Key = tuple[str, ...]


class ParamsError(UserError):
    """params.yaml is not what the pipeline can run."""


def load_params(path: Path | str = "params.yaml") -> dict[str, Any]:
    """Read and validate a params.yaml.

    Raises:
        UserError: two YAML readers take it differently.
        ParamsError: with the offending key, its line, its value and what it may be.
    """
    document = read_yaml(path)
    if not isinstance(document.value, dict):
        raise ParamsError("not a mapping of sections", str(path), "see params.yaml")
    return validate(document.value, str(path), document)


def workspace_params(root: Path) -> dict[str, Any]:
    """Read and validate the params.yaml of a checkout; errors as `load_params`."""
    return load_params(Path(root) / "params.yaml")


def validate(
    params: Mapping[str, Any],
    where: str = "params.yaml",
    document: Document | None = None,
) -> dict[str, Any]:
    """Check types and ranges against the schema, then what only fits together.

    Args:
        params: what was read.
        where: named in errors.
        document: the file they were read from, for lines and inheritance.

    Returns:
        The params with the types that the schema names: a number is a float whether it
        was written 4 or 4.0, so that programs see one value where records see one.

    Raises:
        ParamsError: all problems found, one a line.
    """
    schema = load_yaml(SCHEMA)
    errors = _Validator(schema).iter_errors(params)
    problems = [problem for error in errors for problem in _problems(error)]
    problems += _unprintable(params)
    if not problems:
        params = _typed(params, schema)
        problems = [(tuple(k.split(".")), says) for k, says in cross_checks(params)]
    if problems:
        raise ParamsError(
            "\n".join(_listed(problems, document)),
            where,
            "correct it; nothing was started or changed",
        )
    return dict(params)


# JSON Schema takes 42.0 for an integer, 1.0 for the enumerated 1, and NaN for a number.


def _is_integer(_checker: object, value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(_checker: object, value: object) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and abs(value) <= sys.float_info.max


def _enum(
    _validator: object, allowed: list, value: object, _schema: object
) -> Iterator[jsonschema.ValidationError]:
    if not any(type(value) is type(one) and value == one for one in allowed):
        yield jsonschema.ValidationError(f"{value!r} is none of {allowed}")


_Validator = jsonschema.validators.extend(
    jsonschema.Draft202012Validator,
    {"enum": _enum},
    type_checker=jsonschema.Draft202012Validator.TYPE_CHECKER.redefine_many(
        {"integer": _is_integer, "number": _is_number}
    ),
)


def _typed(value: Any, schema: Mapping[str, Any]) -> Any:
    """A valid value with its numbers as floats (-0.0 as 0.0)."""
    if isinstance(value, Mapping):
        known, other = schema.get("properties", {}), schema.get("additionalProperties")
        return {key: _typed(one, known.get(key, other)) for key, one in value.items()}
    if isinstance(value, list):
        return [_typed(one, schema["items"]) for one in value]
    return float(value) + 0.0 if schema.get("type") == "number" else value


def _problems(error: jsonschema.ValidationError) -> Iterator[tuple[Key, str]]:
    """(key, what is wrong) of one finding of the schema."""
    key = tuple(str(part) for part in error.absolute_path)
    value = error.instance
    if error.validator == "additionalProperties" and isinstance(value, dict):
        known = list(error.schema.get("properties", {}))
        for name in value:
            if name not in known:
                close = difflib.get_close_matches(str(name), known, 1)
                hint = f" (did you mean '{close[0]}'?)" if close else ""
                yield (*key, str(name)), f"unknown key '{name}'{hint}"
    elif error.validator == "required":
        for name in error.validator_value:
            if name not in value and repr(name) in error.message:
                yield (*key, name), "missing; it is required"
    elif "propertyNames" in error.absolute_schema_path:
        says = "not a name (a small letter, then at most 63 of a-z, 0-9 and _)"
        yield (*key, str(value)), says
    elif error.validator == "type":
        kinds = error.validator_value
        kinds = kinds if isinstance(kinds, list) else [kinds]
        number = _number(value) if {"integer", "number"} & {*kinds} else ""
        wanted = f"{' or '.join(kinds)}" + (f"; write {number}" if number else "")
        yield key, f"{value!r} is {_kind(value)}, not of type {wanted}"
    else:
        yield key, error.message


def _number(value: Any) -> str:
    """How to write the number that a text or a float stands for; "" if none."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    for kind in (int, float):
        try:
            number = kind(value) if isinstance(value, str) else None
        except ValueError:
            continue
        if _is_number(None, number):
            return yaml.safe_dump(number).split()[0]
    return ""


def _kind(value: Any) -> str:
    if isinstance(value, str):
        return "text"
    if isinstance(value, bool):
        return "a truth value"
    if isinstance(value, float):
        return "a number with a point" if _is_number(None, value) else "not finite"
    return {int: "a whole number", dict: "a block", list: "a list"}.get(
        type(value), "empty"
    )


def _unprintable(value: Any, key: Key = ()) -> Iterator[tuple[Key, str]]:
    """Text that no file name, table or terminal shows as it is."""
    if isinstance(value, Mapping):
        for name, one in value.items():
            yield from _unprintable(name, (*key, ascii(name)[1:-1]))
            yield from _unprintable(one, (*key, ascii(name)[1:-1]))
    elif isinstance(value, list):
        for index, one in enumerate(value):
            yield from _unprintable(one, (*key, str(index)))
    elif isinstance(value, str) and any(map(_is_control, value)):
        yield key, f"{value!a} has characters that cannot be printed"


def _is_control(char: str) -> bool:
    return unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp")


def _listed(problems: list[tuple[Key, str]], document: Document | None) -> list[str]:
    """One line a problem, at the block where it was written; then who inherits it."""
    if document is None:
        return [f"{'.'.join(key) or 'top level'}: {says}" for key, says in problems]
    found: dict[tuple[Key, str], list[Key]] = {}
    for key, says in problems:
        found.setdefault((document.origin(key), says), []).append(key)
    lines = []
    for (origin, says), keys in found.items():
        first = origin if origin in keys else keys[0]
        others = len(keys) - 1
        word = "inherits" if others == 1 else "inherit"
        tail = f", and {others} that {word} it" if others else ""
        name = ".".join(first) or "top level"
        line = document.line(first)
        lines.append((line, f"line {line}: {name}: {says}{tail}"))
    return [text for _, text in sorted(lines)]
