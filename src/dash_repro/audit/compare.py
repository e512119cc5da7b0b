"""The paper's numbers beside ours, and why they often cannot be compared."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from typing import Any

from dash_repro.audit import exact
from dash_repro.audit.evidence import Evidence, Json, both_sides
from dash_repro.audit.expected import LAYOUTS
from dash_repro.audit.printed import PAPER, is_own, paper_values
from dash_repro.paper.scale import MARKS

PAPER_DATASETS = ("cifar10", "cifar100")
PAPER_SAMPLES, PAPER_PAIRS = 50_000, 10_000  # Table A2
SETTINGS = ("steps", "l_im", "l_un", "l_an", "source")


@dataclass(frozen=True)
class Comparison:
    """One value of the paper's beside ours.

    Attributes:
        item, row, column: as in the paper's CSV.
        paper: its text.
        address: our cell in the same place; "" if this run has none.
        ours: what we print there.
        reasons: why the two cannot be compared; none: they can.
        difference: ours less the paper's, unrounded values of ours.
        spread: standard deviation over our seeds, where there are several.
        spreads: the difference in units of it.
    """

    item: str
    row: str
    column: str
    paper: str
    address: str = ""
    ours: str = ""
    reasons: tuple[str, ...] = ()
    difference: str = ""
    spread: str = ""
    spreads: str = ""

    @property
    def comparable(self) -> bool:
        """Whether the difference means anything."""
        return not self.reasons

    def to_dict(self) -> dict[str, Any]:
        """The comparison as data for JSON."""
        return {**asdict(self), "comparable": self.comparable}


def compare(evidence: Evidence, item: str) -> Iterator[Comparison]:
    """Every value of the paper's CSV behind an item, in its order."""
    ours = evidence.params["experiments"][LAYOUTS[item].experiment]["datasets"]
    mapping = dict(zip(PAPER_DATASETS, ours, strict=False))  # first for first
    for (row, column), text in paper_values(evidence, item).items():
        if not re.fullmatch(LAYOUTS[item].beside, column):
            continue
        address = f"{item}/{_renamed(row, mapping)}/{_renamed(column, mapping)}"
        if item == "tableC7" and len(mapping) > 1:
            address = f"{item}/{mapping[PAPER_DATASETS[0]]}_{row}/{column}"
        paper = Comparison(item, row, column, text)
        yield _compared(evidence, paper, address, mapping)


def _renamed(text: str, mapping: Mapping[str, str]) -> str:
    """A row or column of the paper's with our dataset in the place of its own."""
    for paper, ours in mapping.items():
        if text.startswith(f"{paper}_"):
            return ours + text.removeprefix(paper)
    return text


def _compared(
    evidence: Evidence, paper: Comparison, address: str, mapping: Mapping[str, str]
) -> Comparison:
    """The paper's value with our cell beside it."""
    cell = evidence.cells.get(address)
    if cell is None:
        return replace(paper, reasons=("this run has no such cell",))
    reasons = tuple(_reasons(evidence, paper, cell, mapping))
    numbers = _numbers(evidence, address, cell)
    known = replace(paper, address=address, ours=cell["displayed"], reasons=reasons)
    if reasons or numbers is None:
        return known
    value, spread = numbers
    decimals = max(cell["decimals"], len(paper.paper.partition(".")[2]))
    difference = value - Fraction(paper.paper)
    known = replace(known, difference=exact.rounded(difference, decimals))
    if not spread:
        return known
    spreads = f"{float(difference) / spread:+.2f}"
    return replace(known, spread=f"{spread:.3g}", spreads=spreads)


def _numbers(
    evidence: Evidence, address: str, cell: Json
) -> tuple[Fraction, float] | None:
    """Our unrounded value in the cell's unit, and the spread over its seeds."""
    expected = evidence.expectations.expected_for(address)
    if expected is None or cell["kind"] != "measured":
        return None
    sides = both_sides(evidence, expected)
    first, second = ([v.seeded for v in side] for side in sides)
    unit = Fraction(10) ** cell["exponent"]
    if expected.statistic in ("ratio", "difference"):
        a, b = exact.average(first), exact.average(second)
        return (a / b if expected.statistic == "ratio" else a - b) * unit, 0.0
    if expected.statistic in exact.SPREADS:
        return Fraction(cell["displayed"]), 0.0
    several = exact.spread_groups(first, "std")
    spread = math.sqrt(exact.variance(first, 1)) * float(unit) if several else 0.0
    return exact.average(first) * unit, spread


def _reasons(
    evidence: Evidence, paper: Comparison, cell: Json, mapping: Mapping[str, str]
) -> Iterator[str]:
    if cell["kind"] == "literature":
        yield "printed in the paper from the literature; nothing was measured"
        return
    if paper.column in SETTINGS or cell["kind"] == "param":
        yield "a setting, not a measurement"
        return
    if cell["kind"] in ("definition", "dash"):
        yield "by definition" if cell["kind"] == "definition" else cell["note"]
        return
    if evidence.params["scale"] in MARKS:
        yield "not the paper's scale"
    for theirs, ours in mapping.items():
        own = paper.item == "tableC7" and theirs == "cifar10"
        if ours != theirs and (own or f"{theirs}_" in f"{paper.row}_{paper.column}"):
            yield f"other data: {ours} instead of {theirs.replace('cifar', 'CIFAR-')}"
    yield from _other_metric(evidence, cell)
    if paper.column.endswith("gap_mse"):
        yield "the unit of the paper's gap MSE is not known: compare ratios"
    if paper.item == "tableS1" and paper.row.startswith(("latency", "peak")):
        yield "measured on another device than the README's"


def _other_metric(evidence: Evidence, cell: Json) -> Iterator[str]:
    if cell["metric"] in ("frechet", "inception_score"):
        extractor = evidence.params["extractor"]
        if cell["name"] not in ("FID", "IS"):
            yield f"other extractor: {cell['extractor']}"
        elif extractor["mode"] != "legacy_tensorflow":
            yield f"resizing mode {extractor['mode']}, not the CIFAR papers'"
        if cell["n"] != str(PAPER_SAMPLES):
            yield f"{cell['n']} samples, the paper {PAPER_SAMPLES}"
    elif cell["metric"] in ("rho", "cos") and cell["n"] != str(PAPER_PAIRS):
        yield f"{cell['n']} pairs, the paper {PAPER_PAIRS}"


def all_comparisons(evidence: Evidence) -> dict[str, list[Comparison]]:
    """{item: comparisons} of every table the paper gives numbers for; own data: {}."""
    if is_own(evidence):
        return {}
    present = [item for item in PAPER if item in evidence.sidecars]
    return {item: list(compare(evidence, item)) for item in present}
