"""One notation for table text, rendered to LaTeX, to HTML and for matplotlib.

Text is Unicode (ρ, ±, ×, –) with `base_{index}` and `base^{power}` for sub- and
superscripts. Text of data goes through `literal`, and means itself everywhere.
"""

from __future__ import annotations

import html
import re

from runledger.errors import printable

_MATH = {
    "ρ": r"\rho",
    "λ": r"\lambda",
    "Δ": r"\Delta",
    "δ": r"\delta",
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
    "∞": r"\infty",
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
    "|": r"\textbar{}",
    "`": r"\textasciigrave{}",
    # After the end of a row these three would be an option of it.
    "[": "{[}",
    "]": "{]}",
    "*": "{*}",
}
_LIGATURES = "-',"  # two of them in a row would print as another character
# Beyond ASCII: what pdflatex prints with its standard fonts, whichever it has.
_LETTERS = (
    "¡¢£¤¥¦§¨©ª¬®¯°²³´µ¶·¸¹º¼½¾¿ÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÑÒÓÔÕÖØÙÚÛÜÝßàáâãäåæçèéêëìíîïñòóôõö÷øùúûüýÿ"
    "ĀāĂăĆćĈĉĊċČčĎďĒēĔĕĖėĚěĜĝĞğĠġĢģĤĥĨĩĪīĬĭİıĴĵĶķĹĺĻļĽľŁłŃńŅņŇňŌōŎŏŐőŒœŔŕŖŗŘřŚśŜŝŞşŠšŢţŤť"
    "ŨũŪūŬŭŮůŰűŴŵŶŷŸŹźŻżŽž‘“”•€™→←"
)
_JOINER = "\u2060"  # no width; keeps `_` and `{` of a literal apart
_MINUS = re.compile(r"(?<![\w.)\]-])-(?=\.?\d)")  # 2-3 and w-4 have hyphens
_SCRIPT = re.compile(r"(\w*[^\W_])(?P<kind>[_^])\{(?P<script>[^{}]*)\}")


def literal(text: str) -> str:
    """Text of data (a name, a device) for use in table text, which shows it as it is.

    Control characters become escapes; what looks like a sub- or superscript or a minus
    is none.
    """
    plain = re.sub(r"([_^])(?=\{)", rf"\1{_JOINER}", printable(text))
    return _MINUS.sub(f"-{_JOINER}", plain)


def with_minus(text: str) -> str:
    """The text with a minus before its negative numbers instead of a hyphen."""
    return _MINUS.sub("−", text)


def to_tex(text: str) -> str:
    """LaTeX source of a text; every special character is escaped.

    A character that LaTeX's standard fonts lack is printed as its code: [U+4E2D].
    """
    parts, last, text = [], 0, with_minus(text)
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
    pieces, before = [], ""
    for char in printable(text.replace(_JOINER, "")):
        if char == before and char in _LIGATURES:
            pieces.append("{}")
        pieces.append(_tex(char))
        before = char
    return "".join(pieces)


def _tex(char: str) -> str:
    if char in _MATH:
        return f"${_MATH[char]}$"
    known = char.isascii() or char in _LETTERS
    return (
        _PLAIN.get(char)
        or _ESCAPES.get(char)
        or (char if known else f"{{[}}U+{ord(char):04X}{{]}}")
    )


def to_html(text: str) -> str:
    """HTML of a text, escaped."""

    def script(match: re.Match[str]) -> str:
        tag = "sub" if match["kind"] == "_" else "sup"
        return f"{match[1]}<{tag}>{match['script']}</{tag}>"

    return _SCRIPT.sub(script, html.escape(with_minus(text))).replace(_JOINER, "")


def to_plain(text: str) -> str:
    """The text where nothing can be raised or lowered: L_un, 10^-3."""
    plain = _SCRIPT.sub(lambda m: f"{m[1]}{m['kind']}{m['script']}", text)
    return plain.replace(_JOINER, "")


def to_plot(text: str) -> str:
    """The text for matplotlib: scripts in its mathtext, the rest as Unicode."""

    def script(match: re.Match[str]) -> str:
        inner = match["script"].replace("−", "-")
        inner = rf"\mathrm{{{inner}}}" if match["kind"] == "_" else inner
        return f"${match[1]}{match['kind']}{{{inner}}}$"

    text = with_minus(text).replace("$", r"\$")
    return _SCRIPT.sub(script, text).replace(_JOINER, "")
