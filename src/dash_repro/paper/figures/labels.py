"""Names of classes as labels: text is text, in a font that has it, in its column."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from runledger.errors import printable

FONT = "DejaVu Sans"  # comes with matplotlib: the same bytes on every machine
LINES = 3  # of one label, at most


def class_label(name: str, label: int, room: float) -> str:
    """The class's name, over several lines if need be; or its number.

    Args:
        name: as the dataset has it.
        label: the class's number in the dataset, shown where the font lacks the name.
        room: of a line, in letters.
    """
    shown = printable(name)
    return wrapped(shown if drawable(shown) else f"class {label}", room)


def drawable(text: str) -> bool:
    """Whether the figures' font has every character."""
    return all(ord(char) in _glyphs() for char in text)


@lru_cache(maxsize=1)
def _glyphs() -> frozenset[int]:
    from matplotlib import get_data_path
    from matplotlib.ft2font import FT2Font

    path = Path(get_data_path()) / "fonts" / "ttf" / f"{FONT.replace(' ', '')}.ttf"
    return frozenset(FT2Font(str(path)).get_charmap())


def wrapped(text: str, room: float) -> str:
    """Lines of at most `room` letters, broken after blanks, _, - and else anywhere.

    What does not fit into `LINES` lines ends in an ellipsis.
    """
    most = max(3, int(room))
    lines, rest = [], text.strip()
    while rest and len(lines) < LINES:
        cut = len(rest) if _length(rest) <= most else _cut(rest, most)
        lines.append(rest[:cut].rstrip())
        rest = rest[cut:].lstrip()
    if rest:
        lines[-1] = lines[-1][: most - 1] + "…"
    return "\n".join(lines)


def _cut(text: str, most: int) -> int:
    """Where to break: after the last blank, _ or - that fits, or at the full length."""
    fits = [i + 1 for i in range(1, most) if text[i] in " _-"]
    fits += [most] if text[most] == " " else []
    return fits[-1] if fits else most


def _length(text: str) -> int:
    """Letters that take room (accents on others take none)."""
    return sum(not unicodedata.combining(char) for char in text)


def unnamed(names: Mapping[int, str]) -> list[str]:
    """Say which classes, by number, `class_label` shows without their names."""
    return [
        f"class {label}: {printable(name)}"
        for label, name in names.items()
        if not drawable(printable(name))
    ]
