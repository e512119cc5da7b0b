"""From the formulas of a claim to its verdict, with the spread over seeds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import partial
from typing import Any

from dash_repro.paper.aggregate import AggregateError, round_half_up
from dash_repro.paper.claim_cells import OurCells, PaperCells
from dash_repro.paper.claims import KINDS, Claim
from dash_repro.paper.formula import Cells, Formula, FormulaError, NotTestable
from dash_repro.paper.names import dataset_name
from dash_repro.paper.uncertainty import Estimate, above_zero

HOLDS, FAILS, INCONCLUSIVE = "holds", "fails", "inconclusive"
NOT_TESTABLE = "not testable"
VERDICTS = (HOLDS, FAILS, INCONCLUSIVE, NOT_TESTABLE)
ERROR_RATE = 0.05  # that any claim of a run is called holds or fails by chance
PAPER_DATASETS = ("cifar10", "cifar100")
LeftOut = Mapping[str, Mapping[str, OurCells]]  # see `measure_ours`


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
    return measure_ours(replace(claim, our_let={}), cells, {}, PAPER_DATASETS, names)


def measure_ours(
    claim: Claim,
    cells: Cells,
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
    if claim.untestable:
        return Measured(reason=claim.untestable)
    formulas = [*map(str, claim.formulas.values()), *claim.given, *claim.effects]
    by_dataset = any("{d}" in text for text in formulas)
    cells.read.clear()
    found, reasons = [], []
    for dataset in datasets if by_dataset else [""]:
        evaluate = partial(_evaluate, claim, dataset, datasets, names)
        try:
            found.append((dataset, _with_replicates(evaluate, cells, left_out)))
        except NotTestable as error:
            reasons.append(str(error))
    operands = tuple(dict.fromkeys(cells.read))
    if not found:
        return Measured(operands=operands, reason=reasons[0])
    shown = tuple(
        (_label(name, dataset, datasets), estimates[name])
        for dataset, estimates in found
        for name in claim.show
    )
    given, effects = (
        tuple(estimates[text] for _, estimates in found for text in texts)
        for texts in (claim.given, claim.effects)
    )
    return Measured(shown, given, effects, operands)


def _label(name: str, dataset: str, datasets: Sequence[str]) -> str:
    """A value's label: its name in words, and its dataset if it is one of several."""
    words = name.replace("_", " ")
    if not dataset and name[-1:] in "12" and len(datasets) >= int(name[-1]):
        words, dataset = words[:-1], datasets[int(name[-1]) - 1]
    return f"{words} ({dataset_name(dataset)})" if dataset else words


def _with_replicates(
    evaluate: Callable[[Cells], dict[str, Any]], cells: Cells, left_out: LeftOut
) -> dict[str, Estimate | str]:
    """Every quantity of a claim, evaluated again with each seed left out."""
    whole = evaluate(cells)
    replicates: dict[str, list[dict[str, Any]]] = {"seed": [], "sampling_seed": []}
    single = False
    for field, without in left_out.items():
        seeds = cells.seeds_read(field)
        if field == "sampling_seed" and len(seeds) < 2:
            continue
        try:
            replicates[field] = [evaluate(without[seed]) for seed in sorted(seeds)]
        except (NotTestable, AggregateError):
            single |= field == "seed"

    def estimate(key: str, value: Any) -> Estimate | str:
        if not isinstance(value, Decimal):
            return str(value)
        trained, resampled = (
            tuple(one[key] for one in replicates[field]) for field in replicates
        )
        return Estimate(value, trained, single, resampled)

    return {key: estimate(key, value) for key, value in whole.items()}


def _evaluate(
    claim: Claim,
    dataset: str,
    datasets: Sequence[str],
    names: Mapping[str, Any],
    cells: Cells,
) -> dict[str, Any]:
    """What is shown, given and claimed, by name or formula."""
    formula, known = Formula(cells), dict(names)
    criteria = (*claim.given, *claim.effects)
    for name, text in (*claim.formulas.items(), *zip(criteria, criteria, strict=True)):
        text = _for_dataset(str(text), dataset, datasets)
        known[name] = formula.evaluate(text, known)
    for text in criteria:
        if not isinstance(known[text], Decimal):
            raise FormulaError(
                f"claim {claim.id}: {text!r} is not a number",
                "paper/claims.yaml",
                "write an effect as a difference that the claim says is above zero",
            )
    return {key: known[key] for key in (*claim.show, *criteria)}


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
    values = {}
    if not measured.reason:
        share = error_rate / len(measured.effects)
        shown = measured.shown
        values = {label: _printed(value, share, claim.digits) for label, value in shown}
    verdict, reason = _outcome(claim, measured, error_rate, paper_scale)
    return Verdict(verdict, values, reason, measured.operands)


def _outcome(
    claim: Claim, measured: Measured, error_rate: float, paper_scale: bool
) -> tuple[str, str]:
    """The verdict, and why it is not testable or inconclusive."""
    if measured.reason:
        return NOT_TESTABLE, measured.reason
    if KINDS[claim.kind] and not paper_scale:
        return NOT_TESTABLE, KINDS[claim.kind]
    if any(estimate.single for estimate in measured.effects):
        return INCONCLUSIVE, "one training seed: its spread is not known"
    if measured.given and above_zero(measured.given, error_rate) is not True:
        unmet = "what it presupposes is not above zero beyond the spread over seeds"
        return NOT_TESTABLE, unmet
    holds = above_zero(measured.effects, error_rate)
    if holds is None:
        return INCONCLUSIVE, "an interval contains zero, or the bound of the claim"
    return HOLDS if holds else FAILS, ""


def _for_dataset(text: str, dataset: str, datasets: Sequence[str]) -> str:
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
