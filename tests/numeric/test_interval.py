"""Intervals of printed numbers: scipy's, many runs', and the audit's second opinion."""

from dataclasses import asdict
from decimal import Decimal
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats

from dash_repro.audit import interval as audit
from dash_repro.audit.evidence import RawNumber
from dash_repro.paper.aggregate import Value, cell
from dash_repro.paper.intervals import interval_fields, interval_text
from dash_repro.paper.uncertainty import decimals_of, estimate_of


def values_of(table, error=None, role=""):
    """Values by (training seed, sampling seed), all with the same standard error."""
    table = np.asarray(table, float)
    table = table.reshape(len(table), -1)
    text = "" if error is None else repr(float(error))
    return [
        Value(repr(float(x)), f"{i}", f"{j}", "compute_metrics", f"{i}-{j}", role, text)
        for (i, j), x in np.ndenumerate(table)
    ]


def made(values, statistic="mean", decimals=4, exponent=0, **about):
    return cell("t/r/c", values, decimals, 1, statistic, exponent, n="100", **about)


def ends(content):
    return [float(end) for end in interval_fields(content)["interval"]]


def test_a_mean_over_seeds_has_students_interval():
    numbers = [3.1, 2.7, 3.6, 3.0]
    content = made(values_of(numbers))
    wanted = stats.ttest_1samp(numbers, 0).confidence_interval(0.95)
    assert ends(content) == pytest.approx(list(wanted), abs=6e-5)
    note = interval_fields(content)["interval_note"]
    assert note.startswith("95 % interval over 4 training seeds; ")
    assert note.endswith("the spread over samples is not known")


def test_of_a_single_training_it_is_over_samplings_or_samples():
    alone = made(values_of([[3.0, 3.2, 3.9]]))
    wanted = stats.ttest_1samp([3.0, 3.2, 3.9], 0).confidence_interval(0.95)
    assert ends(alone) == pytest.approx(list(wanted), abs=6e-5)
    note = interval_fields(alone)["interval_note"]
    assert "3 sampling seeds" in note and "trainings is not known" in note
    single = made(values_of([3.0], 0.2))
    wanted = stats.t.interval(0.95, 9, 3.0, 0.2)
    assert ends(single) == pytest.approx(list(wanted), abs=6e-5)
    assert "100 samples" in interval_fields(single)["interval_note"]


def test_a_difference_is_paired_by_seed_and_units_are_the_printed_ones():
    first, second = np.array([5.0, 6.0, 9.0]), np.array([4.2, 5.4, 8.0])
    values = [*values_of(first), *values_of(second, role="second")]
    wanted = stats.ttest_rel(first, second).confidence_interval(0.95)
    found = ends(made(values, "difference"))
    assert found == pytest.approx(list(wanted), abs=6e-5)
    found = ends(made(values, "difference", exponent=2))
    assert found == pytest.approx([100 * end for end in wanted], abs=6e-3)


@pytest.mark.parametrize("samplings", [1, 4])
def test_trainings_and_samples_both_widen_it(samplings):
    """Over many runs it holds the truth as often as it says, or more often."""
    rng, inside, narrow = np.random.default_rng(samplings), [], []
    for _ in range(400):
        table = 10 + rng.normal(size=(4, 1)) + 0.9 * rng.normal(size=(1, samplings))
        table = table + 0.4 * rng.normal(size=(4, samplings))
        error = np.hypot(0.9, 0.4) * np.sqrt(rng.chisquare(9) / 9)
        low, high = estimate_of(values_of(table, error), "mean", 1).interval(0.05)
        inside.append(low < 10 < high)
        low, high = stats.ttest_1samp(table.mean(axis=1), 0).confidence_interval()
        narrow.append(low < 10 < high)
    assert 0.93 < np.mean(inside) < 0.995
    assert np.mean(narrow) < 0.93  # of trainings alone, which share their noise


