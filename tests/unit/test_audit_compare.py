"""The paper's values beside ours under the committed params, or why not."""

from __future__ import annotations

import copy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dash_repro.audit.compare import Comparison, compare
from dash_repro.audit.evidence import RawNumber
from dash_repro.audit.expected import Expectations, Source
from dash_repro.audit.printed import PAPER
from dash_repro.params import load_params

ROOT = Path(__file__).resolve().parents[2]
PARAMS = load_params(ROOT / "params.yaml")
VALUES = {42: 8.9, 123: 9.1, 456: 8.7}


def evidence(params: Any = PARAMS, **about: Any) -> Any:
    """A run at the paper's scale in which every measured number is VALUES."""
    expectations = Expectations(params)
    known = {"metric": "frechet", "name": "FID", "n": "50000", "extractor": "inception"}
    known |= about

    class Cells(dict):
        def get(self, address: str, default: Any = None) -> Any:
            expected = expectations.expected_for(address)
            if expected is None:
                return default
            exponent = expected.exponent or 0
            cell = {"kind": "measured", "displayed": "8.90", "note": "", **known}
            return {**cell, "decimals": expected.decimals, "exponent": exponent}

    def numbers(source: Source) -> list[RawNumber]:
        seeds = source.seeds or (42,)
        where = source.stage, "i"
        return [RawNumber(*where, str(s), "0", repr(VALUES[s])) for s in seeds]

    return SimpleNamespace(
        root=ROOT,
        params=params,
        expectations=expectations,
        cells=Cells(),
        numbers=numbers,
    )


def of(item: str, row: str, column: str, **about: Any) -> Comparison:
    params = about.pop("params", PARAMS)
    (found,) = [
        one
        for one in compare(evidence(params, **about), item)
        if (one.row, one.column) == (row, column)
    ]
    return found


def test_a_difference_in_units_of_our_spread() -> None:
    one = of("table3", "dash", "cifar10_fd")
    assert one.comparable
    assert one.paper == "8.87"
    assert one.difference == "0.03"  # mean 8.9
    assert one.spread == "0.2"  # standard deviation of 8.9, 9.1, 8.7
    assert one.spreads == "+0.15"


def test_one_seed_has_a_difference_and_no_spread() -> None:
    one = of("tableC5", "cifar10_dash", "fd_10")
    assert one.comparable
    assert one.difference == "-1.54"  # 8.9 - 10.44
    assert one.spread == ""


@pytest.mark.parametrize(
    ("about", "reason"),
    [
        ({"n": "100"}, "100 samples, the paper 50000"),
        ({"name": "fd_effnetlite0", "extractor": "effnetlite0"}, "other extractor"),
    ],
)
def test_another_protocol_is_not_compared(about: dict, reason: str) -> None:
    one = of("table3", "dash", "cifar10_fd", **about)
    assert not one.comparable
    assert one.difference == ""
    assert any(reason in word for word in one.reasons)


@pytest.mark.parametrize(
    ("path", "value", "reason"),
    [
        (("scale",), "demo", "not the paper's scale"),
        (("scale",), "study", "not the paper's scale"),
        (("extractor", "mode"), "clean", "resizing mode clean"),
        (
            ("experiments", "table3", "datasets"),
            ["digits", "cifar100"],
            "other data: digits instead of CIFAR-10",
        ),
    ],
)
def test_other_params_are_not_compared(path: tuple, value: Any, reason: str) -> None:
    params = copy.deepcopy(dict(PARAMS))
    node = params
    for part in path[:-1]:
        node = node[part]
    node[path[-1]] = value
    one = of("table3", "dash", "cifar10_fd", params=params)
    assert any(word.startswith(reason) for word in one.reasons)
    assert one.difference == ""


def test_the_gap_mse_has_no_known_unit() -> None:
    about = {"metric": "gap_mse", "name": "gap_mse", "n": "10000", "extractor": ""}
    one = of("table3", "dash", "cifar10_gap_mse", **about)
    assert one.reasons == (
        "the unit of the paper's gap MSE is not known: compare ratios",
    )


@pytest.mark.parametrize("item", PAPER)
def test_every_value_of_the_paper_has_a_place_in_a_run_at_its_scale(item: str) -> None:
    """What has none is a setting, literature, by definition, or a blank."""
    lost = [
        (one.row, one.column)
        for one in compare(evidence(), item)
        if not one.address
        and one.column not in ("steps", "l_im", "l_un", "l_an", "source")
        and one.row not in ("ddpm", "iddpm", "edm")
        and not one.row.startswith("teacher")
        and not one.row.startswith("scratch")
    ]
    assert lost == []
