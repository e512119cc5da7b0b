"""The printed digits of a number in exact rational arithmetic.

Written apart from dash_repro.paper.aggregate, which made the tables: no code is
shared, so that a mistake in one of them shows.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import isqrt
from statistics import StatisticsError, mean, pvariance

Raw = tuple[str, str, str]  # seed, sampling seed, number as text
SPREADS = ("std", "sampling_std")  # over training seeds; over sampling seeds


def repetitions(values: Sequence[Raw]) -> list[Fraction]:
    """One number a training seed; with a single training seed, one a sampling."""
    by_seed: dict[str, list[Fraction]] = {}
    for seed, _, number in values:
        by_seed.setdefault(seed, []).append(Fraction(number))
    if len(by_seed) == 1:
        return next(iter(by_seed.values()))
    return [mean(group) for group in by_seed.values()]


def average(values: Sequence[Raw]) -> Fraction:
    """Mean of the repetitions."""
    return mean(repetitions(values))


def spread_groups(values: Sequence[Raw], statistic: str) -> list[list[Fraction]]:
    """Numbers of the same noise (std) or the same weights, two or more in a group.

    Sets of real images, which no training made, are one group of noise.
    """
    found: dict[str, list[Fraction]] = {}
    for seed, sampling, number in values:
        noise = sampling if seed else ""
        place = noise if statistic == "std" else seed
        found.setdefault(place, []).append(Fraction(number))
    return [group for group in found.values() if len(group) > 1]


def variance(values: Sequence[Raw], ddof: int, statistic: str = "std") -> Fraction:
    """Variance within groups, pooled, with divisor (count - ddof) in each.

    Raises:
        ZeroDivisionError: no group has two numbers.
    """
    total, divisor = Fraction(0), 0
    for group in spread_groups(values, statistic):
        total += pvariance(group) * len(group)
        divisor += len(group) - ddof
    return total / divisor


def _digits(scaled: int, negative: bool, decimals: int) -> str:
    text = str(scaled).rjust(decimals + 1, "0")
    whole = text[: len(text) - decimals]
    fraction = f".{text[-decimals:]}" if decimals else ""
    return f"{'-' if negative and scaled else ''}{whole}{fraction}"


def rounded(number: Fraction, decimals: int) -> str:
    """Fixed-point text, halves away from zero, no minus zero."""
    scaled = abs(number) * 10**decimals
    nearest = (2 * scaled.numerator + scaled.denominator) // (2 * scaled.denominator)
    return _digits(nearest, number < 0, decimals)


def rounded_root(square: Fraction, decimals: int) -> str:
    """Fixed-point text of a square root, rounded exactly (no float in between)."""
    scaled = square * 100**decimals  # the largest n with (2n - 1)^2 <= 4 scaled
    nearest = (isqrt((4 * scaled.numerator) // scaled.denominator) + 1) // 2
    return _digits(nearest, False, decimals)


def printed(
    statistic: str,
    first: Sequence[Raw],
    second: Sequence[Raw],
    decimals: int,
    ddof: int,
    exponent: int = 0,
) -> str:
    """Digits of mean | a spread | difference | ratio, times ten to the exponent.

    Raises:
        ValueError: another statistic, or values that do not define it.
    """
    unit = Fraction(10) ** exponent
    try:
        if statistic == "mean":
            return rounded(average(first) * unit, decimals)
        if statistic in SPREADS:
            square = variance(first, ddof, statistic)
            return rounded_root(square * unit * unit, decimals)
        if statistic == "difference":
            return rounded((average(first) - average(second)) * unit, decimals)
        if statistic == "ratio":
            return rounded(average(first) / average(second) * unit, decimals)
    except (ZeroDivisionError, StatisticsError) as error:
        raise ValueError(f"{statistic} of these values: {error}") from None
    raise ValueError(f"no statistic {statistic!r}")
