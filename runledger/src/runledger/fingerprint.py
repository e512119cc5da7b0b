"""What code a program runs: a digest of its import closure inside the project.

Comments, docstrings and formatting do not count, and neither does the version of
Python that reads the files (fields that newer grammars add are skipped when empty).
"""

from __future__ import annotations

import ast
import contextlib
import hashlib
import io
import json
import tokenize
from collections.abc import Iterable
from functools import cache, lru_cache
from pathlib import Path

from runledger.canonical import digest, write_once
from runledger.errors import UserError
from runledger.project import code_folders, ledger_path

SCHEME = 2  # of what is remembered of a file; raise it when that changes
OF_SNAKEFILE = " of the Snakefile"  # ends the name of code that is no file of its own
ALL = "*"  # in a dotted name: every module of the package
_SKIPPED = {"ctx", "type_comment", "kind", "lineno", "col_offset", "type_ignores"}
_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def _canonical(node: object) -> str:
    """Spell a syntax tree without position, context or empty fields."""
    if isinstance(node, list):
        return "[" + ",".join(_canonical(item) for item in node) + "]"
    if not isinstance(node, ast.AST):
        return f"{type(node).__name__}:{node!r}"
    fields = []
    for name, value in ast.iter_fields(node):
        if name == "body" and isinstance(node, _DOCUMENTED):
            value = _without_docstring(value)
        if name not in _SKIPPED and value is not None and value != []:
            fields.append(f"{name}={_canonical(value)}")
    return f"{type(node).__name__}({','.join(fields)})"


def _without_docstring(body: list[ast.stmt]) -> list[ast.stmt]:
    first = body[0] if body else None
    if (
        isinstance(first, ast.Expr)
        and isinstance(first.value, ast.Constant)
        and isinstance(first.value.value, str)
    ):
        return body[1:] or [ast.Pass()]
    return body


def decoded(data: bytes) -> str:
    """Return Python source as Python itself reads it: coding cookie, any line ends.

    Raises:
        SyntaxError, UnicodeDecodeError: it cannot be read as what it says it is.
    """
    encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
    return data.decode(encoding).replace("\r\n", "\n").replace("\r", "\n")


@cache  # a source is looked at for each stage that imports it, and at each commit
def source_digest(text: str) -> str:
    """Digest Python source by meaning: comments, docstrings, layout do not count."""
    return syntax_digest(ast.parse(text))


def syntax_digest(tree: ast.AST | list[ast.stmt]) -> str:
    """Digest a syntax tree, or some statements, by meaning."""
    return hashlib.sha256(_canonical(tree).encode()).hexdigest()[:32]


def code_digest(name: str, data: bytes) -> str:
    """Digest a code file: Python by meaning, others by their text, whatever line ends.

    Raises:
        SyntaxError, ValueError: a file of Python that is none.
    """
    if name.endswith(".py"):
        return source_digest(decoded(data))
    return hashlib.sha256(data.replace(b"\r\n", b"\n")).hexdigest()[:32]


def imports(tree: ast.AST, package: list[str]) -> Iterable[str]:
    """Yield the dotted names that a module imports, relative ones made absolute.

    A call of runledger.plugins.import_all stands for all modules of the package.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "import_all":
            yield ".".join([*package, ALL])
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            stem = ".".join([*base, *([node.module] if node.module else [])])
            yield stem
            yield from (f"{stem}.{alias.name}" for alias in node.names)


class Fingerprinter:
    """Digests the import closure of programs under one project root.

    ``modules(program)`` and ``fingerprint(program)`` read each file once: make a new
    object to see later edits.

    Args:
        root: the checkout.
        roots: folders searched for modules, in order, relative to root; None: as
            the settings say (project.code_folders).
        exclude: top-level packages that cannot change a stage's bytes.
    """

    def __init__(
        self,
        root: Path,
        roots: tuple[str, ...] | None = None,
        exclude: tuple[str, ...] = ("runledger", "_path"),
    ) -> None:
        self.root, self.exclude = Path(root), set(exclude)
        self.roots = code_folders(root) if roots is None else roots
        self.memory = ledger_path(self.root, ".state", "sources")
        self.find = lru_cache(maxsize=None)(self._find)
        self.read = lru_cache(maxsize=None)(self._read)
        self.modules = lru_cache(maxsize=None)(self._modules)
        self.fingerprint = lru_cache(maxsize=None)(self._fingerprint)

    def _find(self, name: str) -> list[Path]:
        """Return the files that importing a dotted name runs, outermost first."""
        parts = name.split(".")
        if parts[-1] == ALL:
            folders = (self.root.joinpath(top, *parts[:-1]) for top in self.roots)
            names = {entry.stem for folder in folders for entry in folder.glob("[!_]*")}
            found = (self._find(".".join([*parts[:-1], one])) for one in sorted(names))
            return [path for paths in found for path in paths]
        if not name or parts[0] in self.exclude:
            return []
        for top in self.roots:
            found: list[Path] = []
            for depth in range(1, len(parts) + 1):
                stem = self.root.joinpath(top, *parts[:depth])
                init, module = stem / "__init__.py", stem.with_suffix(".py")
                if init.is_file():
                    found.append(init)
                elif module.is_file():
                    found.append(module)
                elif not stem.is_dir():  # a folder without __init__.py is one, too
                    break
            if found:
                return found
        return []

    def _read(self, path: Path) -> tuple[str, tuple[str, ...]]:
        """Return a file's digest and the dotted names it imports."""
        relative = path.relative_to(self.root)
        try:
            text = decoded(path.read_bytes())
            return self._remembered(text, self._package(relative))
        except (SyntaxError, ValueError) as error:
            raise UserError(
                f"not valid Python: {error}", str(relative), "correct the file"
            ) from None

    def _package(self, relative: Path) -> list[str]:
        """Return the package that a file is in, by the innermost root above it."""
        above = [Path(top) for top in self.roots if relative.is_relative_to(top)]
        top = max(above, key=lambda one: len(one.parts), default=relative.parent)
        return list(relative.relative_to(top).parts[:-1])

    def _remembered(self, text: str, package: list[str]) -> tuple[str, tuple]:
        """Digest a text, or look it up: parsing a hundred files takes a second."""
        name = digest({"text": text, "package": package, "scheme": SCHEME})
        path = self.memory / name[:2] / f"{name}.json"
        try:
            known, names, seal = json.loads(path.read_bytes())
            whole = seal == digest([known, names])
        except (OSError, ValueError, TypeError):
            whole = False
        if not whole:
            known = source_digest(text)
            names = list(imports(ast.parse(text), package))
            with contextlib.suppress(UserError):  # nobody needs it
                write_once(path, json.dumps([known, names, digest([known, names])]))
        return known, tuple(names)

    def _modules(self, program: str) -> dict[str, str]:
        """Return {file: digest} of a program and everything it imports.

        Raises:
            UserError: the program is missing, or a file is not valid Python.
        """
        start = self.root / program
        if not start.is_file():
            raise UserError(
                "a stage has no program",
                program,
                "add it, or correct the rule (or dvc.yaml)",
            )
        return self.closure([start])

    def closure(self, files: Iterable[Path]) -> dict[str, str]:
        """Return {file: digest} of files and everything they import."""
        todo, seen = list(files), {}
        while todo:
            path = todo.pop()
            key = path.relative_to(self.root).as_posix()
            if key in seen:
                continue
            seen[key], names = self.read(path)
            for name in names:
                todo.extend(self.find(name))
        return dict(sorted(seen.items()))

    def _fingerprint(self, program: str) -> str:
        """Return the digest of a program's closure."""
        return digest(self.modules(program))
