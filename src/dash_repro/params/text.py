"""Params as text: a complete params.yaml with its comments, and the reference page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import takewhile
from typing import Any

from dash_repro.params.lookup import (
    Node,
    allowed,
    at,
    block,
    close,
    fields,
    find,
    inner,
    is_key,
    keys,
    scalar,
    schema,
)
from dash_repro.params.overlay import Layers
from runledger import Place
from runledger.errors import UserError

HEAD = """\
# The settings. As committed they are the paper's (arXiv:2606.00798v1, Tables A1 and A2).
# "choice": the paper is silent, and this is our default. "code": the value of the released code, where it differs.
# docs/params.md lists every key with its range, and so does `dash-repro params`.
"""
PAGE = """\
# Every key of params.yaml

Written by `make plan` from `src/dash_repro/params/definition.py`. `dash-repro params KEY` prints one key, and
`dash-repro params --check FILE` checks a file.

`params.yaml` holds all keys. As committed, it has the defaults, which are the paper's values. A source of "choice" means
that the paper is silent; "code" is the value of the released code, where that differs. A small run is a file that says
`base: ../params.yaml` (seen from its own folder) and then only what differs: see `config/demo.params.yaml`."""
COLUMN, LONGEST = 44, 110  # where comments begin at most; the longest block on one line
Line = tuple[str, str]  # what YAML reads, and the comment


def comment(node: Node, value: Any) -> str:
    """What a key is; where its value is from, or the paper's value if it is another."""
    options = " | ".join(str(one) for one in node.get("enum", []))
    unit = f" [{node['unit']}]" if "unit" in node else ""
    options += ": " if options else ""
    says = [f"{options}{node.get('description', '')}{unit}"]
    if value != node.get("default", value) and "source" in node:
        paper = scalar(node["default"])
        return f"{says[0]}; paper: {paper}" if len(paper) < 40 else says[0]
    says += [node["source"]] if "source" in node else []
    says += [f"code: {scalar(node['code'])}"] if "code" in node else []
    return "; ".join(says)


class _Writer:
    """Writes sections of validated params; see `complete`."""

    def __init__(self, layers: Layers, params: Mapping[str, Any]) -> None:
        self.layers, self.params = layers, params
        nodes = fields(schema()).values()
        self.anchors = {node["inherits"] for node in nodes if "inherits" in node}
        self.explained: set[Line] = set()  # (key, text) with a comment, in a section

    def section(self, name: str, node: Node) -> str:
        """One section; a key is explained where it is first."""
        inherits = node.get("inherits", "")
        inside = fields(block(node)) if inherits else {}
        self.explained = {(key, one["description"]) for key, one in inside.items()}
        lines = list(self._entry((name,), node, inherits))
        fitting = [len(line) for line, note in lines if note and len(line) <= COLUMN]
        width = max(fitting, default=0)
        return "\n".join(f"{text:{width}}  # {c}" if c else text for text, c in lines)

    def _entry(self, path: Place, node: Node, inherits: str = "") -> Iterator[Line]:
        value, start = at(self.params, path), f"{'  ' * (len(path) - 1)}{path[-1]}:"
        remark = self._remark(path, node, value)
        if not isinstance(value, Mapping):
            yield f"{start} {scalar(value)}", remark
            return
        own = [name for name in value if self._is_own((*path, name), inherits)]
        merged = [f"<<: *{inherits}"] if inherits and len(path) == 2 else []
        if len(path) == 2:
            parts = [*merged, *(f"{name}: {scalar(value[name])}" for name in own)]
            line = f"{start} {{{', '.join(parts)}}}"
            notes = [self._remark((*path, n), inner(node, n), value[n]) for n in own]
            if len(line) <= LONGEST and not any(notes):
                yield line, remark
                return
        anchor = f" &{path[0]}" if path[0] in self.anchors else ""
        yield f"{start}{anchor}", remark
        yield from ((f"    {text}", "") for text in merged)
        for name in own:
            yield from self._entry((*path, name), inner(node, name), inherits)
            self.explained.add((name, inner(node, name).get("description", "")))

    def _is_own(self, path: Place, inherits: str) -> bool:
        """Whether a block says a key itself; what it inherits, it does not."""
        if not inherits or len(path) < 3:
            return True
        written = self.layers.place(path)
        differs = at(self.params, path) != self.params[inherits][path[2]]
        return differs or (written is not None and written[1] == path)

    def _remark(self, path: Place, node: Node, value: Any) -> str:
        """An overlay's own comment, or the definition's, or the lowest file's."""
        *above, lowest = [document for _, document in self.layers.documents]
        own = next((note for one in above if (note := one.comment(path))), "")
        new = (path[-1], node.get("description", "")) not in self.explained
        wanted = len(path) == 1 or (new and not isinstance(value, Mapping))
        return own or (wanted and comment(node, value)) or lowest.comment(path)


