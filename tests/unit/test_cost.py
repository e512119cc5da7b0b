"""The paper's cost: one function, printed the same everywhere."""

from pathlib import Path

import pytest

from dash_repro import cost
from runledger.project import load_pipeline

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def pipeline():
    return load_pipeline(ROOT)


def test_the_shipped_settings_take_at_most_sixty_hours_of_an_h100(pipeline):
    found = {one.part: one for one in cost.costs(pipeline)}
    assert sum(one.hours for one in found.values()) <= 60
    # the teacher's network: 12.444 GFLOP an image, forward and twice that backward
    teachers = found["teachers"]
    assert teachers.runs == 12
    one = 391_000 * 64 * 3 * 12.444e9
    assert teachers.flop["fp16"] == pytest.approx(12 * one, rel=1e-3)
    assert teachers.hours == pytest.approx(12 * one / 300e12 / 3600, rel=1e-3)


def test_gaps_and_features_are_measured_in_single_precision(pipeline):
    for one in cost.costs(pipeline):
        kinds = {name for name, flop in one.flop.items() if flop}
        assert kinds == ({"fp32"} if one.part == cost.REST else {"fp16"}), one.part


@pytest.mark.parametrize("page", ["README.md", "docs/gpu.md"])
def test_pages_show_what_is_counted(pipeline, page):
    lines = (ROOT / page).read_text(encoding="utf-8").splitlines()
    assert set(cost.table(pipeline)) <= set(lines)


def test_preflight_says_the_same(pipeline):
    hours = cost.table(pipeline)[-1].split("|")[-2].strip()
    assert cost.line(pipeline).endswith(f": {hours} hours")
