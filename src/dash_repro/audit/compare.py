"""The paper's numbers beside ours, and why they often cannot be compared."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import Any

from dash_repro.audit import exact
from dash_repro.audit.evidence import Evidence
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
    mapping = dataset_mapping(evidence, item)
    for (row, column), text in paper_values(evidence, item).items():
        if not re.fullmatch(LAYOUTS[item].beside, column):
            continue
        ours_row, ours_column = row, column
        for paper, ours in mapping.items():
            ours_row = _renamed(ours_row, paper, ours)
            ours_column = _renamed(ours_column, paper, ours)
        address = f"{item}/{ours_row}/{ours_column}"
        if item == "tableC7" and len(mapping) > 1:
            address = f"{item}/{mapping[PAPER_DATASETS[0]]}_{row}/{column}"
        yield _comparison(evidence, item, (row, column), text, address, mapping)


def dataset_mapping(evidence: Evidence, item: str) -> dict[str, str]:
    """Our datasets in the place of the paper's, first for first."""
    ours = evidence.params["experiments"][LAYOUTS[item].experiment]["datasets"]
    return dict(zip(PAPER_DATASETS, ours, strict=False))


def _renamed(text: str, paper: str, ours: str) -> str:
    return f"{ours}_{text[len(paper) + 1 :]}" if text.startswith(f"{paper}_") else text


def _comparison(
    evidence: Evidence,
    item: str,
    place: tuple[str, str],
    text: str,
    address: str,
    mapping: Mapping[str, str],
) -> Comparison:
    row, column = place
    cell = evidence.cells.get(address)
    if cell is None:
        return Comparison(
            item, row, column, text, reasons=("this run has no such cell",)
        )
    reasons = list(_reasons(evidence, item, place, cell, mapping))
    numbers = _numbers(evidence, address, cell)
    known = {"address": address, "ours": cell["displayed"], "reasons": tuple(reasons)}
    if reasons or numbers is None:
        return Comparison(item, row, column, text, **known)
    value, spread = numbers
    decimals = max(cell["decimals"], len(text.partition(".")[2]))
    difference = value - Fraction(text)
    known["difference"] = exact.rounded(difference, decimals)
    if spread:
        known["spread"] = f"{spread:.3g}"
        known["spreads"] = f"{float(difference) / spread:+.2f}"
    return Comparison(item, row, column, text, **known)


def _numbers(
    evidence: Evidence, address: str, cell: Mapping[str, Any]
) -> tuple[Fraction, float] | None:
    """Our unrounded value in the cell's unit, and the spread over its seeds."""
    expected = evidence.expectations.expected_for(address)
    if expected is None or cell["kind"] != "measured":
        return None
    first = [v.seeded for v in evidence.numbers(expected.first)]
    unit = Fraction(10) ** cell["exponent"]
    if expected.statistic in ("ratio", "difference"):
        second = [v.seeded for v in evidence.numbers(expected.second)]
        a, b = exact.average(first), exact.average(second)
        return (a / b if expected.statistic == "ratio" else a - b) * unit, 0.0
    if expected.statistic in exact.SPREADS:
        return Fraction(cell["displayed"]), 0.0
    several = exact.spread_groups(first, "std")
    spread = math.sqrt(exact.variance(first, 1)) * float(unit) if several else 0.0
    return exact.average(first) * unit, spread


def _reasons(
    evidence: Evidence,
    item: str,
    place: tuple[str, str],
    cell: Mapping[str, Any],
    mapping: Mapping[str, str],
) -> Iterator[str]:
    row, column = place
    if cell["kind"] == "literature":
        yield "printed in the paper from the literature; nothing was measured"
        return
    if column in SETTINGS or cell["kind"] == "param":
        yield "a setting, not a measurement"
        return
    if cell["kind"] in ("definition", "dash"):
        yield "by definition" if cell["kind"] == "definition" else cell["note"]
        return
    if evidence.params["scale"] in MARKS:
        yield "not the paper's scale"
    yield from _other_data(f"{row}_{column}", item, mapping)
    yield from _other_metric(evidence, cell)
    if column.endswith("gap_mse"):
        yield "the unit of the paper's gap MSE is not known: compare ratios"
    if item == "tableS1" and row.startswith(("latency", "peak")):
        yield "measured on another device than the README's"


def _other_data(text: str, item: str, mapping: Mapping[str, str]) -> Iterator[str]:
    names = {"cifar10": "CIFAR-10", "cifar100": "CIFAR-100"}
    for paper, ours in mapping.items():
        mine = f"{paper}_" in text or (item == "tableC7" and paper == "cifar10")
        if mine and ours != paper:
            yield f"other data: {ours} instead of {names[paper]}"


def _other_metric(evidence: Evidence, cell: Mapping[str, Any]) -> Iterator[str]:
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
