"""From raw values by seed to the digits that are printed; the audit calls the same.

Arithmetic is decimal: a raw value enters as the shortest text that reads back to the
same float, means and deviations carry 50 digits, and only the last step rounds, half
away from zero (ROUND_HALF_UP).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Context, Decimal, localcontext

from runledger.errors import UserError

DASH = "–"
SPREADS = ("std", "sampling_std")  # over training seeds, and over sampling seeds
STATISTICS = ("mean", *SPREADS, "difference", "ratio")
_CONTEXT = Context(prec=50, rounding=ROUND_HALF_UP)


class AggregateError(UserError):
    """A statistic that the values at hand do not define."""


@dataclass(frozen=True, order=True)
class Value:
    """One raw value behind a cell.

    Attributes:
        number: shortest text that reads back to the same float.
        seed, sampling_seed: of training and of sampling; "" where there is none.
        stage, instance: whose result it is.
        role: "" or, in a difference or ratio, "second" for what is subtracted or
            divided by.
        error: standard error over samples; "" where there is none.
    """

    number: str
    seed: str = ""
    sampling_seed: str = ""
    stage: str = ""
    instance: str = ""
    role: str = ""
    error: str = ""


@dataclass(frozen=True)
class Cell:
    """One displayed number (or dash, or word) with everything it came from.

    Attributes:
        address: item/row/column, columns named as in the paper's CSV.
        displayed: exactly what the table prints.
        kind: measured | literature | definition | param | dash | text.
        values: raw values by seed (measured only).
        statistic, decimals, ddof, exponent: see `display`.
        metric, name: what was measured, and the name it may be called by.
        n: samples, pairs or images behind each value.
        extractor: network of the features, where there is one.
        unit: what one unit of the displayed number is, "" if it is plain.
        paper: the paper's value, as in its CSV; "" where it has none.
        note: why it is a dash, or another remark.
        mark: printed behind the number, explained by a note of the table.
    """

    address: str
    displayed: str
    kind: str
    values: tuple[Value, ...] = ()
    statistic: str = "mean"
    decimals: int = 0
    ddof: int = 0
    exponent: int = 0
    metric: str = ""
    name: str = ""
    n: str = ""
    extractor: str = ""
    unit: str = ""
    paper: str = ""
    note: str = ""
    mark: str = ""


def mean(numbers: Sequence[Decimal]) -> Decimal:
    """Arithmetic mean, to 50 digits.

    Raises:
        AggregateError: no numbers.
    """
    if not numbers:
        raise AggregateError("the mean of no values", "", "collect the results again")
    with localcontext(_CONTEXT):
        return sum(numbers, Decimal(0)) / len(numbers)


def alike(values: Sequence[Value], statistic: str) -> list[list[Decimal]]:
    """Numbers that differ in one seed only, as lists of two or more.

    Args:
        values: raw values; in any order.
        statistic: "std": in the training seed (of real images, in the set);
            "sampling_std": in the sampling seed.
    """
    trained = any(value.seed for value in values)
    held = "sampling_seed" if statistic == "std" and trained else "seed"
    found: dict[str, list[Decimal]] = {}
    for value in sorted(values, key=_by_seed):
        found.setdefault(getattr(value, held), []).append(Decimal(value.number))
    return [numbers for numbers in found.values() if len(numbers) > 1]


def std(groups: Sequence[Sequence[Decimal]], ddof: int) -> Decimal:
    """Standard deviation within groups, with divisor (count - ddof) in each, pooled.

    What one more run of another seed would differ by, the other seed being the same.

    Raises:
        AggregateError: no groups.
    """
    if not groups:
        raise AggregateError(
            "the standard deviation of a single value",
            "experiments in params.yaml",
            "use more seeds",
        )
    with localcontext(_CONTEXT):
        squares = sum(
            (number - mean(group)) ** 2 for group in groups for number in group
        )
        return (squares / sum(len(group) - ddof for group in groups)).sqrt()


def round_half_up(number: Decimal, decimals: int) -> str:
    """Fixed-point text with that many decimals; halves away from zero, no "-0"."""
    with localcontext(_CONTEXT):
        rounded = number.quantize(Decimal(1).scaleb(-decimals))
    if rounded == 0:
        rounded = abs(rounded)
    return f"{rounded:f}"


def units(values: Sequence[Value]) -> list[Decimal]:
    """The independent repetitions among the values.

    With several training seeds, one number each (the mean over its sampling seeds);
    with a single one, the sampling seeds are the repetitions.
    """
    seeds = sorted({value.seed for value in values})
    if len(seeds) <= 1:
        return [Decimal(value.number) for value in sorted(values, key=_by_seed)]
    return [
        mean([Decimal(value.number) for value in values if value.seed == seed])
        for seed in seeds
    ]


def _by_seed(value: Value) -> tuple[str, str, str]:
    return value.seed, value.sampling_seed, value.number


def statistic_of(values: Sequence[Value], statistic: str, ddof: int) -> Decimal:
    """The number behind a cell, unrounded.

    Args:
        values: raw values; in any order.
        statistic: mean | std | sampling_std (see `alike`) | difference of two means |
            ratio of two means.
        ddof: of the standard deviation.
    """
    if statistic == "mean":
        return mean(units(values))
    if statistic in SPREADS:
        return std(alike(values, statistic), ddof)
    first = mean(units([value for value in values if value.role != "second"]))
    second = mean(units([value for value in values if value.role == "second"]))
    with localcontext(_CONTEXT):
        if statistic == "difference":
            return first - second
        if statistic == "ratio":
            return first / second
    raise AggregateError(
        f"unknown statistic {statistic!r}", "", f"use one of {STATISTICS}"
    )


def display(
    values: Sequence[Value],
    statistic: str,
    decimals: int,
    ddof: int,
    exponent: int = 0,
) -> str:
    """The printed digits of a cell: statistic * 10^exponent, rounded half up.

    Args:
        values: raw values; in any order.
        statistic, ddof: see `statistic_of`.
        decimals: digits after the point.
        exponent: power of ten of the column's unit (3: printed in thousandths).
    """
    number = statistic_of(values, statistic, ddof)
    with localcontext(_CONTEXT):
        return round_half_up(number.scaleb(exponent), decimals)


def cell(
    address: str,
    values: Sequence[Value],
    decimals: int,
    ddof: int,
    statistic: str = "mean",
    exponent: int = 0,
    **about: str,
) -> Cell:
    """A measured cell from its raw values; `about` fills the descriptive fields."""
    ordered = tuple(sorted(values, key=lambda value: (value.role, *_by_seed(value))))
    return Cell(
        address=address,
        displayed=display(ordered, statistic, decimals, ddof, exponent),
        kind="measured",
        values=ordered,
        statistic=statistic,
        decimals=decimals,
        ddof=ddof,
        exponent=exponent,
        **about,
    )
