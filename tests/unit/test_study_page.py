"""Every number of docs/study.md that a table of the published study has is that one."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

from packed_page import unpacked

ROOT = Path(__file__).resolve().parents[2]
TABLES = ROOT / "study" / "results" / "tables"
NUMBER = r"[−+]?\d[\d.,]*"
QUOTED = re.compile(
    rf"(?P<number>{NUMBER})(?: \((?P<low>{NUMBER}) to (?P<high>{NUMBER})\))?"
    r"(?: %)?<!-- (?P<address>[^ ]+/[^ ]+/[^ ]+) -->"
)


@cache
def cells(item: str) -> dict[str, Any]:
    return json.loads((TABLES / f"{item}.json").read_text(encoding="utf-8"))["cells"]


ABSOLUTE = re.compile(r"(?:^|(?<=[\s\"'(=]))/[\w.-]+/", re.M)  # a path of some machine


def test_numbers_are_those_of_the_published_tables() -> None:
    text = (ROOT / "docs" / "study.md").read_text(encoding="utf-8")
    quoted = list(QUOTED.finditer(text))
    assert len(quoted) == text.count("<!-- "), "a comment that names no cell"
    assert len(quoted) > 40
    wrong = []
    for found in quoted:
        address = found["address"]
        cell = cells(address.split("/")[0])[address]
        shown = [cell["displayed"], *cell["interval"]]
        wanted = [text.replace("-", "−") for text in shown]
        here = [found["number"], *(e for e in (found["low"], found["high"]) if e)]
        if here != wanted[: len(here)]:
            wrong.append(f"{address}: {here}, published {wanted}")
    assert wrong == []


def test_the_page_of_all_tables_is_of_what_is_published() -> None:
    """`make study` writes it; it is committed again when a run is published again."""
    text = (ROOT / "docs" / "study_report.html").read_text(encoding="utf-8")
    page = unpacked(text)
    shown = {address: cell["displayed"] for address, cell in page["cells"].items()}
    items = [path.stem for path in TABLES.glob("*.json")]
    published = {
        address: cell["displayed"]
        for item in items
        for address, cell in cells(item).items()
    }
    assert len(items) > 15 and shown == published
    statuses = {cell["status"] for cell in page["cells"].values()}
    assert statuses <= {"traced", "notice", "not checked"}
    assert page["main"].count("data:image/webp") >= 20
    assert ABSOLUTE.findall("see '/data/pets/'\n/a.b/c </td> a/b/c") == [
        "/data/",
        "/a.b/",
    ]
    assert ABSOLUTE.findall(json.dumps(page).replace("\\n", "\n") + text) == []
    told = {run["record"] for run in page["runs"]}
    assert all((ROOT / "study" / record).is_file() for record in told)