def complete(layers: Layers, params: Mapping[str, Any], head: str = "") -> str:
    """A params.yaml without a base, with a comment on each key.

    Args:
        layers: the files that the params were read from: what inherits, and comments.
        params: validated.
        head: its first lines, comments; "": those of a file without a base, or `HEAD`.
    """
    if not head and not layers.overlaid:
        head = "".join(
            takewhile(
                lambda line: line[0] == "#",
                layers.documents[0][1].text.splitlines(True),
            )
        )
    head = head or HEAD
    writer = _Writer(layers, params)
    sections = [writer.section(name, node) for name, node in fields(schema()).items()]
    return "\n\n".join([head.rstrip("\n"), *sections]) + "\n"


def page() -> str:
    """The reference page docs/params.md."""
    sections = [_section(name, node) for name, node in fields(schema()).items()]
    return "\n\n".join([PAGE, *sections]) + "\n"


def _section(name: str, node: Node) -> str:
    says = node["description"]
    text = f"## {name}\n\n{says[0].upper()}{says[1:]}.\n\n"
    if "inherits" in node:
        return f"{text}The keys of a block are those of `{node['inherits']}`."
    found = [(dotted.partition(".")[2], one) for dotted, one in keys(node, name)]
    rows = [(dotted, one) for dotted, one in found if is_key(one)]
    lines = [
        "| key | default | allowed | what it is | source |",
        "|---|---|---|---|---|",
    ]
    for dotted, one in rows or [(name, node)]:
        unit = f" {one['unit']}" if "unit" in one else ""
        default = f"`{scalar(one['default'])}`{unit}" if "default" in one else ""
        code = f"code: `{scalar(one['code'])}`" if "code" in one else ""
        source = "; ".join(filter(None, [one.get("source"), code]))
        cells = [f"`{dotted}`", default, allowed(one), one["description"], source]
        lines.append(
            f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
        )
    return text + "\n".join(lines)


def described(key: str = "") -> str:
    """All keys, or those that a (partly) dotted key names, two lines each.

    Raises:
        UserError: there is none.
    """
    every, exact = dict(keys()), find(key.split("."))
    found = {
        dotted: node
        for dotted, node in every.items()
        if f".{key}." in f".{dotted}." or not key
    }
    if is_key(exact):
        found = {key: exact}
    if not found:
        names = [*every, *(dotted.rpartition(".")[2] for dotted in every)]
        says = f"no key '{key}'{close(key, names)}"
        raise UserError(says, "command line", "`dash-repro params` lists all")
    return "\n".join(_lines(dotted, node) for dotted, node in found.items())


def _lines(dotted: str, node: Node) -> str:
    if not is_key(node):
        return f"\n{dotted}: {node['description']}"
    unit = f" {node['unit']}" if "unit" in node else ""
    default = f" = {scalar(node['default'])}{unit}" if "default" in node else ""
    what = comment(node, node.get("default"))
    return f"{dotted}{default}  [{allowed(node)}]\n    {what}"
