"""Claims: the text's numbers from the paper's tables, and a safe calculator."""

from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from dash_repro.paper.aggregate import Value, cell
from dash_repro.paper.claim_cells import OurCells, PaperCells
from dash_repro.paper.claim_curves import extra_values, rank_correlation
from dash_repro.paper.claims import Claim, load_claims
from dash_repro.paper.formula import Formula, FormulaError, NotTestable
from dash_repro.paper.needs import TEACHER
from dash_repro.paper.rows import Collected, Row
from dash_repro.paper.tables import TABLES
from dash_repro.paper.uncertainty import Estimate, above_zero
from dash_repro.paper.verdicts import (
    FAILS,
    HOLDS,
    INCONCLUSIVE,
    NOT_TESTABLE,
    judge,
    measure_ours,
    measure_paper,
)

PAPER = Path(__file__).resolve().parents[2] / "paper"
SOURCES = {path.name: path for path in (PAPER / "tables").glob("*.csv")}
CLAIMS = {claim.id: claim for claim in load_claims(PAPER / "claims.yaml")}
READ = TABLES["claims"].read
NAMES = {"trained_w": "w4.0"}


def on_paper(claim, cells=None):
    cells = cells or PaperCells(SOURCES, READ)
    return judge(claim, measure_paper(claim, cells, NAMES), 0.05, True)


# The text's numbers, typed here once more: claims.yaml cannot drift with the code.
QUOTED = {
    "un_share": "holds 66.98 62.03",
    "curriculum_share": "holds 22.41 17.04",
    "cross_dataset_ratio": "holds 1.180 1.506 1.616",
    "gap_mse_ratio": "holds 4.25 3.80",
    "gap_match_distance": "holds 2.55 7.99 3.13",
    "tag_split": "holds 64.8 35.2",
    "tirt_tag_overlap": "holds 2.60 12.17",
    "teacher_combined": "holds 3.74 4.04",
    "tirt_alone": "holds 2.05 2.47",
    "tag_alone": "holds 1.79 2.13",
    "learned_lambda": "holds 3.84 3.94",
    "learned_over_fixed": "holds 1.24 1.27",
    "anchor_gain": "holds 1.67 7.77 1.91 9.72",
    "over_scratch": "holds 11.60 15.67",
    "over_composite": "holds 4.97 10.37",
    "steps_gap": "holds 3.40 4.43",
    "steps_gap_second": "holds 3.67 4.20 0.14",
    "few_steps": "holds 3.65 4.68",
    "best_guidance": "holds w4.0 w4.0",
    "guidance_gap": "holds 2.89 3.88",
    "compression": "holds 5.88",
    "fewer_parameters": "holds 83.0",
    "cond_only_below_scratch": "holds 1.84 1.69",
    "im_largest": "holds 21.84 16.64 1.37 28.37 20.19 2.23",
    "rho_grows": "holds 0.86 0.94",
    "rho_over_composite": "holds 0.86 0.68",
    "teacher_gap": "holds 3.40 3.67",
    "fitnets_is": "holds 8.74 8.63",
    "composite_is": "holds 0.29 2.42",
    "is_preserved": "holds 9.31 9.42 8.74",
    "un_is": "holds 1.40 0.84",
    "fitnets_one_point": "holds 1.00 1.37",
    "variance_without_un": "holds 0.12 0.46 0.25 0.16 0.59 0.36",
    "shares_not_additive": "holds 66.98 111.81 14.40 22.41 215.60",
    "all_ratios": "holds 8.87 11.42 9.90",
    "width_96": "fails 13.67 2.62",
    "widest_gap_at_low_w": "fails 3.45 3.88",
    "tag_range": "fails 1.23 3.77",
    "ratio_singles_out_dash": "fails 1.25 1.24 1.28",
    "spread_is_share": "holds 11 13 11 13",
    "tag_share_constant": "holds 64.80 64.79",
}


