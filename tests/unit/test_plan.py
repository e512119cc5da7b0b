"""What the experiments of params.yaml ask for, with values that tell each apart."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from paper_fixtures import small_params

from dash_repro.plan import Plan

IDS = {
    "prepare_data": "{dataset}",
    "train_teacher": "{dataset}-{teacher}-s{seed}",
    "export_tirt": "{dataset}-{teacher}-s{seed}",
    "train_student": "{dataset}-{student}-w{width}-s{seed}",
    "measure_calibration": "{dataset}-{student}-w{width}-s{seed}",
    "generate_samples": "{dataset}-{label}-s{seed}-{sampler}",
    "compute_metrics": "{dataset}-{label}-s{seed}-{sampler}",
    "profile_model": "{dataset}-{label}",
    "rank_pairs": "{dataset}",
    "extract_reference": "{dataset}",
}


@pytest.fixture
def params() -> dict[str, Any]:
    """Three scales that differ (two of them are equal in the paper), and two seeds."""
    params = small_params()
    params["tag"]["w_max"] = 5.0
    params["experiments"]["sampling"]["guidance_scale"] = 3.0
    params["experiments"]["table2"]["guidance_scale"] = 1.5
    for name, block in params["experiments"].items():
        if name != "sampling":
            block["seeds"] = [8, 7]
    return params


def ids(params: dict[str, Any], item: str, stage: str, start: str) -> set[str]:
    """What follows `start` in the ids of a stage that an item collects."""
    plan = Plan(SimpleNamespace(params=params, id_pattern=IDS.__getitem__))
    paths = plan.members(SimpleNamespace(item=item))
    found = {path.split("/")[2] for path in paths if path.split("/")[1] == stage}
    return {id.removeprefix(start) for id in found if id.startswith(start)}


def test_a_teacher_is_sampled_with_tag_and_a_student_with_constant_guidance(
    params: dict[str, Any],
) -> None:
    start = "cifar10-teacher_tirt-s7-"
    assert ids(params, "table3", "compute_metrics", start) == {"tag5.0-k50-n0"}
    student = "cifar10-dash-w64-s7-"
    assert ids(params, "table3", "compute_metrics", student) == {"cfg3.0-k50-n0"}
    params["experiments"]["sampling"]["student_guidance"] = "tag"
    assert ids(params, "table3", "compute_metrics", student) == {"tag5.0-k50-n0"}


def test_the_teachers_of_table_2(params: dict[str, Any]) -> None:
    both = {"cfg1.5-k50-n0", "tag5.0-k50-n0"}
    start = "cifar10-teacher_tirt-s8-"
    assert ids(params, "table2", "compute_metrics", start) == both
    start = "cifar10-teacher_min_snr-s8-"
    found = ids(params, "table2", "compute_metrics", start)
    assert found == both | {"cfg3.0-k50-n0"}


def test_a_table_has_all_seeds_and_what_shows_one_has_the_first(
    params: dict[str, Any],
) -> None:
    start = "cifar10-dash-w64-s"
    rows = ids(params, "table3", "compute_metrics", start)
    assert {row[0] for row in rows} == {"8", "7"}
    shown = ids(params, "figure6", "generate_samples", start)
    assert {row[0] for row in shown} == {"8"}
