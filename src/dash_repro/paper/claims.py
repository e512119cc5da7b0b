"""The claims of the text as data, judged on the paper's own tables and on ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import yaml

from dash_repro.paper.aggregate import round_half_up, statistic_of
from dash_repro.paper.context import PaperTable
from dash_repro.paper.formula import Formula, FormulaError, NotTestable
from dash_repro.paper.table import Table

HOLDS, FAILS, NOT_TESTABLE = "holds", "fails", "not testable"
PAPER_TABLES = {
    "table2": ("table2_teacher_ablation.csv", ("method",)),
    "table3": ("table3_main.csv", ("model",)),
    "table4": ("table4_ablation.csv", ("configuration",)),
    "tableB3": ("table3_main.csv", ("model",)),
    "tableB4": ("table4_ablation.csv", ("configuration",)),
    "tableC5": ("tableC5_steps.csv", ("dataset", "model")),
    "tableC6": ("tableC6_width.csv", ("config", "width")),
    "tableC7": ("tableC7_guidance.csv", ("model",)),
}
_KEYS = {"id", "sentence", "let", "holds", "show"}
_OPTIONAL = {"paper_let", "our_let", "absolute", "remark", "expect", "digits"}


@dataclass(frozen=True)
class Claim:
    """One claim.

    Attributes:
        id, sentence: what is claimed, in our words.
        let: name -> formula, evaluated in order.
        holds: formula that says whether the claim holds.
        show: names whose values are printed.
        paper_let, our_let: formulas that replace `let`'s on one side.
        absolute: speaks of FID points, so another metric cannot test it.
        remark: what a reader should know.
        expect: what the paper's own tables give: {"verdict": ..., name: number}.
        digits: decimals of the printed values.
    """

    id: str
    sentence: str
    let: Mapping[str, str]
    holds: str
    show: Sequence[str]
    paper_let: Mapping[str, str] = field(default_factory=dict)
    our_let: Mapping[str, str] = field(default_factory=dict)
    absolute: bool = False
    remark: str = ""
    expect: Mapping[str, Any] = field(default_factory=dict)
    digits: int = 2


@dataclass(frozen=True)
class Verdict:
    """What a claim came to on one side.

    Attributes:
        verdict: holds | fails | not testable.
        values: printed values by name.
        reason: why it is not testable.
        operands: addresses of the cells that were read.
    """

    verdict: str
    values: dict[str, str]
    reason: str = ""
    operands: tuple[str, ...] = ()

    @property
    def shown(self) -> str:
        """Values as printed, or a dash."""
        return ", ".join(self.values.values()) or "–"


def load_claims(path: Path | str) -> list[Claim]:
    """Read claims.yaml.

    Raises:
        FormulaError: a claim with unknown or missing keys, or an id used twice.
    """
    entries = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    for entry in entries:
        wrong = (_KEYS - set(entry)) | (set(entry) - _KEYS - _OPTIONAL)
        if wrong:
            raise FormulaError(
                f"claim {entry.get('id')!r} lacks or should not have {sorted(wrong)}",
                str(path),
                f"give it {sorted(_KEYS)}, and {sorted(_OPTIONAL)} where needed",
            )
    ids = [entry["id"] for entry in entries]
    if len(set(ids)) < len(ids):
        raise FormulaError("two claims have the same id", str(path), "rename one")
    return [Claim(**entry) for entry in entries]


class PaperCells:
    """The paper's own numbers, from its CSVs."""

    def __init__(self, sources: Mapping[str, Path]) -> None:
        self._tables = {
            item: PaperTable.load(sources[name], *keys)
            for item, (name, keys) in PAPER_TABLES.items()
        }
        self.read: list[str] = []

    def value(self, address: str) -> Decimal:
        """One printed number."""
        self.read.append(address)
        item, row, column = address.split("/")
        if item not in self._tables:
            raise NotTestable("the paper prints no numbers for this")
        text = self._tables[item].value(row, column)
        if not text:
            raise NotTestable(f"the paper has no {address}")
        return Decimal(text)

    def row(self, address: str) -> list[tuple[str, Decimal]]:
        """The numbers of a row whose columns are named fid_<steps> or w<scale>."""
        item, row = address.split("/")
        names = [
            name
            for name in self._tables[item].by_id[row]
            if name.startswith("fid_") or name[1:2].isdigit()
        ]
        return [(name, self.value(f"{address}/{name}")) for name in names]

    def column(self, item: str, prefix: str, column: str) -> list[Decimal]:
        """A column over rows with a prefix."""
        rows = [row for row in self._tables[item].by_id if row.startswith(prefix)]
        return [self.value(f"{item}/{row}/{column}") for row in rows]