@pytest.mark.parametrize("id", QUOTED)
def test_the_texts_numbers_come_out_of_the_papers_tables(id):
    verdict = on_paper(CLAIMS[id])
    assert " ".join([verdict.verdict, *verdict.values.values()]) == QUOTED[id]


@pytest.mark.parametrize("id", CLAIMS)
def test_every_claim_is_as_its_own_expectation_says(id):
    claim = CLAIMS[id]
    verdict = on_paper(claim)
    expected = dict(claim.expect)
    assert verdict.verdict == expected.pop("verdict")
    assert expected.keys() == (set(claim.show) if verdict.values else set())
    texts = [
        value if isinstance(value, str) else f"{value:.{claim.digits}f}"
        for name in expected
        for value in np.atleast_1d(np.array(expected[name], dtype=object))
    ]
    assert sorted(verdict.values.values()) == sorted(texts)


class Changed(PaperCells):
    """The paper's tables with every measured number changed."""

    def __init__(self, change):
        super().__init__(SOURCES, READ)
        self._change = change

    def value(self, address):
        return self._change(super().value(address))


ORDERS = [id for id, claim in CLAIMS.items() if claim.kind == "order"]


@pytest.mark.parametrize("id", ORDERS)
def test_no_claim_on_order_holds_if_everything_is_equal(id):
    verdict = on_paper(CLAIMS[id], Changed(lambda number: Decimal(7)))
    assert verdict.verdict in (FAILS, NOT_TESTABLE)


@pytest.mark.parametrize("id", ORDERS)
def test_no_claim_on_order_that_holds_does_so_with_all_differences_reversed(id):
    claim = CLAIMS[id]
    if on_paper(claim).verdict == HOLDS:
        verdict = on_paper(claim, Changed(lambda number: 100 - number))
        assert verdict.verdict in (FAILS, NOT_TESTABLE)


def test_a_share_of_a_loss_is_not_testable():
    claim = CLAIMS["shares_not_additive"]
    verdict = on_paper(claim, Changed(lambda number: 100 - number))
    assert verdict.verdict == NOT_TESTABLE and "presupposes" in verdict.reason


def test_claims_about_figures_cannot_be_tested_on_the_paper():
    figures = ("rho_t_dash", "rho_t_gap_match", "rho_t_composite", "no_un_decays")
    for id in (*figures, "dash_settles", "tirt_ratio", "tirt_direction"):
        verdict = on_paper(CLAIMS[id])
        assert verdict.verdict == NOT_TESTABLE and verdict.reason


def test_one_dataset_makes_two_dataset_claims_not_testable():
    cells = PaperCells(SOURCES, READ)
    measured = measure_ours(
        CLAIMS["cross_dataset_ratio"], cells, {}, ("cifar10",), NAMES
    )
    verdict = judge(CLAIMS["cross_dataset_ratio"], measured, 0.05, True)
    assert verdict.verdict == NOT_TESTABLE
    assert "one dataset" in verdict.reason


def test_operands_are_recorded():
    operands = on_paper(CLAIMS["over_scratch"]).operands
    assert "table3/dash/cifar100_fd" in operands and len(operands) == 4


# -- verdicts of a run, with the spread over its training seeds


def cells_of(values, without=""):
    """OurCells over extra numbers: {address: {seed: number}}, their means."""
    extra = {}
    for address, by_seed in values.items():
        kept = {s: x for s, x in by_seed.items() if s != without}
        if kept:
            mean = sum(map(Decimal, kept.values())) / len(kept)
            extra[address] = mean, frozenset(kept)
    return OurCells({}, extra, ("seed", without))


def on_run(claim, values, error_rate=0.05, comparable=True):
    seeds = {seed for by_seed in values.values() for seed in by_seed}
    without = {seed: cells_of(values, seed) for seed in seeds}
    left_out = {"seed": without}
    measured = measure_ours(claim, cells_of(values), left_out, ("d",), {})
    return judge(claim, measured, error_rate, comparable)


DIFFERENCE = Claim(
    "x", "s", {"a": 'v("t/r/a") - v("t/r/b")'}, effects=["a"], show=["a"]
)


