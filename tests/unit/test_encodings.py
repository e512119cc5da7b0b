"""No file is read or written in whatever encoding the machine has."""

from __future__ import annotations

import ast

from places import ROOT


def unspecified(tree: ast.AST) -> list[int]:
    """Lines of calls that read or write text in whatever encoding the machine has."""
    found = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        keys = {word.arg for word in node.keywords}
        name = getattr(node.func, "attr", getattr(node.func, "id", ""))
        texts = [a.value for a in node.args if isinstance(a, ast.Constant)]
        binary = any(isinstance(text, str) and "b" in text for text in texts)
        opens = name == "open" and isinstance(node.func, ast.Name) and not binary
        reads = name == "read_text" and isinstance(node.func, ast.Attribute)
        writes = name == "write_text" and len(node.args) < 2
        handler = name == "FileHandler"
        named = "encoding" in keys or (reads and texts)
        if ((opens or reads or writes or handler) and not named) or "text" in keys:
            found.append(node.lineno)
    return found


def test_every_text_file_is_read_in_a_named_encoding() -> None:
    wrong = []
    for folder in ("src", "runledger/src", "stages", "bench"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            tree = ast.parse(path.read_bytes())
            wrong += [f"{path.relative_to(ROOT)}:{n}" for n in unspecified(tree)]
    assert wrong == []
    assert unspecified(ast.parse("p.read_text()\nopen(p)\nopen(p, 'rb')")) == [1, 2]
