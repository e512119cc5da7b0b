"""Intervals of printed numbers, against scipy's own."""

import numpy as np
import pytest
from scipy import stats

from dash_repro.audit.interval import interval_text


def cell(values, statistic="mean", kind="measured", name="FID", exponent=0):
    return {
        "kind": kind,
        "statistic": statistic,
        "name": name,
        "values": values,
        "ddof": 1,
        "decimals": 4,
        "exponent": exponent,
    }


def value(number, seed="", sampling_seed="", role=""):
    about = {"seed": seed, "sampling_seed": sampling_seed, "role": role}
    return {"number": repr(number), "stage": "", "instance": "", **about}


def ends(text):
    return [float(word) for word in text.split(": ")[1].split(";")[0].split(" to ")]


def test_a_mean_over_seeds_has_students_interval():
    numbers = [3.1, 2.7, 3.6, 3.0]
    text = interval_text(cell([value(x, str(i)) for i, x in enumerate(numbers)]))
    wanted = stats.ttest_1samp(numbers, 0).confidence_interval(0.95)
    assert ends(text) == pytest.approx(list(wanted), abs=6e-5)
    assert text.startswith("95 % interval over 4 training seeds: ")


def test_sampling_seeds_are_averaged_within_training_seeds():
    sets = np.array([[3.0, 3.2], [2.5, 2.9], [3.3, 3.9]])
    values = [
        value(float(x), str(seed), str(index))
        for seed, row in enumerate(sets)
        for index, x in enumerate(row)
    ]
    wanted = stats.ttest_1samp(sets.mean(axis=1), 0).confidence_interval(0.95)
    assert ends(interval_text(cell(values))) == pytest.approx(list(wanted), abs=6e-5)
    alone = interval_text(cell(values[:2]))
    wanted = stats.ttest_1samp(sets[0], 0).confidence_interval(0.95)
    assert ends(alone) == pytest.approx(list(wanted), abs=6e-5)
    assert "2 sets of samples" in alone and "trainings is not known" in alone


def test_a_difference_is_paired_by_seed_and_units_are_the_printed_ones():
    first, second = np.array([5.0, 6.0, 9.0]), np.array([4.2, 5.4, 8.0])
    values = [value(float(x), str(i)) for i, x in enumerate(first)]
    values += [value(float(x), str(i), role="second") for i, x in enumerate(second)]
    wanted = stats.ttest_rel(first, second).confidence_interval(0.95)
    found = ends(interval_text(cell(values, "difference")))
    assert found == pytest.approx(list(wanted), abs=6e-5)
    found = ends(interval_text(cell(values, "difference", exponent=2)))
    assert found == pytest.approx([100 * end for end in wanted], abs=6e-5)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (cell([value(1.0, "42", "0")]), "single run"),
        (cell([value(1.0, "1"), value(2.0, "2")], "std"), "a spread itself"),
        (cell([value(6.1)], name="parameters"), "exact"),
    ],
)
def test_a_number_without_an_interval_says_why(content, why):
    assert why in interval_text(content)
    assert interval_text({**content, "kind": "param"}) == ""
