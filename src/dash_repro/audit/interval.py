"""The interval and the digits of a printed number, from raw values in exact arithmetic.

A second opinion: closed forms instead of the jackknife of dash_repro.paper.uncertainty,
with which nothing is shared.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from math import sqrt
from statistics import mean, variance

import numpy as np
from scipy.special import stdtrit

from dash_repro.audit import exact
from dash_repro.audit.evidence import Json, Numbers
from dash_repro.audit.expected import Expected
from dash_repro.audit.remeasured import GROUPS

LEVEL = 0.95
_SQUARE_OF_STEPS = Fraction(355, 100) ** 2  # of the last digit, in a standard error


def variances(
    statistic: str, first: Numbers, second: Numbers
) -> list[tuple[Fraction, int]]:
    """(variance of the number, degrees of freedom) over trainings, and over samples.

    Args:
        statistic: of the cell; that of a spread's mean for a spread.
        first, second: its raw values.
    """
    if statistic == "ratio":
        return _of_ratio(first, second)
    table = {(v.seed, v.sampling_seed): Fraction(v.text) for v in first}
    for value in second:  # paired by seeds
        pair = value.seed, value.sampling_seed
        table[pair] = table.get(pair, Fraction(0)) - Fraction(value.text)
    found, trained = [], any(v.seed for v in first)
    sides = [[v.seed for v in first], [v.sampling_seed for v in first]]
    for place, marks in enumerate(sides):
        averages = [
            mean([x for key, x in table.items() if key[place] == mark])
            for mark in sorted(set(marks))
        ]
        count = len(averages)
        if count > 1 and trained:
            found.append((variance(averages) / count, count - 1))
    if len(set(sides[1])) == 1 or not trained:
        errors = [[v.error for v in side] for side in (first, second) if side]
        if all(all(side) for side in errors):
            of_samples = sum(mean(list(map(Fraction, e))) ** 2 for e in errors)
            found.append((Fraction(of_samples), GROUPS - 1))
    return found


def _of_ratio(first: Numbers, second: Numbers) -> list[tuple[Fraction, int]]:
    """Over trainings only: a ratio of means has no closed form, so one is left out."""
    seeds = sorted({value.seed for value in first})
    count = len(seeds)
    if count < 2:
        return []
    sides = [
        [mean([Fraction(v.text) for v in side if v.seed == s]) for s in seeds]
        for side in (first, second)
    ]
    ratios = [
        Fraction(*(sum(side) - side[place] for side in sides)) for place in range(count)
    ]
    return [(variance(ratios) * (count - 1) ** 2 / count, count - 1)]


def digits(
    expected: Expected, first: Numbers, second: Numbers, exponent: int, ddof: int
) -> int:
    """Digits after the point that the standard error supports.

    A spread that these would print as zero has more, if it is none.
    """
    spread = expected.statistic in exact.SPREADS
    parts = variances("mean" if spread else expected.statistic, first, second)
    square = sum((part for part, _ in parts), Fraction(0)) * Fraction(100) ** exponent
    fine = (d for d in range(expected.decimals) if square * 100**d >= _SQUARE_OF_STEPS)
    enough = next(fine, expected.decimals) if square else expected.decimals
    seeded = [value.seeded for value in first]
    if not spread or not exact.spread_groups(seeded, expected.statistic):
        return enough
    own = exact.variance(seeded, ddof, expected.statistic) * Fraction(100) ** exponent
    seen = (d for d in range(enough, expected.decimals) if 4 * own * 100**d >= 1)
    return next(seen, expected.decimals) if own else enough


def check_interval(
    expected: Expected, first: Numbers, second: Numbers, cell: Json
) -> Iterator[tuple[str, str]]:
    """(kind, detail) where a cell's interval is not what its raw values give."""
    if not first or (expected.second is not None and not second):
        return  # runs are missing, of which others speak
    parts = variances(expected.statistic, first, second)
    square = sum((part for part, _ in parts), Fraction(0))
    if expected.statistic in exact.SPREADS or not square:
        if cell["interval"] or not cell["interval_note"].startswith("no interval: "):
            yield "wrong interval", f"{cell['interval']} of a number that has none"
        return
    degrees = float(square**2 / sum(part**2 / count for part, count in parts))
    half = sqrt(square) * stdtrit(degrees, (1 + LEVEL) / 2) * 10.0 ** cell["exponent"]
    seeded = [[v.seeded for v in side] for side in (first, second)]
    middle, other = (exact.average(side) if side else 0 for side in seeded)
    middle = middle / other if expected.statistic == "ratio" else middle - other
    middle = float(middle * Fraction(10) ** cell["exponent"])
    step = 0.5 * 10.0 ** -cell["decimals"] + 1e-9 * (abs(middle) + half)
    wanted = [middle - half, middle + half]
    ends = [float(end) for end in cell["interval"]]
    if len(ends) != 2 or not np.allclose(ends, wanted, rtol=0.0, atol=step):
        text = " to ".join(f"{end:.{cell['decimals']}f}" for end in wanted)
        yield "wrong interval", f"{cell['interval']}, the raw values give {text}"
