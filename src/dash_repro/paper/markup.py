"""One notation for table text, rendered to LaTeX and to HTML.

Text is Unicode (ρ, ±, ×, –) with `base_{index}` and `base^{power}` for sub- and
superscripts.
"""

from __future__ import annotations

import html
import re

_MATH = {
    "ρ": r"\rho",
    "λ": r"\lambda",
    "Δ": r"\Delta",
    "ε": r"\varepsilon",
    "∅": r"\varnothing",
    "×": r"\times",
    "±": r"\pm",
    "↓": r"\downarrow",
    "↑": r"\uparrow",
    "†": r"\dagger",
    "‡": r"\ddagger",
    "✓": r"\checkmark",
    "≈": r"\approx",
    "≤": r"\leq",
    "≥": r"\geq",
    "γ": r"\gamma",
    "β": r"\beta",
    "ω": r"\omega",
    "σ": r"\sigma",
    "τ": r"\tau",
    "−": "-",
    "✗": r"\times",
}
_PLAIN = {"–": "--", "—": "---", "’": "'", "…": r"\ldots{}"}
_ESCAPES = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
}
_SCRIPT = re.compile(r"(\w*[^\W_])(?P<kind>[_^])\{(?P<script>[^{}]*)\}")


def to_tex(text: str) -> str:
    """LaTeX source of a text; every special character is escaped."""
    parts, last = [], 0
    for match in _SCRIPT.finditer(text):
        parts.append(_escape_tex(text[last : match.start()]))
        base = "".join(_MATH.get(char, char) for char in match[1])
        script = "".join(_MATH.get(char, char) for char in match["script"])
        if match["kind"] == "_":
            script = rf"\mathrm{{{script}}}"
        parts.append(f"${base}{match['kind']}{{{script}}}$")
        last = match.end()
    return "".join([*parts, _escape_tex(text[last:])])


def _escape_tex(text: str) -> str:
    pieces = []
    for char in text:
        if char in _MATH:
            pieces.append(f"${_MATH[char]}$")
        else:
            pieces.append(_PLAIN.get(char) or _ESCAPES.get(char, char))
    return "".join(pieces)


def to_html(text: str) -> str:
    """HTML of a text, escaped."""

    def script(match: re.Match[str]) -> str:
        tag = "sub" if match["kind"] == "_" else "sup"
        return f"{match[1]}<{tag}>{match['script']}</{tag}>"

    return _SCRIPT.sub(script, html.escape(text))


def to_plot(text: str) -> str:
    """The text for matplotlib: scripts in its mathtext, the rest as Unicode."""

    def script(match: re.Match[str]) -> str:
        inner = match["script"].replace("−", "-")
        inner = rf"\mathrm{{{inner}}}" if match["kind"] == "_" else inner
        return f"${match[1]}{match['kind']}{{{inner}}}$"

    return _SCRIPT.sub(script, text)
