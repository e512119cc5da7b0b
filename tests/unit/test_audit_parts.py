"""The audit's own arithmetic and readers, against brute force and by hand."""

from __future__ import annotations

import random
import statistics
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest

from dash_repro.audit import exact, latex
from dash_repro.audit.prose import check_prose, typed_numbers
from dash_repro.audit.report import verdict
from dash_repro.audit.taint import short
from dash_repro.paper.aggregate import Value, display
from dash_repro.paper.markup import to_tex

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("number", "decimals", "text"),
    [
        ("0.125", 2, "0.13"),
        ("-0.125", 2, "-0.13"),
        ("-0.004", 2, "0.00"),
        ("2.5", 0, "3"),
        ("99.995", 2, "100.00"),
        ("0.05", 1, "0.1"),
        ("1234.5", 3, "1234.500"),
    ],
)
def test_rounding_goes_away_from_zero(number: str, decimals: int, text: str) -> None:
    assert exact.rounded(Fraction(number), decimals) == text


def test_roots_are_rounded_without_a_float() -> None:
    for value in range(0, 3000, 7):
        square = Fraction(value, 137)
        root = Decimal(square.numerator) / Decimal(square.denominator)
        assert exact.rounded_root(square, 3) == f"{root.sqrt():.3f}", square
    half = Fraction("0.0125") ** 2  # a root that lies on a tie
    assert exact.rounded_root(half, 3) == "0.013"


def test_spread_is_the_textbook_one() -> None:
    values = [("1", "0", "4.0"), ("2", "0", "7.5"), ("3", "0", "1.25")]
    numbers = [4.0, 7.5, 1.25]
    assert float(exact.variance(values, 1)) == pytest.approx(
        statistics.variance(numbers)
    )
    assert float(exact.variance(values, 0)) == pytest.approx(
        statistics.pvariance(numbers)
    )


def test_samplings_are_averaged_before_seeds() -> None:
    values = [("1", "0", "1"), ("1", "1", "3"), ("2", "0", "10")]
    assert exact.average(values) == 6  # (2 + 10) / 2, not 14 / 3
    only = [("1", "0", "1"), ("1", "1", "3")]
    assert exact.variance(only, 1, "sampling_std") == 2
    sets = [("", "0", "1"), ("", "1", "3")]  # of real images
    assert exact.variance(sets, 1) == 2


def test_both_ways_agree_on_random_numbers() -> None:
    """The audit's fractions and the tables' decimals share no code."""
    source = random.Random(7)
    for _ in range(300):
        count, sets, ddof = (
            source.randint(1, 4),
            source.randint(1, 3),
            source.choice([0, 1]),
        )
        values = [
            Value(repr(source.uniform(-3, 900)), str(seed), str(one), "s", f"i{seed}")
            for seed in range(count)
            for one in range(sets)
        ]
        seeded = [(v.seed, v.sampling_seed, v.number) for v in values]
        spreads = ["std"] * (count > 1) + ["sampling_std"] * (sets > 1)
        for statistic in ("mean", *spreads):
            decimals, exponent = source.randint(0, 4), source.choice([0, 3, -6])
            ours = exact.printed(statistic, seeded, [], decimals, ddof, exponent)
            assert ours == display(values, statistic, decimals, ddof, exponent)


def test_undefined_statistics_say_so() -> None:
    with pytest.raises(ValueError, match="std"):
        exact.printed("std", [("1", "0", "2")], [], 2, 1)
    with pytest.raises(ValueError, match="median"):
        exact.printed("median", [("1", "0", "2")], [], 2, 1)


@pytest.mark.parametrize(
    "text",
    [
        "8.87 ± 0.12",
        "λ_{an}",
        "gap MSE (×10^{−3})",
        "a_b & 5% #1 ~ {x}",
        "–",
        "✗",
        "w ≤ 4",
    ],
)
def test_the_tex_reader_undoes_the_writer(text: str) -> None:
    assert latex.plain_tex(to_tex(text)) == latex.plain_text(text)


def test_rows_are_read_with_headings_and_escaped_ampersands() -> None:
    tex = "\\toprule\na \\& b & 1.00 \\\\\n\\multicolumn{2}{l}{\\textit{part}} \\\\\n"
    assert latex.rows(tex) == [["a & b", "1.00"], ["part"]]


def test_typed_numbers_are_found_and_layout_is_not(tmp_path: Path) -> None:
    (tmp_path / "paper").mkdir()
    lines = [
        r"\panel{figure4a}{0.325}\hfill see Table 3 and \textbf{Figure 4.} % 7.77",
        r"arXiv:2606.00798v1 on CIFAR-10 with two seeds",
        r"DASH reaches 8.87 and gains 67\% at 1325 samples",
    ]
    (tmp_path / "paper" / "main.tex").write_text("\n".join(lines))
    found = [f.detail for f in check_prose(tmp_path, ["1325"])]
    assert [f.split("'")[1] for f in found] == ["8.87", "67\\\\%", "1325"]


def test_the_papers_text_has_no_typed_number() -> None:
    assert not list(check_prose(ROOT, []))
    text = (ROOT / "paper" / "main.tex").read_text()
    assert len(list(typed_numbers(text))) < 20


def test_cells_are_listed_by_whole_rows() -> None:
    cells = ["t/a/x", "t/a/y", "t/b/x", "t/b/y", "u/a/x"]
    assert short(["t/a/x", "t/a/y", "t/b/y"], cells) == "t/a/*, t/b/y"
    assert short(cells, cells) == "t/*, u/*"


def test_the_line_of_the_page_counts_in_english():
    counts = {"objection": 0, "not checked": 2, "notice": 1}
    assert verdict(counts) == "Nothing to object to; 2 not checked, 1 notice"
    counts |= {"objection": 1, "notice": 0}
    assert verdict(counts) == "1 objection; 2 not checked, 0 notices"
