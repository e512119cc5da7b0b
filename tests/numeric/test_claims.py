"""Claims: SPEC's values from the paper's own tables, and a calculator that is safe."""

from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import spearmanr

from dash_repro.paper.claims import (
    NOT_TESTABLE,
    Claim,
    PaperCells,
    judge,
    load_claims,
)
from dash_repro.paper.claims_table import extra_values, rank_correlation
from dash_repro.paper.formula import Formula, FormulaError, NotTestable
from dash_repro.paper.needs import TEACHER
from dash_repro.paper.rows import Collected, Row

PAPER = Path(__file__).resolve().parents[2] / "paper"
SOURCES = {path.name: path for path in (PAPER / "tables").glob("*.csv")}
CLAIMS = {claim.id: claim for claim in load_claims(PAPER / "claims.yaml")}
DATASETS = ("cifar10", "cifar100")


def on_paper(claim):
    return judge(claim, PaperCells(SOURCES), DATASETS, False, {"trained_w": "w4.0"})


# SPEC section 6, typed here once more so that claims.yaml cannot drift with the code.
SPEC_VALUES = {
    "un_share": ("holds", "66.98", "62.03"),
    "curriculum_share": ("holds", "22.41", "17.04"),
    "cross_dataset_ratio": ("holds", "1.180", "1.506", "1.616"),
    "gap_mse_ratio": ("holds", "4.25", "3.80"),
    "gap_match_distance": ("holds", "2.55", "7.99", "3.13"),
    "tag_split": ("holds", "64.8", "35.2"),
    "tirt_tag_overlap": ("holds", "2.60", "12.17"),
    "teacher_combined": ("holds", "3.74", "4.04"),
    "learned_lambda": ("holds", "3.84", "3.94"),
    "learned_over_fixed": ("holds", "1.24", "1.27"),
    "anchor_gain": ("holds", "1.67", "1.91"),
    "over_scratch": ("holds", "11.60", "15.67"),
    "over_composite": ("holds", "4.97", "10.37"),
    "steps_gap": ("holds", "3.40", "4.43"),
    "few_steps": ("holds", "3.65", "4.68"),
    "best_guidance": ("holds", "w4.0", "w4.0"),
    "guidance_gap": ("holds", "2.89", "3.88"),
    "compression": ("holds", "5.88"),
    "below_scratch": ("holds", "1.84", "1.69", "1.37", "2.23"),
    "rho_grows": ("holds", "0.86", "0.94"),
    "fid_gap": ("holds", "3.40", "3.67"),
    "width_96": ("fails", "13.67", "2.62"),
    "variance_without_un": ("fails", "0.25", "0.31", "0.54"),
    "shares_of_total": ("fails", "103.79", "111.81"),
    "all_ratios": ("fails", "12.24", "11.42"),
    "widest_gap_at_low_w": ("fails", "3.45", "3.88"),
    "tag_range": ("fails", "1.23", "3.77"),
    "fitnets_one_point": ("fails", "1.00", "1.37"),
    "ratio_singles_out_dash": ("fails", "1.25", "1.24", "1.28"),
    "dual_pass_overhead": ("fails", "2", "2"),
}


@pytest.mark.parametrize("id", SPEC_VALUES)
def test_spec_values_come_out_of_the_papers_tables(id):
    verdict = on_paper(CLAIMS[id])
    assert (verdict.verdict, *verdict.values.values()) == SPEC_VALUES[id]


@pytest.mark.parametrize("id", CLAIMS)
def test_every_claim_is_as_its_own_expectation_says(id):
    claim = CLAIMS[id]
    verdict = on_paper(claim)
    assert verdict.verdict == claim.expect["verdict"]
    for name in set(claim.expect) - {"verdict"}:
        expected = claim.expect[name]
        found = verdict.values[name]
        assert found == (
            expected if isinstance(expected, str) else f"{expected:.{claim.digits}f}"
        )


def test_claims_about_figures_cannot_be_tested_on_the_paper():
    figures = ("rho_t_dash", "rho_t_gap_match", "rho_t_composite", "no_un_decays")
    for id in (*figures, "dash_settles", "tirt_ratio", "tirt_direction"):
        verdict = on_paper(CLAIMS[id])
        assert verdict.verdict == NOT_TESTABLE and verdict.reason


def test_one_dataset_makes_two_dataset_claims_not_testable():
    claim = CLAIMS["cross_dataset_ratio"]
    verdict = judge(claim, PaperCells(SOURCES), ("cifar10",), False, {})
    assert verdict.verdict == NOT_TESTABLE
    assert "one dataset" in verdict.reason


def test_operands_are_recorded():
    operands = on_paper(CLAIMS["over_scratch"]).operands
    assert "table3/dash/cifar100_fid" in operands and len(operands) == 4


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
    assert evaluate('increasing(rest(row("t/r")))') is True
    assert evaluate('increasing(row("t/r"))') is False
    assert evaluate('sum(minus(row("t/r"), row("t/r")))') == 0
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


def test_a_claim_must_end_in_a_yes_or_no():
    claim = Claim("x", "s", {"a": "1"}, "a + 1", ["a"])
    with pytest.raises(FormulaError, match="yes or no"):
        on_paper(claim)


def test_claims_file_with_a_misspelt_key_is_refused(tmp_path):
    path = tmp_path / "claims.yaml"
    path.write_text("- {id: a, sentence: s, let: {}, hold: x, show: []}\n")
    with pytest.raises(FormulaError, match="hold"):
        load_claims(path)


def test_rank_correlation_matches_scipy_with_ties():
    rng = np.random.default_rng(1)
    first = rng.integers(0, 8, 40)
    second = first + rng.integers(-3, 4, 40)
    ours = rank_correlation(
        [Decimal(int(x)) for x in first], [Decimal(int(x)) for x in second]
    )
    assert float(ours) == pytest.approx(spearmanr(first, second).statistic, abs=1e-12)


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
    extra = {
        name: float(value) for name, value in extra_values(collected_curve()).items()
    }
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
