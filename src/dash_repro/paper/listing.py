"""The files that list the items: paper/contents.yaml and the README's table."""

from __future__ import annotations

import re
from pathlib import Path

from dash_repro.paper.items import ITEMS, contents
from runledger import read_text, write_atomic

CONTENTS_FILE = "paper/contents.yaml"
README_PART = re.compile(r"(?<=<!-- items -->\n).*(?=<!-- /items -->)", re.DOTALL)
HEAD = "# Made by `make plan` from the items of src/dash_repro/paper: do not edit\n"


def contents_text() -> str:
    """The content of paper/contents.yaml."""
    import yaml

    return HEAD + yaml.safe_dump(
        contents(), sort_keys=False, width=110, allow_unicode=True
    )


def readme_table() -> str:
    """Every item with its target and files, in Markdown."""
    lines = ["| paper item | what | target | output |", "|---|---|---|---|"]
    for name, spec in ITEMS.items():
        table = spec.kind == "table"
        folder = "tables" if table else "figures"
        first, second = (".tex", ".json") if table else (".pdf", ".png")
        lines.append(
            f"| {spec.label} | {spec.title} | `{name}` | "
            f"`results/{folder}/{name}{first}` `{second}` |"
        )
    return "\n".join([*lines, ""])


def listings(root: Path) -> dict[str, str]:
    """{path: text} of the files as they should be."""
    readme = README_PART.sub(lambda _: readme_table(), read_text("README.md", root))
    return {CONTENTS_FILE: contents_text(), "README.md": readme}


def drifted(root: Path) -> list[str]:
    """Names of the files that do not agree with the registered items."""
    return [
        path
        for path, text in listings(root).items()
        if not (Path(root) / path).is_file() or read_text(path, root) != text
    ]


def renew(root: Path) -> list[str]:
    """Write the files that drifted; returns their names."""
    texts, names = listings(root), drifted(root)
    for path in names:
        write_atomic(Path(root) / path, texts[path])
    return names
