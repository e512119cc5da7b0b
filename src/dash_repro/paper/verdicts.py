"""From the formulas of a claim to its verdict, with the spread over seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from dash_repro.paper.aggregate import AggregateError, round_half_up
from dash_repro.paper.claim_cells import OurCells, PaperCells
from dash_repro.paper.claims import KINDS, Claim
from dash_repro.paper.formula import Formula, FormulaError, NotTestable
from dash_repro.paper.names import dataset_name
from dash_repro.paper.uncertainty import Estimate, above_zero

HOLDS, FAILS, INCONCLUSIVE = "holds", "fails", "inconclusive"
NOT_TESTABLE = "not testable"
VERDICTS = (HOLDS, FAILS, INCONCLUSIVE, NOT_TESTABLE)
ERROR_RATE = 0.05  # that any claim of a run is called holds or fails by chance
PAPER_DATASETS = ("cifar10", "cifar100")
LeftOut = Mapping[str, Mapping[str, OurCells]]


@dataclass(frozen=True)
class Measured:
    """What a claim's formulas give on one side, before any verdict.

    Attributes:
        shown: (label, value) of what is printed; a label is a name and its dataset.
        given, effects: quantities that are to be above zero.
        operands: addresses of the cells that were read.
        reason: why there is nothing to judge; "" if there is.
    """

    shown: tuple[tuple[str, Estimate | str], ...] = ()
    given: tuple[Estimate, ...] = ()
    effects: tuple[Estimate, ...] = ()
    operands: tuple[str, ...] = ()
    reason: str = ""

    @property
    def uncertain(self) -> bool:
        """Whether seeds decide about it, so that it counts as one of many tests."""
        return any(estimate.parts for estimate in (*self.effects, *self.given))


@dataclass(frozen=True)
class Verdict:
    """What a claim came to on one side.

    Attributes:
        verdict: one of VERDICTS.
        values: printed values by label.
        reason: why it is not testable or inconclusive.
        operands: addresses of the cells that were read.
    """

    verdict: str
    values: dict[str, str]
    reason: str = ""
    operands: tuple[str, ...] = ()

    @property
    def shown(self) -> str:
        """Values as printed, each with its label, or a dash."""
        return "; ".join(f"{name} {text}" for name, text in self.values.items()) or "–"


def measure_paper(
    claim: Claim, cells: PaperCells, names: Mapping[str, Any]
) -> Measured:
    """Evaluate a claim on the paper's tables, whose numbers are taken as exact."""
    return _measure(claim, claim.let, cells, {}, PAPER_DATASETS, names)


def measure_ours(
    claim: Claim,
    cells: OurCells,
    left_out: LeftOut,
    datasets: Sequence[str],
    names: Mapping[str, Any],
) -> Measured:
    """Evaluate a claim on a run, and again without each training and sampling seed.

    Args:
        claim: formulas may name the datasets as {d}, {d1} and {d2}.
        cells: the run's numbers.
        left_out: {"seed" or "sampling_seed": {one: the run's numbers without it}}.
        datasets: what {d}, {d1} and {d2} stand for.
        names: values that formulas may use, like trained_w.
    """
    lets = {**claim.let, **claim.our_let}
    return _measure(claim, lets, cells, left_out, datasets, names)


def _measure(
    claim: Claim,
    lets: Mapping[str, str],
    cells: PaperCells | OurCells,
    left_out: LeftOut,
    datasets: Sequence[str],
    names: Mapping[str, Any],
) -> Measured:
    if claim.untestable:
        return Measured(reason=claim.untestable)
    texts = [*map(str, lets.values()), *map(str, claim.effects), *map(str, claim.given)]
    each = any("{d}" in text for text in texts)
    cells.read.clear()
    found, reasons = [], []
    for dataset in datasets if each else [""]:
        try:
            found.append(
                (
                    dataset,
                    _quantities(
                        claim, lets, cells, left_out, (dataset, datasets), names
                    ),
                )
            )
        except NotTestable as error:
            reasons.append(str(error))
    operands = tuple(dict.fromkeys(cells.read))
    if not found:
        return Measured(operands=operands, reason=reasons[0])
    shown = tuple(
        (_label(name, dataset, datasets), quantities[name])
        for dataset, quantities in found
        for name in claim.show
    )
    return Measured(
        shown,
        tuple(q[str(text)] for _, q in found for text in claim.given),
        tuple(q[str(text)] for _, q in found for text in claim.effects),
        operands,
    )


def _label(name: str, dataset: str, datasets: Sequence[str]) -> str:
    """A value's label: its name in words, and its dataset if it is one of several."""
    words = name.replace("_", " ")
    if not dataset and name[-1:] in "12" and len(datasets) >= int(name[-1]):
        words, dataset = words[:-1], datasets[int(name[-1]) - 1]
    return f"{words} ({dataset_name(dataset)})" if dataset else words


