"""Means, deviations and rounding of table cells, against exact fractions."""

from dataclasses import asdict
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest

from dash_repro.paper.aggregate import (
    AggregateError,
    Value,
    cell,
    display,
    round_half_up,
    statistic_of,
    std,
    units,
)


def values_of(numbers, role=""):
    return [
        Value(repr(number), seed=str(seed), role=role)
        for seed, number in enumerate(numbers)
    ]


def exact_rounding(number: Fraction, decimals: int) -> str:
    """Half away from zero, by integer arithmetic."""
    scaled = abs(number) * 10**decimals
    whole = (2 * scaled.numerator + scaled.denominator) // (2 * scaled.denominator)
    text = str(whole).rjust(decimals + 1, "0")
    text = text[:-decimals] + "." + text[-decimals:] if decimals else text
    return "-" + text if number < 0 and whole else text


@pytest.mark.parametrize(
    ("text", "decimals", "expected"),
    [
        ("0.005", 2, "0.01"),  # half to even would give 0.00
        ("0.015", 2, "0.02"),
        ("2.675", 2, "2.68"),  # the binary double is below the half
        ("-0.005", 2, "-0.01"),
        ("-0.004", 2, "0.00"),
        ("9.995", 2, "10.00"),
        ("12.5", 0, "13"),
        ("1e-7", 3, "0.000"),
        ("123456789012345678.125", 2, "123456789012345678.13"),
    ],
)
def test_halves_round_away_from_zero(text, decimals, expected):
    assert round_half_up(Decimal(text), decimals) == expected


def test_display_matches_exact_fractions_of_the_printed_floats():
    rng = np.random.default_rng(0)
    for _ in range(300):
        count, decimals = int(rng.integers(1, 6)), int(rng.integers(0, 5))
        numbers = [round(float(x), 3) for x in rng.normal(0, 20, count)]
        exact = sum(Fraction(repr(x)) for x in numbers) / count
        shown = display(values_of(numbers), "mean", decimals, 0)
        assert shown == exact_rounding(exact, decimals), numbers


@pytest.mark.parametrize("ddof", [0, 1])
def test_std_matches_numpy_and_is_told_apart_by_ddof(ddof):
    numbers = [8.71, 8.9, 9.02]
    exact = std([[Decimal(repr(x)) for x in numbers]], ddof)
    assert float(exact) == pytest.approx(np.std(numbers, ddof=ddof), rel=1e-12)
    assert display(values_of(numbers), "std", 2, 0) == "0.13"
    assert display(values_of(numbers), "std", 2, 1) == "0.16"


@pytest.mark.parametrize("ddof", [0, 1])
def test_std_of_one_seed_is_refused(ddof):
    for statistic in ("std", "sampling_std"):
        with pytest.raises(AggregateError, match="single value"):
            statistic_of([Value("1.0", "42", "0")], statistic, ddof)


def test_mean_of_nothing_is_refused():
    with pytest.raises(AggregateError):
        display([], "mean", 2, 1)


def test_spreads_over_trainings_and_over_samplings_are_told_apart():
    """The known variances of an effect of each seed and of their combination."""
    rng, found = np.random.default_rng(1), []
    for _ in range(300):
        table = 2.0 * rng.normal(size=(3, 1)) + 0.5 * rng.normal(size=(1, 4))
        table = table + 1.0 * rng.normal(size=(3, 4))
        values = [
            Value(repr(float(x)), str(seed), str(sampling))
            for (seed, sampling), x in np.ndenumerate(table)
        ]
        spreads = [statistic_of(values, name, 1) for name in ("std", "sampling_std")]
        by_hand = [table.var(axis=axis, ddof=1).mean() for axis in (0, 1)]
        assert [float(x) ** 2 for x in spreads] == pytest.approx(by_hand)
        assert float(statistic_of(values, "mean", 1)) == pytest.approx(table.mean())
        found.append(by_hand)
    assert np.mean(found, axis=0) == pytest.approx([4 + 1, 0.25 + 1], rel=0.15)


def test_of_real_images_the_sets_are_the_repetitions():
    sets = [Value("1.0", "", "0"), Value("3.0", "", "1")]
    assert float(statistic_of(sets, "std", 1)) == pytest.approx(np.sqrt(2))


def test_difference_and_ratio_use_unrounded_means():
    student, teacher = values_of([1.004, 1.005]), values_of([0.996, 0.995], "second")
    both = [*student, *teacher]
    assert display(both, "difference", 2, 0) == "0.01"
    assert display(both, "difference", 3, 0) == "0.009"
    assert display(both, "ratio", 4, 0) == exact_rounding(Fraction(2009, 1991), 4)


def test_exponent_scales_before_rounding():
    assert display(values_of([0.00023456]), "mean", 3, 0, exponent=3) == "0.235"


def test_order_of_values_leaves_no_trace_and_a_record_gives_the_digits():
    numbers = [0.1, 0.2, 0.7, 1e-17]
    made = cell("t/r/c", values_of(numbers), 2, 1, metric="frechet", n="10")
    turned = cell("t/r/c", values_of(numbers)[::-1], 2, 1, metric="frechet", n="10")
    assert made == turned
    record = asdict(made)
    rule = [record[key] for key in ("statistic", "decimals", "ddof", "exponent")]
    values = [Value(**value) for value in record["values"]]
    assert display(values, *rule) == record["displayed"]


def test_samplings_of_a_single_training_are_the_repetitions():
    """As Figure 5c shows them: a point each; of several trainings, one of each."""
    one = [Value(f"{n}", seed="42", sampling_seed=f"{n}") for n in (1, 3)]
    assert units(one) == [1, 3]
    other = Value("4", seed="123", sampling_seed="1")
    assert units([*one, other]) == [4, 2]
