"""Reads the generated .tex back: boxes of every row, as plain text.

The writer is dash_repro.paper.table; this reader shares nothing with it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_SYMBOLS = {
    r"\rho": "ρ",
    r"\lambda": "λ",
    r"\Delta": "Δ",
    r"\delta": "δ",
    r"\varepsilon": "ε",
    r"\varnothing": "∅",
    r"\times": "×",
    r"\pm": "±",
    r"\downarrow": "↓",
    r"\infty": "∞",
    r"\uparrow": "↑",
    r"\dagger": "†",
    r"\ddagger": "‡",
    r"\checkmark": "✓",
    r"\approx": "≈",
    r"\leq": "≤",
    r"\geq": "≥",
    r"\gamma": "γ",
    r"\beta": "β",
    r"\omega": "ω",
    r"\sigma": "σ",
    r"\tau": "τ",
}
_WORDS = {
    r"\textbackslash{}": "\0",
    r"\textasciitilde{}": "~",
    r"\textasciicircum{}": "^",
    r"\textless{}": "<",
    r"\textgreater{}": ">",
    r"\textbar{}": "|",
    r"\textasciigrave{}": "`",
    r"\ldots{}": "…",
    "---": "—",
    "--": "–",
    r"\&": "&",
    r"\%": "%",
    r"\$": "$",
    r"\#": "#",
    r"\_": "_",
    "{[}": "[",
    "{]}": "]",
    "{*}": "*",
    "{}": "",  # between characters that would join
    r"\{": "{",
    r"\}": "}",
}
_CODE = re.compile(r"\{\[\}U\+([0-9A-F]{4,6})\{\]\}")
_MATHS = re.compile(r"(?<!\\)\$(.*?)(?<!\\)\$")
_SCRIPT = re.compile(r"([_^])\{(?:\\mathrm\{([^{}]*)\}|([^{}]*))\}")
_SAME = str.maketrans({"✗": "×", "−": "-", "’": "'", "\u2060": None})


def plain_tex(source: str) -> str:
    """Text of a LaTeX box: symbols as Unicode, scripts as _x and ^x."""

    def maths(match: re.Match[str]) -> str:
        inner = match[1]
        for command in sorted(_SYMBOLS, key=len, reverse=True):
            inner = inner.replace(command, _SYMBOLS[command])
        return _SCRIPT.sub(lambda m: m[1] + (m[2] or m[3] or ""), inner)

    parts, last = [], 0
    for match in _MATHS.finditer(source):
        parts += [_unescape(source[last : match.start()]), maths(match)]
        last = match.end()
    return _squeeze("".join([*parts, _unescape(source[last:])]))


def _unescape(text: str) -> str:
    text = _CODE.sub(lambda code: chr(int(code[1], 16)), text)
    for escape, char in _WORDS.items():
        text = text.replace(escape, char)
    return text.replace("\0", "\\")


def plain_text(text: str) -> str:
    """Text of a sidecar in the same form: scripts without braces."""
    return _squeeze(re.sub(r"([_^])\{([^{}]*)\}", r"\1\2", text))


def _squeeze(text: str) -> str:
    return " ".join(text.translate(_SAME).split())


def rows(tex: str) -> list[list[str]]:
    """Every row of a table's source as plain boxes, headings and repeats included."""
    found = []
    for line in tex.splitlines():
        if not line.endswith(r"\\") or line.startswith(r"\caption"):
            continue
        boxes = re.split(r"(?<!\\)&", line.removesuffix(r"\\"))
        found.append([plain_tex(_inside(box.strip())) for box in boxes])
    return found


def _inside(box: str) -> str:
    """Content of a \\multicolumn box, without italics, bold and links."""
    match = re.fullmatch(r"\\multicolumn\{\d+\}\{\w\}\{(.*)\}", box)
    inner = match[1] if match else box
    for macro, arguments in ((r"\story", 2), (r"\textbf", 1), (r"\textit", 1)):
        while (start := inner.find(macro + "{")) >= 0:
            end = start + len(macro)
            for _ in range(arguments):
                last, end = end, _end_of_group(inner, end)
            inner = inner[:start] + inner[last + 1 : end - 1] + inner[end:]
    return inner


def _end_of_group(source: str, start: int) -> int:
    """Where the group ends whose brace opens at `start`."""
    depth = 0
    for match in re.compile(r"\\.|[{}]").finditer(source, start):
        depth += {"{": 1, "}": -1}.get(match[0], 0)
        if not depth and match[0] == "}":
            return match.end()
    return len(source)


def caption(tex: str) -> str:
    """The caption as plain text, without the bold name."""
    match = re.search(r"^\\caption\*\{\\textbf\{(.*?)\.\} (.*)\}(?:\\\\)?$", tex, re.M)
    return plain_tex(f"{match[1]}. {match[2]}") if match else ""


def wanted_rows(
    sidecar: Mapping[str, Any],
) -> list[tuple[str, list[str], list[list[str]]]]:
    """(row id, boxes, addresses of each box) that a sidecar says the .tex holds."""
    lines: list[tuple[str, list[str], list[list[str]]]] = []
    for line in sidecar["lines"]:
        texts = [line["label"], *(entry["text"] for entry in line["entries"])]
        addresses = [[], *(entry["cells"] for entry in line["entries"])]
        lines.append((line["id"], list(map(plain_text, texts)), addresses))
    return lines


def heading_rows(sidecar: Mapping[str, Any]) -> list[list[str]]:
    """The heading rows of a table, as lists of cell texts."""
    heads = [[plain_text(text) for text in sidecar["header"]]]
    if sidecar["groups"]:
        heads.insert(0, [plain_text(text) for text, _ in sidecar["groups"]])
    return heads
