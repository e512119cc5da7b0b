"""Finding keys of params.yaml in their definition."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Any

import yaml

from dash_repro.params.definition import Params
from dash_repro.params.keys import NAME

Node = dict[str, Any]
ABSENT = object()
KINDS = {"integer": "whole number", "number": "number", "string": "text"}
KINDS |= {"boolean": "true or false", "null": "null"}
BOUNDS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤"}
BOUNDS |= {"exclusiveMaximum": "<"}


@cache
def schema() -> Node:
    """The JSON schema (draft 2020-12) of params.yaml; what `keys.key` says is in it."""
    return Params.model_json_schema()


def resolve(node: Node) -> Node:
    """A node of the schema, with what it refers to by $ref."""
    if "$ref" not in node:
        return node
    found = schema()["$defs"][node["$ref"].rpartition("/")[2]]
    return {**found, **{name: node[name] for name in node if name != "$ref"}}


def fields(node: Node) -> dict[str, Node]:
    """The keys of a section's node."""
    return {name: resolve(one) for name, one in node.get("properties", {}).items()}


def block(node: Node) -> Node:
    """What each of a section's named blocks is; {} if it has none."""
    names = list(node.get("patternProperties", {}).values())
    return resolve((names or [node.get("additionalProperties")])[0] or {})


def inner(node: Node, name: str) -> Node:
    """The definition of a key in a section or a named block; {} if there is none."""
    return fields(node).get(name) or block(node)


def find(path: Iterable[str]) -> Node:
    """The definition at a path, such as ("students", "dash", "lambda_an"); or {}."""
    node = schema()
    for part in path:
        node = inner(node, part)
    return node


def is_key(node: Node) -> bool:
    """Whether it is a key, and not a section or a block."""
    nested = "properties" in node or "properties" in block(node)
    return "description" in node and not nested


def with_defaults(value: Mapping[str, Any], node: Node) -> dict[str, Any]:
    """A section with the keys it lacks, where all of theirs have a default."""
    found = dict(value)
    for name, one in fields(node).items():
        given = value.get(
            name, {} if "properties" in one else one.get("default", ABSENT)
        )
        filled = with_defaults(given, one) if isinstance(given, Mapping) else given
        if name in value or filled not in (ABSENT, {}):
            found[name] = filled
    return found


def keys(node: Node | None = None, path: str = "") -> Iterator[tuple[str, Node]]:
    """(dotted key, definition) of all sections and keys; <name> stands for a block's.

    Keys that a section's blocks inherit are not repeated.
    """
    node = schema() if node is None else node
    inside = fields(node)
    if block(node) and "inherits" not in node:
        inside = {"<name>": block(node)}
    for name, one in inside.items():
        dotted = f"{path}.{name}".lstrip(".")
        if "description" in one:
            yield dotted, one
        yield from keys(one, dotted)


def allowed(node: Node) -> str:
    """What a value may be, in words: "whole number ≥ 1", "adam, adamw"."""
    if "anyOf" in node:
        return " or ".join(allowed(resolve(one)) for one in node["anyOf"])
    if "enum" in node or "const" in node:
        return ", ".join(str(one) for one in node.get("enum", [node.get("const")]))
    if node.get("type") == "array":
        inside = allowed(resolve(node["items"]))
        return f"list of {re.sub('number|name', lambda one: one[0] + 's', inside)}"
    if node.get("type") == "object":
        return "block"
    if "pattern" in node:
        return "name" if node["pattern"] == NAME else f"text that is {node['pattern']}"
    bounds = [f"{sign} {node[name]}" for name, sign in BOUNDS.items() if name in node]
    return f"{KINDS[node['type']]} {', '.join(bounds)}".strip()


def close(name: object, known: Iterable[str]) -> str:
    """A hint at the known name that may have been meant, or ""."""
    found = difflib.get_close_matches(str(name), list(known), 1)
    return f" (did you mean '{found[0]}'?)" if found else ""


def at(value: Any, path: Iterable[str]) -> Any:
    """What params or another YAML value have at a path, or ABSENT."""
    for part in path:
        if isinstance(value, list) and part.isdigit() and int(part) < len(value):
            value = value[int(part)]
        elif isinstance(value, Mapping) and part in value:
            value = value[part]
        else:
            return ABSENT
    return value


def scalar(value: Any) -> str:
    """A value as YAML has it on one line."""
    flow = {"default_flow_style": True, "width": 10**6, "allow_unicode": True}
    return yaml.safe_dump(value, **flow).strip().removesuffix("...").strip()
