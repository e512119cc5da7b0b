"""No measured value is typed into the paper's text: its numbers are accounted for."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from dash_repro.audit.evidence import objection
from runledger.audit import Finding

_LAYOUT = (  # numbers that are lengths, shares, names and references, not results
    r"\\(?:documentclass|usepackage|setlength|captionsetup|geometry|newcommand)[^\n]*",
    r"\\(?:panel|maybefigure|maybetable|label|ref|cite|input|includegraphics)"
    r"(?:\[[^\]]*\])?(?:\{[\w./-]*\})+",
    r"arXiv:\d+\.\d+(?:v\d+)?",
    r"CIFAR-100?\b",
    r"\\textbf\{(?:Figure|Table) \w+\.\}",
    r"(?:Figure|Table|Section|Eq\.|Appendix)~?\s?[A-Z]?\d+[a-z]?",
)
_NUMBER = re.compile(r"(?<![\w.\\])[-−]?\d+(?:\.\d+)?\s?(?:\\?%|M\b|K\b|\\times)?")


def check_prose(root: Path, displayed: Iterable[str]) -> Iterator[Finding]:
    """Numbers in the text that look like results: decimals, shares, printed cells.

    Args:
        root: the checkout.
        displayed: what measured cells print.
    """
    cells = {text for text in displayed if re.search(r"\d{2}", text)}
    paper = Path(root) / "paper"
    for path in [*sorted(paper.glob("**/*.tex")), *paper.glob("contents.yaml")]:
        text = path.read_text(encoding="utf-8", errors="replace")
        if path.suffix == ".yaml":  # its captions are text, all else are names
            text = re.sub(r"(?m)^ *(?:- )?(?!caption)\w+: .*$|^#.*$", "", text)
        for line, number in typed_numbers(text):
            if suspicious(number, cells):
                where = f"{path.relative_to(root).as_posix()}:{line}"
                detail = f"{number!r} is typed; take it from results/"
                yield objection("typed number", where, detail)


def typed_numbers(text: str) -> Iterator[tuple[int, str]]:
    """(line, number) of a LaTeX source less its comments, layout and references."""
    text = re.sub(r"(?<!\\)%[^\n]*", "", text)
    for pattern in _LAYOUT:
        text = re.sub(pattern, lambda m: re.sub(r"[^\n]", " ", m[0]), text)
    for number, line in enumerate(text.split("\n"), 1):
        for match in _NUMBER.finditer(line):
            yield number, match[0].strip()


def suspicious(number: str, cells: set[str]) -> bool:
    """Whether a typed number could be a result."""
    return "." in number or not number.lstrip("-−").isdigit() or number in cells
