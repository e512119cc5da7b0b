"""The page of guarantees names tests that exist, and runledger's are in its suite."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "guarantees.md").read_text(encoding="utf-8")
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in TEXT.splitlines()
    if line.startswith("| ") and not line.startswith("| promise")
]
# what this project promises on top: its settings, and what it reads and shows
OWN = {
    *("unit/test_param_types.py", "unit/test_param_overlays.py"),
    *("unit/test_image_modes.py", "unit/test_folder_listing.py"),
    "unit/test_text_from_data.py",
}


def named(cell: str) -> tuple[list[str], list[str]]:
    """The files and functions that hold a promise."""
    words = re.findall("`([^`]+)`", cell)
    return [w for w in words if "/" in w], [w for w in words if "/" not in w]


@pytest.mark.parametrize("row", ROWS, ids=[row[0][:40] for row in ROWS])
def test_what_holds_a_promise_is_there(row: list[str]) -> None:
    files, functions = named(row[2])
    assert files
    places = [
        ROOT if name.startswith("runledger") else ROOT / "tests" for name in files
    ]
    text = "".join(
        (place / name).read_text(encoding="utf-8")
        for place, name in zip(places, files, strict=True)
    )
    for function in functions:
        assert f"def {function}(" in text, function


def test_what_runledger_promises_is_held_by_its_own_suite() -> None:
    without = [named(held)[0] for _, _, held in ROWS if "runledger/tests" not in held]
    assert {name for names in without for name in names} == OWN
    assert len(ROWS) > 30
