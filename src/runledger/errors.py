"""Errors that a user can act on: what was wrong, where, and what to do."""

from __future__ import annotations


class UserError(Exception):
    """A failure shown as one message, without a traceback.

    Args:
        what: what was wrong, with the offending value.
        where: file, key or command it was found in.
        remedy: what to do about it.
    """

    def __init__(self, what: str, where: str = "", remedy: str = "") -> None:
        self.what, self.where, self.remedy = what, str(where), remedy
        super().__init__(str(self))

    def __str__(self) -> str:
        place = f"\n  where: {self.where}" if self.where else ""
        remedy = f"\n  what to do: {self.remedy}" if self.remedy else ""
        return f"{self.what}{place}{remedy}"