@pytest.mark.parametrize(
    ("error", "digits"),
    [(0.02, 3), (0.05, 2), (0.5, 1), (4.0, 0), (30.0, 0), (0.036, 2), (0.035, 3)],
)
def test_digits_follow_the_standard_error(error, digits):
    """Two digits of an error up to 3.55, one of a larger."""
    values = values_of([12.3456], error)
    assert decimals_of(values, "mean", 1, 0, 3) == digits
    assert decimals_of(values, "mean", 1, 0, 1) == min(digits, 1)
    small = values_of([0.0123456], error / 1000)
    assert decimals_of(small, "mean", 1, 3, 3) == digits
    assert decimals_of(values_of([12.3456]), "mean", 1, 0, 3) == 3


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (made(values_of([1.0])), "single run"),
        (made(values_of([1.0, 2.0]), "std"), "a spread itself"),
        (made(values_of([6.1]), metric="profile", name="parameters"), "exact"),
        (made(values_of([6.1]), metric="profile", name="latency"), "one machine"),
        (made([Value("6.1", error="0.0")]), "all the same"),
    ],
)
def test_a_number_without_an_interval_says_why(content, why):
    fields = interval_fields(content)
    assert why in fields["interval_note"] and fields["interval"] == []
    assert interval_text(fields).startswith("no interval: ")


def test_every_kind_of_cell_says_why_or_is_a_dash():
    for kind in ("param", "definition", "literature", "record", "claim", "text"):
        fields = interval_fields(SimpleNamespace(kind=kind))
        assert fields["interval_note"].startswith("no interval: ")
    assert interval_fields(SimpleNamespace(kind="dash"))["interval_note"] == ""


def _raw(values, role):
    found = [value for value in values if value.role == role]
    return [
        RawNumber(v.stage, v.instance, v.seed, v.sampling_seed, v.number, v.error)
        for v in found
    ]


@pytest.mark.parametrize(
    ("spread", "most", "digits"), [(0.4, 3, 1), (0.02, 3, 2), (0.02, 1, 1), (0, 3, 0)]
)
def test_a_spread_is_not_printed_as_zero_where_it_is_none(spread, most, digits):
    """Of a mean whose samples leave it no digit after the point."""
    values = values_of(np.array([9.0, 9.0 + 2**0.5 * spread]), 30.0)
    assert decimals_of(values, "mean", 1, 0, most) == 0
    assert decimals_of(values, "std", 1, 0, most) == digits
    expected = SimpleNamespace(statistic="std", decimals=most)
    assert audit.digits(expected, _raw(values, ""), [], 0, 1) == digits


@pytest.mark.parametrize("shape", [(1, 1), (2, 1), (3, 1), (1, 3), (3, 3)])
@pytest.mark.parametrize("statistic", ["mean", "difference", "std"])
def test_the_audit_agrees_and_finds_another_interval(shape, statistic):
    if statistic == "std" and shape[0] == 1:
        return
    table = np.random.default_rng(sum(shape)).normal(5, 0.2, (2, *shape))
    values = values_of(table[0], 0.03)
    if statistic == "difference":
        values += values_of(table[1], 0.04, "second")
    digits = decimals_of(values, statistic, 1, 1, 3)
    content = made(values, statistic, digits, 1)
    told = {**asdict(content), **interval_fields(content)}
    raw, expected = [_raw(values, role) for role in ("", "second")], SimpleNamespace()
    expected.statistic, expected.decimals = statistic, 3
    expected.second = raw[1] or None
    assert audit.digits(expected, *raw, 1, 1) == digits
    assert not list(audit.check_interval(expected, *raw, told))
    wrong = [*told["interval"]] or ["1.0", "2.0"]
    wrong[0] = str(Decimal(wrong[0]) + 2 * Decimal(1).scaleb(-digits))
    changed = {**told, "interval": wrong}
    ((kind, _),) = audit.check_interval(expected, *raw, changed)
    assert kind == "wrong interval"
    none = {**told, "interval": [], "interval_note": ""}
    assert list(audit.check_interval(expected, *raw, none))
    assert not list(audit.check_interval(expected, [], [], told)), "runs are missing"