def by_seed(numbers):
    return {str(seed): repr(float(x)) for seed, x in enumerate(numbers)}


def test_sampling_seeds_widen_the_interval_of_a_difference():
    from scipy.stats import t

    rng, cells = np.random.default_rng(0), {}
    tables = rng.normal(10, 1, (2, 3, 4))  # side, training seed, sampling seed
    for name, table in zip("ab", tables, strict=True):
        values = [
            Value(repr(float(x)), str(seed), str(sampling))
            for (seed, sampling), x in np.ndenumerate(table)
        ]
        cells[f"t/r/{name}"] = cell(f"t/r/{name}", values, 2, 1)

    def ours(field="seed", which=""):
        return OurCells({"t": SimpleNamespace(cells=cells)}, {}, (field, which))

    counts = {"seed": 3, "sampling_seed": 4}
    left_out = {
        field: {str(k): ours(field, str(k)) for k in range(count)}
        for field, count in counts.items()
    }
    measured = measure_ours(DIFFERENCE, ours(), left_out, ("d",), {})
    gap = tables[0] - tables[1]
    parts = [
        np.var(gap.mean(axis=axis), ddof=1) / gap.shape[1 - axis] for axis in (1, 0)
    ]
    degrees = sum(parts) ** 2 / (parts[0] ** 2 / 2 + parts[1] ** 2 / 3)
    half = np.sqrt(sum(parts)) * t.isf(0.05, degrees)
    low, high = measured.effects[0].interval(0.1)
    assert float(low) == pytest.approx(gap.mean() - half, rel=1e-9)
    assert float(high) == pytest.approx(gap.mean() + half, rel=1e-9)


def test_an_interval_of_a_difference_is_the_paired_t_interval():
    from scipy.stats import ttest_rel  # a second to import

    rng = np.random.default_rng(0)
    a, b = rng.normal(10, 1, 4), rng.normal(9, 1, 4)
    values = {"t/r/a": by_seed(a), "t/r/b": by_seed(b)}
    expected = ttest_rel(a, b).confidence_interval(0.9)
    shown = on_run(DIFFERENCE, values, 0.1).values["a"]
    low, high = shown.split("[")[1][:-1].split(", ")
    assert float(low) == pytest.approx(expected.low, abs=0.0051)
    assert float(high) == pytest.approx(expected.high, abs=0.0051)


def test_an_interval_of_a_ratio_is_its_jackknife():
    from scipy.stats import t as student_t

    a, b = np.array([4.0, 5.0, 7.0]), np.array([2.0, 2.5, 2.2])
    claim = Claim("x", "s", {"q": 'v("t/r/a") / v("t/r/b")'}, effects=["q"], show=["q"])
    values = {"t/r/a": by_seed(a), "t/r/b": by_seed(b)}
    left_out = [np.delete(a, i).mean() / np.delete(b, i).mean() for i in range(3)]
    error = np.sqrt(2 / 3 * np.sum((left_out - np.mean(left_out)) ** 2))
    half = student_t.ppf(0.975, 2) * error
    centre = a.mean() / b.mean()
    assert on_run(claim, values).values["q"] == (
        f"{centre:.2f} [{centre - half:.2f}, {centre + half:.2f}]"
    )


@pytest.mark.parametrize(
    ("a", "verdict"),
    [
        ([11.0, 11.1, 10.9], HOLDS),
        ([9.0, 9.1, 8.9], FAILS),
        ([10.1, 9.8, 10.3], INCONCLUSIVE),
        ([11.0], INCONCLUSIVE),
    ],
)
def test_verdicts_follow_the_interval(a, verdict):
    values = {"t/r/a": by_seed(a), "t/r/b": by_seed([10.0] * len(a))}
    assert on_run(DIFFERENCE, values).verdict == verdict


def test_a_single_seed_shows_its_value_without_an_interval():
    values = {"t/r/a": by_seed([11.0]), "t/r/b": by_seed([10.0, 10.5])}
    verdict = on_run(DIFFERENCE, values)
    assert verdict.verdict == INCONCLUSIVE and "one training seed" in verdict.reason
    assert verdict.values == {"a": "0.75"}


