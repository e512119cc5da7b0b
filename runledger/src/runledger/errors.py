"""Errors that a user can act on: what was wrong, where, and what to do."""

from __future__ import annotations

import unicodedata

__all__ = ["UserError", "printable"]


def printable(text: object, keep: str = "") -> str:
    """Return text that every terminal, log and JSON file takes, on one line.

    Control characters and bytes that are no text (of a file's name, say) are written as
    escapes; everything else stays.

    Args:
        text: what is shown.
        keep: control characters that stay, such as a newline.
    """
    return "".join(
        char
        if char in keep or unicodedata.category(char) not in ("Cc", "Cs", "Zl", "Zp")
        else char.encode("unicode_escape").decode()
        for char in str(text)
    )


class UserError(Exception):
    """A failure shown as one message, without a traceback.

    Args:
        what: what was wrong, with the offending value.
        where: file, key or command it was found in.
        remedy: what to do about it.
    """

    def __init__(self, what: str, where: str = "", remedy: str = "") -> None:
        self.what = printable(what, keep="\n")
        self.where, self.remedy = printable(where), printable(remedy, keep="\n")
        super().__init__(str(self))

    def __str__(self) -> str:
        place = f"\n  where: {self.where}" if self.where else ""
        remedy = f"\n  what to do: {self.remedy}" if self.remedy else ""
        return f"{self.what}{place}{remedy}"
