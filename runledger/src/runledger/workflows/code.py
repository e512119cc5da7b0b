"""The code that a rule of any Snakefile runs, and what a run block depends on.

A script in Python counts with what it imports from the project, without comments and
layout; files in other languages by their text; a `run:` block as a syntax tree, with
the functions, constants and imports of the Snakefiles that it names.
"""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from runledger.errors import UserError
from runledger.fingerprint import (
    OF_SNAKEFILE,
    Fingerprinter,
    code_digest,
    decoded,
    imports,
    syntax_digest,
)
from runledger.project import settings, source_roots
from runledger.workflows.refusals import where

_WORD = re.compile(r"[\w.+-]+(?:/[\w.+-]+)+|[\w+-]+\.\w+")
_SCRIPTS = (".py", ".R", ".r", ".sh", ".bash", ".pl", ".jl", ".awk", ".rs")


class Code:
    """Digests of code, for the rules of one workflow; each file is read once.

    Args:
        root: the checkout.
        workflow: Snakemake's, with all files included.
    """

    def __init__(self, root: Path, workflow: Any) -> None:
        self.root, self.workflow = Path(root), workflow
        self.globs: Mapping[str, list[str]] = settings(root).get("code", {})
        unknown = sorted(self.globs.keys() - {rule.name for rule in workflow.rules})
        if unknown:
            raise UserError(
                f"there is no rule {unknown[0]}", "[code] of runledger.toml", "mend it"
            )
        self._parsers: dict[str, Fingerprinter] = {}

    def of_file(self, path: Path) -> dict[str, str]:
        """Return {file: digest} of a code file and of what it imports."""
        relative = os.path.relpath(path, self.root)
        if path.suffix == ".py" and not relative.startswith(".."):
            folder = os.path.dirname(relative) or "."
            return self._parser(folder).modules(relative)
        return {relative: code_digest(path.name, path.read_bytes())}

    def _parser(self, folder: str) -> Fingerprinter:
        """Return what finds imports as Python does for a program in a folder."""
        if folder not in self._parsers:
            roots = source_roots(self.root)
            self._parsers[folder] = Fingerprinter(self.root, (folder, *roots))
        return self._parsers[folder]

    def named(self, rule: Any) -> dict[str, str]:
        """Return {file: digest} of what the settings name as a rule's code."""
        found: dict[str, str] = {}
        for pattern in self.globs.get(rule.name, ()):
            files = sorted(f for f in self.root.glob(pattern) if f.is_file())
            if not files:
                raise UserError(
                    f"no file is called {pattern}, which is named as its code",
                    f"rule {rule.name}, [code] of runledger.toml",
                    "restore the file, or correct the pattern",
                )
            for file in files:
                found |= self.of_file(file)
        return found

    def of_command(
        self, rule: Any, command: str, data: Iterable[str]
    ) -> dict[str, str]:
        """Return {file: digest} of the checkout's files that a shell command names.

        Args:
            rule: whose command it is.
            command: formatted, but for inputs, outputs, params and wildcards.
            data: inputs and outputs, which are no code.
        """
        found: dict[str, str] = {}
        for word in _WORD.findall(command):
            path = self.root / word
            if word in data or not path.resolve().is_relative_to(self.root.resolve()):
                continue
            if path.is_file():
                found |= self.of_file(path)
            elif "/" in word and path.suffix in _SCRIPTS and path.parent.is_dir():
                raise _missing(rule, word)
        return found

    def of_source(self, rule: Any, source: str | None) -> tuple[str, dict[str, str]]:
        """Return (path, {file: digest}) of a script, notebook or environment.

        One that is no file of this machine (of a wrapper repository, say) is known by
        its address.
        """
        from snakemake.sourcecache import infer_source_file

        found = infer_source_file(source, rule.basedir)
        path = Path(found.get_path_or_uri(secret_free=True))
        if type(found).__name__ != "LocalSourceFile":
            return str(found.get_path_or_uri(secret_free=True)), {}
        if not path.is_file():
            raise _missing(rule, os.path.relpath(path, self.root))
        return os.path.relpath(path, self.root), self.of_file(path)

    # run blocks

    @cached_property
    def _translated(self) -> dict[str, ast.Module]:
        """{Snakefile: syntax tree} of what Snakemake's parser makes of each."""
        from snakemake.parser import parse

        return {
            path: ast.parse(parse(source, self.workflow, {})[0])
            for path, source in self.workflow._included.items()
        }

    @cached_property
    def _defined(self) -> dict[str, list[ast.stmt]]:
        """{name: statements} of what the Snakefiles define at their top level."""
        found: dict[str, list[ast.stmt]] = {}
        for tree in self._translated.values():
            for node in tree.body:
                for name in _names_of(node):
                    found.setdefault(name, []).append(node)
        return found

    def of_block(self, rule: Any) -> tuple[dict[str, str], set[str]]:
        """Return ({what: digest}, keys of the config) of a rule's run block."""
        code = rule.ruleinfo.func.__code__
        block = next(
            node
            for node in ast.walk(self._translated[code.co_filename])
            if isinstance(node, ast.FunctionDef) and node.name == code.co_name
        )
        nodes: list[ast.AST] = list(block.body)
        found = {f"run block{OF_SNAKEFILE}": syntax_digest(block.body)}
        modules, keys, seen = {}, set(), {"config"}  # of that its keys count
        while nodes:
            node = nodes.pop()
            keys |= config_keys(node, ("config",))
            for name in {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}:
                for used in self._defined.get(name, ()) if name not in seen else ():
                    if isinstance(used, ast.Import | ast.ImportFrom):
                        modules |= self._imported(rule, used)
                    else:
                        found[f"{name}{OF_SNAKEFILE}"] = syntax_digest(used)
                        nodes.append(used)
                seen.add(name)
            for inner in ast.walk(node):
                if isinstance(inner, ast.Import | ast.ImportFrom):
                    modules |= self._imported(rule, inner)
        return found | modules, keys

    def _imported(self, rule: Any, node: ast.AST) -> dict[str, str]:
        folder = os.path.relpath(os.path.dirname(rule.snakefile), self.root)
        parser = self._parser(folder)
        files = [path for name in imports(node, []) for path in parser.find(name)]
        return parser.closure(files)

    def config_of_script(self, path: str) -> set[str]:
        """Return the keys of the config that a script asks Snakemake for."""
        file = self.root / path
        text = file.read_bytes()
        if file.suffix == ".py":
            return config_keys(ast.parse(decoded(text)), ("snakemake", "config"))
        return {""} if re.search(rb"snakemake\W{1,2}config", text) else set()