def test_without_an_effect_claims_are_decided_as_rarely_as_said():
    """The bare signs of two effects would both be right in a quarter of runs."""
    rng = np.random.default_rng(3)
    lets = {"a": 'v("t/r/a")', "b": 'v("t/r/b")'}
    claim = Claim("x", "s", lets, effects=["a", "b"], show=["a"])
    decided = signs = 0
    for _ in range(400):
        a, b = rng.normal(0, 0.15, (2, 3))
        signs += a.mean() > 0 and b.mean() > 0
        values = {"t/r/a": by_seed(a), "t/r/b": by_seed(b)}
        decided += on_run(claim, values).verdict in (HOLDS, FAILS)
    assert signs > 60
    assert decided <= 32  # 5 % are 20; this is three standard deviations more


def test_levels_are_tested_at_the_papers_scale_only():
    values = {"t/r/a": by_seed([1.0, 1.1, 0.9]), "t/r/b": by_seed([0.1, 0.1, 0.1])}
    claim = replace(DIFFERENCE, kind="level")
    assert on_run(claim, values).verdict == HOLDS
    verdict = on_run(claim, values, comparable=False)
    assert verdict.verdict == NOT_TESTABLE and "levels" in verdict.reason
    assert verdict.values["a"].startswith("0.90")  # shown all the same


def test_exact_numbers_need_no_seeds():
    exact = [Estimate(Decimal(1)), Estimate(Decimal("0.1"))]
    assert above_zero(exact, 0.05) is True
    assert above_zero([*exact, Estimate(Decimal(0))], 0.05) is False
    unknown = Estimate(Decimal(5), single=True)
    assert above_zero([*exact, unknown], 0.05) is None


class TableOf:
    """Cells of a plain dictionary."""

    def __init__(self, numbers):
        self.numbers = {key: Decimal(str(value)) for key, value in numbers.items()}

    def value(self, address):
        return self.numbers[address]

    def row(self, address):
        return [(k.rsplit("/", 1)[1], v) for k, v in self.numbers.items()]

    def column(self, item, prefix, column):
        return list(self.numbers.values())


def evaluate(text, **names):
    table = TableOf({"t/r/w1.5": 3, "t/r/w2.0": 1, "t/r/w5.0": 2})
    return Formula(table).evaluate(text, names)


def test_formulas_compute():
    assert evaluate("(1 + 2) * 3 - 4 / 8") == Decimal("8.5")
    assert evaluate("0.1 + 0.2 == 0.3") is True  # decimal, not binary
    assert evaluate("1 < 2 < 3 and not 3 < 2") is True
    assert evaluate("1 < 2 < 2 or False") is False
    assert evaluate('v("t/r/w1.5") + max(row("t/r"), 1)') == 6
    assert evaluate('best("t/r")') == "w2.0"
    assert evaluate('min(row_from("t/r", 2.5))') == 2
    assert evaluate('steps(row("t/r"))') == [-2, 1]
    assert evaluate('valley(row("t/r"))') == 1
    assert evaluate('valley(joined(1, row("t/r")))') == -2  # up, down, up
    assert evaluate('margin("t/r", "w2.0")') == 1
    assert evaluate('margin("t/r", "w5.0")') == -1
    assert evaluate('max(minus(row("t/r"), row("t/r")))') == 0
    assert (
        evaluate('divided(row("t/r"), all_but_last(joined(row("t/r"), 1)))') == [1] * 3
    )
    assert evaluate('count_within(row("t/r"), 1, 2) / count(row("t/r"))') < 1
    assert evaluate('rounds(1.37, "1")') == Decimal("0.13")
    assert evaluate('rounds(1.5, "1.4")') == Decimal("-0.05")
    assert float(evaluate("sigmoid(-2.5)")) == pytest.approx(1 / (1 + np.exp(2.5)))


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')",
        "().__class__",
        "v.__globals__",
        "[x for x in (1, 2)]",
        "lambda: 1",
        "open('params.yaml')",
        "v(address='t/r/w1.5')",
        "2 ** 9 ** 9",
        "unknown + 1",
        "1 +",
        "f'{1}'",
        "(x := 3)",
        "1 " + "+ 1 " * 400,
    ],
)
def test_formulas_refuse_everything_else(text):
    with pytest.raises(FormulaError):
        evaluate(text)


