"""One reading of a YAML file for the two readers that meet on it.

This library reads with PyYAML (YAML 1.1), DVC with ruamel.yaml (YAML 1.2). Both are
asked. What they take differently, or only one of them takes, is refused with its line,
and so is what recipes cannot hold: keys that are not text, dates, tags, infinities.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from runledger.canonical import read_text
from runledger.errors import UserError

Place = tuple[str, ...]
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TAG = "tag:yaml.org,2002:"
_PLAIN = {_TAG + kind for kind in ("str", "int", "float", "bool", "null", "map", "seq")}
_MERGE = _TAG + "merge"
# Numbers that YAML 1.1 and 1.2 spell alike: no 010, 1_000, 0b1, 1:30.
_NUMBER = re.compile(
    r"[-+]?(0|[1-9][0-9]*)|0x[0-9a-fA-F]+|[-+]?[0-9]+\.[0-9]*([eE][-+][0-9]+)?"
    r"|\.[0-9]+([eE][-+][0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"
)
# A tab separates words, and the others end lines, for some readers only.
_ODD = re.compile("[\t\r\x85\u2028\u2029]")
_ODD_NAMES = {"\t": "a tab", "\r": "a line end of old Macs"}


@dataclass(frozen=True)
class Document:
    """A YAML file's value, and where in the file each part of it was written.

    Attributes:
        value: what both readers read.
        text: of the file.
    """

    value: Any
    text: str

    @cached_property
    def _root(self) -> yaml.Node | None:
        return yaml.compose(self.text, Loader=_LOADER)

    @cached_property
    def _places(self) -> dict[int, Place]:
        """The path at which each node was written (an alias shows it again)."""
        places: dict[int, Place] = {}
        for path, _, node in _entries(self._root):
            places.setdefault(id(node), path)
        return places

    def origin(self, path: Place) -> Place:
        """Where the value at a path was written: elsewhere, if it is inherited.

        Of a key that is not there: where it would be inherited from.
        """
        node, found = self._root, ()
        for index, part in enumerate(path):
            child = _child(node, part)
            while child is None and (parents := list(_merged(node))):
                node, found = parents[0], self._places[id(parents[0])]
                child = _child(node, part)
            if child is None:
                return (*found, *path[index:])
            holder, _, node = child
            found = (*self._places.get(id(holder), ()), part)
        return self._places.get(id(node), found)

    def comment(self, path: Place) -> str:
        """The comment that ends the line of a key written at a path; "" if none."""
        node, end = self._root, None
        for part in path:
            pairs = node.value if isinstance(node, yaml.MappingNode) else []
            own = [pair for pair in pairs if pair[0].tag != _MERGE]
            found = [pair for pair in own if pair[0].value == part]
            if not found or found[0][1].start_mark.line < found[0][0].start_mark.line:
                return ""  # not there, or an alias
            key, node = found[0]
            block = isinstance(node, yaml.CollectionNode) and not node.flow_style
            end = key.end_mark if block else node.end_mark
        rest = self.text.split("\n")[end.line][end.column :] if end else ""
        found = re.fullmatch(r":?(?: +&\S+)? +#+ *(.*?) *", rest)
        return found[1] if found else ""

    def line(self, path: Place) -> int:
        """Line, from 1, of the key at a path, or of the nearest that is written."""
        node, line = self._root, 1
        for part in path:
            child = _child(node, part)
            if child is None:
                break
            _, line, node = child
        return line


def _merged(node: Any) -> Iterator[yaml.MappingNode]:
    """The mappings that a mapping inherits from, the strongest first."""
    for key, value in node.value if isinstance(node, yaml.MappingNode) else ():
        if key.tag == _MERGE:
            found = value.value if isinstance(value, yaml.SequenceNode) else [value]
            yield from (one for one in found if isinstance(one, yaml.MappingNode))


def _child(node: Any, part: str) -> tuple[yaml.Node, int, yaml.Node] | None:
    """(mapping or list that holds it, line, node) of an entry, inherited or not."""
    if isinstance(node, yaml.SequenceNode):
        if part.isdigit() and int(part) < len(node.value):
            entry = node.value[int(part)]
            return node, entry.start_mark.line + 1, entry
        return None
    if not isinstance(node, yaml.MappingNode):
        return None
    for key, value in node.value:
        if key.tag != _MERGE and key.value == part:
            return node, key.start_mark.line + 1, value
    found = (_child(parent, part) for parent in _merged(node))
    return next((child for child in found if child), None)


def _entries(root: Any) -> Iterator[tuple[Place, yaml.Node | None, yaml.Node]]:
    """(path, key or None, node) of all that is written, once each, in order."""
    seen: set[int] = set()
    todo: list[tuple[Place, Any, Any]] = [((), None, root)] if root else []
    while todo:
        path, key, node = todo.pop()
        yield path, key, node
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, yaml.MappingNode):
            pairs = [((*path, str(k.value)), k, v) for k, v in node.value]
            todo += reversed(pairs)
        elif isinstance(node, yaml.SequenceNode):
            items = [((*path, str(i)), None, v) for i, v in enumerate(node.value)]
            todo += reversed(items)


def load_yaml(path: Path | str) -> Any:
    """Return what is in a YAML file; errors as `read_yaml`."""
    return read_yaml(path).value


def read_yaml(path: Path | str) -> Document:
    """Read a YAML file.

    Raises:
        UserError: missing, not text, not YAML, or not the same to both readers; with
            the line.
    """
    try:
        text = read_text(path)
    except FileNotFoundError:
        raise UserError(
            "file not found", str(path), "run from the repository's root"
        ) from None
    return parse_yaml(text, path)


def parse_yaml(text: str, where: Path | str) -> Document:
    """Read the text of a YAML file; `where` names it in errors (see `read_yaml`)."""
    problems = [
        f"line {_line_at(text, odd.start())}: {_ODD_NAMES.get(odd[0], repr(odd[0]))}"
        for odd in _ODD.finditer(text)
    ]
    _refuse(problems, where, "write spaces and plain line ends instead")
    value = _read_here(text, where)
    other = _read_as_dvc(text, where)
    document = Document(value, text)
    problems = [
        f"line {document.line(path)}: {'.'.join(path)}: {reading}"
        for path, reading in _differences(value, other)
    ]
    _refuse(problems, where, "write it so that both read the same (text in quotes)")
    return document


def _line_at(text: str, index: int) -> int:
    return text.count("\n", 0, index) + 1


def _refuse(problems: list[str], where: Path | str, remedy: str) -> None:
    if problems:
        raise UserError("\n".join(problems), str(where), remedy)


def _not_yaml(error: Exception, where: Path | str, who: str) -> UserError:
    """Say what a reader says, with its line and without its quotations."""
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    parts = [getattr(error, "context", None), getattr(error, "problem", None)]
    said = ": ".join(str(part) for part in parts if part) or str(error)
    place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
    return UserError(f"not valid YAML{who}: {place}{said}", str(where), "correct it")


def _read_here(text: str, where: Path | str) -> Any:
    loader = _LOADER(text)
    try:
        root = loader.get_single_node()
        _refuse(list(_unusable(root)), where, "write plain values under text keys")
        return loader.construct_document(root) if root else None
    # ValueError: a number of thousands of digits
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise _not_yaml(error, where, "") from None
    finally:
        loader.dispose()


def _read_as_dvc(text: str, where: Path | str) -> Any:
    from ruamel.yaml import YAML, YAMLError  # a tenth of a second to import

    try:
        return YAML(typ="safe").load(text)
    except (YAMLError, ValueError, RecursionError) as error:
        raise _not_yaml(error, where, " for DVC") from None


def _unusable(root: yaml.Node | None) -> Iterator[str]:
    """What no recipe can hold, or is spelt as one version of YAML only knows it."""
    places: dict[int, Place] = {}
    for path, key, node in _entries(root):
        where = f"line {(key or node).start_mark.line + 1}: {'.'.join(path)}"
        if key is not None and key.tag not in (_TAG + "str", _MERGE):
            yield f"{where}: the key is not text; put it in quotes"
        place = places.setdefault(id(node), path)
        if place != path:  # an alias
            if path[: len(place)] == place:
                yield f"{where}: it contains itself"
        elif isinstance(node, yaml.MappingNode):
            yield from _twice(path, node)
        if node.tag not in _PLAIN:
            kind = node.tag.replace(_TAG, "!!").replace("!!timestamp", "date")
            yield f"{where}: {_shown(node)} is of type {kind}; in quotes it is text"
        elif node.tag in (_TAG + "int", _TAG + "float", _TAG + "bool"):
            yield from (f"{where}: {fault}" for fault in _misspelt(node))


def _twice(path: Place, node: yaml.MappingNode) -> Iterator[str]:
    first: dict[str, int] = {}
    for key, _ in node.value:
        line = key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode):
            continue
        if key.value in first:
            name, before = ".".join((*path, key.value)), first[key.value]
            yield f"line {line}: {name} is there twice, first in line {before}"
        first.setdefault(key.value, line)


def _misspelt(node: yaml.ScalarNode) -> Iterator[str]:
    """A number or truth value that YAML 1.2 reads otherwise, or that is not finite."""
    text = node.value
    if node.tag == _TAG + "bool":
        if text.lower() not in ("true", "false"):
            yield f"{text} is text to YAML 1.2 (DVC); write true, false or '{text}'"
    elif not _NUMBER.fullmatch(text):
        yield (
            f"{text} is another number, or text, to YAML 1.2; write plain decimal "
            "digits, or text in quotes"
        )
    elif node.tag == _TAG + "float" and not math.isfinite(_float(text)):
        yield f"{text} is not a finite number"


def _float(text: str) -> float:
    return math.nan if text.lower().endswith(("inf", "nan")) else float(text)


def _shown(node: yaml.Node) -> str:
    return repr(node.value) if isinstance(node, yaml.ScalarNode) else "this"


def _differences(here: Any, dvc: Any, path: Place = ()) -> Iterator[tuple[Place, str]]:
    """(path, what each reader reads) where the two disagree, types included."""
    both = {type(here), type(dvc)}
    if both == {dict} and here.keys() == dvc.keys():
        for key, value in here.items():
            yield from _differences(value, dvc[key], (*path, key))
    elif both == {list} and len(here) == len(dvc):
        for index, value in enumerate(here):
            yield from _differences(value, dvc[index], (*path, str(index)))
    elif len(both) > 1 or here != dvc:
        number = dvc if isinstance(dvc, int | float) else here
        plain = yaml.safe_dump(number).split()[0]
        yield path, f"{here!r} to YAML 1.1, {dvc!r} to YAML 1.2 (DVC); write {plain}"
