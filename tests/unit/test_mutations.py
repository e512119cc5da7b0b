"""Every fault of tests/mutations.toml can still be put in."""

from __future__ import annotations

import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_each_fault_has_its_one_place_and_its_tests() -> None:
    """`make mutants` takes hours; code that moves must take its fault along."""
    text = (ROOT / "tests/mutations.toml").read_text(encoding="utf-8")
    lost = [
        one["id"]
        for one in tomllib.loads(text)["mutation"]
        if (ROOT / one["file"]).read_text(encoding="utf-8").count(one["old"]) != 1
        or not all((ROOT / path.partition("::")[0]).exists() for path in one["tests"])
    ]
    assert lost == []