def test_division_by_zero_is_not_testable():
    with pytest.raises(NotTestable, match="zero"):
        evaluate("1 / (2 - 2)")


def test_an_effect_must_be_a_number():
    claim = Claim("x", "s", {"a": "1"}, effects=["a > 0"], show=["a"])
    with pytest.raises(FormulaError, match="not a number"):
        on_paper(claim)


def test_claims_file_with_a_misspelt_key_is_refused(tmp_path):
    path = tmp_path / "claims.yaml"
    path.write_text("- {id: a, sentence: s, let: {}, effect: [x], show: []}\n")
    with pytest.raises(FormulaError, match="effect"):
        load_claims(path)


def test_rank_correlation_counts_ties_by_their_mean_rank():
    first, second = [1, 2, 2, 4], [10, 30, 20, 20]
    ranks = np.corrcoef([1, 2.5, 2.5, 4], [1, 4, 2.5, 2.5])[0, 1]  # by hand
    lists = [[Decimal(x) for x in one] for one in (first, second)]
    assert float(rank_correlation(*lists)) == pytest.approx(ranks, abs=1e-12)
    assert rank_correlation([Decimal(1)] * 4, lists[1]) == 0


def collected_curve():
    """rho over 30 steps of training, and a three-timestep curriculum."""
    rho = {0: 6.3, 2: 2.1, 3: 0.5, 9: 0.7, 10: 0.88, 20: 0.93, 30: 0.9}
    rows = [
        Row(
            dataset="d",
            model="dash",
            seed=seed,
            metric="rho_step",
            value=repr(value + shift),
            step=str(step),
        )
        for step, value in rho.items()
        for seed, shift in (("1", 0.0), ("2", 0.02))
    ]
    curves = {
        "omega_min_snr": ("", (0.5, 1.0, 1.5)),
        "omega_hat": (TEACHER, (0.25, 1.5, 1.5)),
        "loss_mean": (TEACHER, (0.9, 0.1, 0.5)),
    }
    for metric, (model, values) in curves.items():
        dataset = "d" if model else ""
        rows += [
            Row(dataset=dataset, model=model, metric=metric, value=repr(v), x=f"{t}.0")
            for t, v in enumerate(values)
        ]
    return Collected(rows, "here")


def test_values_from_curves():
    found = extra_values(collected_curve())
    extra = {name: float(number) for name, (number, _) in found.items()}
    assert found["curve/dash/d_rho_last"][1] == {"1", "2"}
    # mean of two seeds at step 3 of 30: what an untrained student has is no start
    assert extra["curve/dash/d_rho_early"] == pytest.approx(0.51)
    assert extra["curve/dash/d_rho_third"] == pytest.approx(0.89)  # step 10 of 30
    assert extra["curve/dash/d_rho_last"] == pytest.approx(0.91)
    assert extra["curve/dash/d_rho_settled"] == pytest.approx(
        0.03
    )  # step 20's, not 9's
    # ratio to Min-SNR: 0.5, 1.5, 1
    assert extra["tirt/d/ratio"] == pytest.approx(3.0)
    assert extra["tirt/d/peak_t"] == 1
    assert extra["tirt/d/rank_correlation"] == pytest.approx(-1.0)


def test_formulas_of_our_side_replace_the_papers():
    claim = replace(DIFFERENCE, our_let={"a": 'v("t/r/b") - v("t/r/a")'})
    values = {"t/r/a": {"1": "5", "2": "5"}, "t/r/b": {"1": "1", "2": "1.01"}}
    assert on_run(claim, values).verdict == FAILS
    assert on_run(DIFFERENCE, values).verdict == HOLDS