def _quantities(
    claim: Claim,
    lets: Mapping[str, str],
    cells: PaperCells | OurCells,
    left_out: LeftOut,
    place: tuple[str, Sequence[str]],
    names: Mapping[str, Any],
) -> dict[str, Estimate | str]:
    """Every shown, given and effect formula of a claim, with its replicates."""
    whole = _evaluate(claim, lets, cells, place, names)
    again: dict[str, list[dict[str, Any]]] = {}
    single = False
    for field, others in left_out.items():
        marks = _marks(cells, f"{field}s")
        if field == "sampling_seed" and len(marks) < 2:
            continue
        try:
            again[field] = [
                _evaluate(claim, lets, others[mark], place, names)
                for mark in sorted(marks)
            ]
        except (NotTestable, AggregateError):
            single |= field == "seed"
    return {
        key: _estimate(
            value,
            [other[key] for other in again.get("seed", ())],
            single,
            [other[key] for other in again.get("sampling_seed", ())],
        )
        for key, value in whole.items()
    }


def _marks(cells: PaperCells | OurCells, kind: str) -> frozenset[str]:
    """Seeds of a kind ("seeds", "sampling_seeds") behind the cells that were read."""
    known = getattr(cells, kind, {})
    return frozenset().union(
        *(known.get(address, frozenset()) for address in cells.read)
    )


def _estimate(
    value: Any, others: Sequence[Any], single: bool, resampled: Sequence[Any]
) -> Any:
    if not isinstance(value, Decimal):
        return str(value)
    return Estimate(value, tuple(others), single, tuple(resampled))


def _evaluate(
    claim: Claim,
    lets: Mapping[str, str],
    cells: PaperCells | OurCells,
    place: tuple[str, Sequence[str]],
    names: Mapping[str, Any],
) -> dict[str, Any]:
    formula, known = Formula(cells), dict(names)
    for name, text in lets.items():
        known[name] = formula.evaluate(_place(str(text), *place), known)
    for text in map(str, (*claim.given, *claim.effects)):
        known[text] = formula.evaluate(_place(text, *place), known)
        if not isinstance(known[text], Decimal):
            raise FormulaError(
                f"claim {claim.id}: {text!r} is not a number",
                "paper/claims.yaml",
                "write an effect as a difference that the claim says is above zero",
            )
    return {
        key: known[key]
        for key in (*claim.show, *map(str, (*claim.given, *claim.effects)))
    }


def judge(
    claim: Claim, measured: Measured, error_rate: float, paper_scale: bool
) -> Verdict:
    """Say what a claim came to.

    It holds if the intervals of all its effects lie above zero, fails if one lies
    below, and is inconclusive otherwise. What a claim presupposes has to be above
    zero, too.

    Args:
        claim: the claim.
        measured: its quantities.
        error_rate: that this claim is called holds or fails by chance.
        paper_scale: whether the numbers come from the paper or a run at its scale.
    """
    if measured.reason:
        return Verdict(NOT_TESTABLE, {}, measured.reason, measured.operands)
    share = error_rate / len(measured.effects)
    values = {
        label: _printed(value, share, claim.digits) for label, value in measured.shown
    }
    operands = measured.operands
    if KINDS[claim.kind] and not paper_scale:
        return Verdict(NOT_TESTABLE, values, KINDS[claim.kind], operands)
    if any(estimate.single for estimate in measured.effects):
        reason = "one training seed: its spread is not known"
        return Verdict(INCONCLUSIVE, values, reason, operands)
    if measured.given and above_zero(measured.given, error_rate) is not True:
        reason = "what it presupposes is not above zero beyond the spread over seeds"
        return Verdict(NOT_TESTABLE, values, reason, operands)
    holds = above_zero(measured.effects, error_rate)
    if holds is None:
        reason = "an interval contains zero, or the bound of the claim"
        return Verdict(INCONCLUSIVE, values, reason, operands)
    return Verdict(HOLDS if holds else FAILS, values, "", operands)


def _place(text: str, dataset: str, datasets: Sequence[str]) -> str:
    for index in (1, 2):
        mark = f"{{d{index}}}"
        if mark in text and len(datasets) < index:
            raise NotTestable("this run has one dataset only")
        if mark in text:
            text = text.replace(mark, datasets[index - 1])
    return text.replace("{d}", dataset)


def _printed(value: Estimate | str, error_rate: float, digits: int) -> str:
    """A number with its interval, "4.97 [4.1, 5.8]"; without one if it is exact."""
    if isinstance(value, str):
        return value
    text = round_half_up(value.number, digits)
    interval = value.interval(error_rate)
    if value.exact or interval is None:
        return text
    low, high = (round_half_up(end, digits) for end in interval)
    return f"{text} [{low}, {high}]"