def config_keys(tree: ast.AST, name: tuple[str, ...]) -> set[str]:
    """Return the keys that code reads of the config; "" stands for all of it.

    Args:
        tree: Python.
        name: what the config is called: ("config",) or ("snakemake", "config").
    """
    found, inside = set(), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Subscript) and _is_named(node.value, name):
            if isinstance(node.slice, ast.Constant) and isinstance(
                node.slice.value, str
            ):
                found.add(node.slice.value)
                inside.add(node.value)
        elif _is_named(node, name) and node not in inside:
            found.add("")
    return found


def _is_named(node: ast.AST, name: tuple[str, ...]) -> bool:
    for word in reversed(name[1:]):
        if not (isinstance(node, ast.Attribute) and node.attr == word):
            return False
        node = node.value
    return isinstance(node, ast.Name) and node.id == name[0]


def _names_of(node: ast.stmt) -> Iterator[str]:
    """Yield what a statement at the top level of a Snakefile defines."""
    if isinstance(node, ast.FunctionDef) and node.name.startswith("__"):
        return  # a rule, as the parser translates it
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        yield node.name
    elif isinstance(node, ast.Import | ast.ImportFrom):
        yield from (a.asname or a.name.partition(".")[0] for a in node.names)
    elif isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        for target in targets:
            yield from (n.id for n in ast.walk(target) if isinstance(n, ast.Name))


def _missing(rule: Any, path: str) -> UserError:
    return UserError(
        f"its code {path} does not exist",
        where(rule),
        "restore it, or correct the path",
    )