class OurCells:
    """Our numbers, unrounded, from built tables and from named extra values."""

    def __init__(
        self, tables: Mapping[str, Table], extra: Mapping[str, Decimal]
    ) -> None:
        self._tables, self._extra = tables, extra
        self.read: list[str] = []

    def value(self, address: str) -> Decimal:
        """One measured number."""
        self.read.append(address)
        if address in self._extra:
            return self._extra[address]
        table = self._tables.get(address.split("/")[0])
        cell = table.cells.get(address) if table else None
        if cell is None:
            raise NotTestable(f"this run has no {address}")
        if cell.kind == "measured":
            number = statistic_of(cell.values, cell.statistic, cell.ddof)
            return number.scaleb(cell.exponent)
        if cell.kind == "dash":
            raise NotTestable(f"{address} is a dash ({cell.note})")
        return Decimal(cell.displayed)

    def row(self, address: str) -> list[tuple[str, Decimal]]:
        """The numbers of a row, in the table's order."""
        item, _ = address.split("/")
        table = self._tables.get(item)
        names = [
            name.rsplit("/", 1)[1]
            for name in (table.cells if table else {})
            if name.startswith(f"{address}/")
        ]
        if not names:
            raise NotTestable(f"this run has no {address}")
        return [(name, self.value(f"{address}/{name}")) for name in names]

    def column(self, item: str, prefix: str, column: str) -> list[Decimal]:
        """A column over rows with a prefix."""
        table = self._tables[item]
        rows = [line.id for line in table.lines if line.id.startswith(prefix)]
        return [self.value(f"{item}/{row}/{column}") for row in rows]


def judge(
    claim: Claim,
    cells: PaperCells | OurCells,
    datasets: Sequence[str],
    ours: bool,
    names: Mapping[str, Any],
) -> Verdict:
    """Evaluate one claim on one side.

    Args:
        claim: formulas may name the datasets as {d1} and {d2}.
        cells: the side's numbers.
        datasets: what {d1} and {d2} stand for.
        ours: whether `our_let` or `paper_let` replaces formulas.
        names: values that formulas may use, like trained_w.
    """
    cells.read.clear()
    formula, known = Formula(cells), dict(names)
    lets = {**claim.let, **(claim.our_let if ours else claim.paper_let)}
    try:
        for name, text in lets.items():
            known[name] = formula.evaluate(_place(str(text), datasets), known)
        verdict = formula.evaluate(_place(claim.holds, datasets), known)
    except NotTestable as error:
        return Verdict(NOT_TESTABLE, {}, str(error))
    if not isinstance(verdict, bool):
        raise FormulaError(f"claim {claim.id}: {claim.holds!r} is no yes or no")
    shown = {name: _shown(known[name], claim.digits) for name in claim.show}
    operands = tuple(dict.fromkeys(cells.read))
    return Verdict(HOLDS if verdict else FAILS, shown, "", operands)


def _place(text: str, datasets: Sequence[str]) -> str:
    for index in (1, 2):
        mark = f"{{d{index}}}"
        if mark in text and len(datasets) < index:
            raise NotTestable("this run has one dataset only")
        if mark in text:
            text = text.replace(mark, datasets[index - 1])
    return text


def _shown(value: Any, digits: int) -> str:
    return round_half_up(value, digits) if isinstance(value, Decimal) else str(value)
