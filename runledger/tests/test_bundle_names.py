"""Names of bundles: readable, valid for Snakemake, one of each."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from runledger.bundles import Sizes, bundles, rule_name
from runledger.dvcyaml import pipeline_of
from runledger.judge import Verdict
from runledger.pipeline import Pipeline


def pipeline(datasets: list[str], students: int) -> Pipeline:
    items = {
        f"{dataset}-s{seed}-{number}": {"dataset": dataset, "seed": seed, "n": number}
        for dataset in datasets
        for seed in (1, 42)
        for number in range(students)
    }
    stage = {"foreach": items, "do": {"cmd": "x", "outs": ["o/${key}"]}}
    return pipeline_of({"stages": {"train": stage}}, {})


def names(tmp_path: Path, datasets: list[str], students: int, most: int) -> list[str]:
    made = pipeline(datasets, students)
    verdicts = {
        name: Verdict(instance, {}, "x", valid=False)
        for name, instance in made.instances.items()
    }
    sizes = Sizes({"train": most}, {"train": ("dataset", "seed")})
    found = bundles(tmp_path, made, verdicts, list(made.instances), sizes)
    assert all(len(bundle.instances) > 1 for bundle in found)
    return [bundle.name for bundle in found]


def test_a_bundle_is_named_by_its_group_and_part(tmp_path: Path) -> None:
    assert names(tmp_path, ["digits"], 4, 2) == [
        "train_digits_s1_1of2",
        "train_digits_s1_2of2",
        "train_digits_s42_1of2",
        "train_digits_s42_2of2",
    ]


@pytest.mark.parametrize(
    ("members", "most", "spread", "sizes"),
    [
        (13, 6, 1, [5, 4, 4]),
        (13, 6, 2, [4, 3, 3, 3]),  # not three: the third would run alone
        (12, 6, 2, [6, 6]),
        (7, 6, 2, [4, 3]),
        (5, 6, 4, [2]),  # and three alone
        (3, 6, 4, []),
        (9, 1, 2, []),
    ],
)
def test_bundles_come_in_multiples_of_the_cores(members, most, spread, sizes) -> None:
    made = Sizes({"train": most}, {}, spread).split("train", (), list(range(members)))
    assert [len(bundle.instances) for bundle in made] == sizes
    together = [one for bundle in made for one in bundle.instances]
    assert len(set(together)) == len(together)


def test_the_same_plan_gives_the_same_names(tmp_path: Path) -> None:
    first = names(tmp_path, ["a", "b"], 6, 4)
    assert names(tmp_path, ["a", "b"], 6, 4) == first


@pytest.mark.parametrize("odd", ["my-data", "a.b c/d", "ü", "x" * 300, "1st", "{x}"])
def test_any_name_makes_a_valid_rule_and_file(tmp_path: Path, odd: str) -> None:
    found = names(tmp_path, [odd], 3, 3)
    assert len(set(found)) == len(found)
    for name in found:
        assert re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name)
        assert len(name) < 200


def test_names_that_would_be_equal_are_told_apart(tmp_path: Path) -> None:
    found = names(tmp_path, ["a-b", "a_b"], 2, 2)
    assert found[:2] == ["train_a_b_s1_1of1", "train_a_b_s42_1of1"]
    assert found[2:] == ["train_a_b_s1_1of1_2", "train_a_b_s42_1of1_2"]


def test_what_failed_before_has_a_bundle_of_its_own(tmp_path: Path) -> None:
    folder = tmp_path / "results/.state/failures"
    folder.mkdir(parents=True)
    for number in (0, 1):
        note = '{"reason": "nan", "frozen": "x"}'
        (folder / f"train@digits-s1-{number}.json").write_text(note)
    found = names(tmp_path, ["digits"], 4, 9)
    assert "train_digits_s1_again_1of1" in found
    assert rule_name("train", "digits", "s1") + "_1of1" in found
