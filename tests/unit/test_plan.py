"""What the experiments of params.yaml ask for, with values that tell each apart."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from paper_fixtures import small_params

from dash_repro.plan import Plan
from runledger.stages import Wildcards

IDS = {
    "prepare_data": "{dataset}",
    "train_teacher": "{dataset}-{teacher}-s{seed}",
    "export_tirt": "{dataset}-{teacher}-s{seed}",
    "train_student": "{dataset}-{student}-w{width}-s{seed}",
    "measure_calibration": "{dataset}-{student}-w{width}-s{seed}",
    "distill_steps": "{dataset}-{origin}_k{steps}-w{width}-s{seed}",
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


def test_the_teachers_that_are_compared_by_their_weightings(
    params: dict[str, Any],
) -> None:
    """Those that the experiment names, of its first seed and nowhere else."""
    found = ids(params, "figureS5", "train_teacher", "cifar10-")
    assert found == {"tirt-s8", "tirt_code-s8"}
    assert ids(params, "figureS1", "train_teacher", "cifar10-") == {"tirt-s8"}
    del params["experiments"]["weightings"]
    plan = Plan(SimpleNamespace(params=params, id_pattern=IDS.__getitem__))
    assert "figureS5" not in plan.paper(SimpleNamespace())["figures"]


def test_a_table_has_all_seeds_and_what_shows_one_has_the_first(
    params: dict[str, Any],
) -> None:
    start = "cifar10-dash-w64-s"
    rows = ids(params, "table3", "compute_metrics", start)
    assert {row[0] for row in rows} == {"8", "7"}
    shown = ids(params, "figure6", "generate_samples", start)
    assert {row[0] for row in shown} == {"8"}


def test_a_student_of_the_guided_noise_is_sampled_without_guidance(
    params: dict[str, Any],
) -> None:
    start = "cifar10-single_head_no_cfg-w64-s7-"
    assert ids(params, "tableS2", "compute_metrics", start) == {"cfg1.0-k50-n0"}
    params["experiments"]["sampling"]["student_guidance"] = "tag"
    assert ids(params, "tableS2", "compute_metrics", start) == {"cfg1.0-k50-n0"}


def test_students_of_fewer_steps_start_from_the_next_that_they_divide(
    params: dict[str, Any],
) -> None:
    plain = "cifar10-dash-w64-s7-cfg3.0-"
    counts = {"k50-n0", "k25-n0", "k10-n0", "k5-n0"}
    assert ids(params, "tableS4", "compute_metrics", plain) == counts
    distilled = ids(params, "tableS4", "compute_metrics", "cifar10-dash_k10-w64-s7-")
    assert distilled == {"cfg3.0-k10-n0"}
    plan = Plan(SimpleNamespace(params=params, id_pattern=IDS.__getitem__))
    place = {"dataset": "cifar10", "width": "64", "seed": "7"}
    found = {}
    for steps in (25, 10, 5):
        one = plan.distilled(Wildcards(place, origin="dash", steps=str(steps)))
        found[steps] = (one["start_stage"], one["start_path"].split("/")[2])
        assert (one["student"], one["teacher"]) == (f"dash_k{steps}", "tirt")
        assert one["full_steps"] == 50
    assert found == {
        25: ("train_student", "cifar10-dash-w64-s7"),
        10: ("train_student", "cifar10-dash-w64-s7"),
        5: ("distill_steps", "cifar10-dash_k10-w64-s7"),
    }
