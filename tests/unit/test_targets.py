"""Targets: found by name or pattern, listed by words, the nearest named."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from dash_repro.cli import main
from runledger.errors import UserError
from runledger.project import load_pipeline

ROOT = Path(__file__).resolve().parents[2]


def test_targets_are_found_by_patterns_and_the_nearest_are_named() -> None:
    pipeline = load_pipeline(ROOT)
    found = pipeline.matching("train_student/cifar100-dash-w*-s42")
    widths = {pipeline[name].item["width"] for name in found}
    assert widths == {48, 64, 96}, "the widths of Table C6"
    assert pipeline.matching("train_student/cifar10-dash-w64-s42") == [
        "train_student@cifar10-dash-w64-s42"
    ]
    with pytest.raises(UserError, match=r"like it: \S*cifar10-dash-w64-s42"):
        pipeline.matching("train_student/cifar10-dahs-w64-s42")
    with pytest.raises(UserError, match=r"no instance gap_m; like it: train_student/"):
        pipeline.matching("gap_m")
    with pytest.raises(UserError, match=r"no instance x/\*"):
        pipeline.matching("x/*")


def test_targets_are_listed_by_words(monkeypatch) -> None:
    monkeypatch.chdir(ROOT)
    listed = CliRunner().invoke(main, ["targets", "train_student", "dash-w64", "c10-"])
    assert listed.exit_code == 1 and "no target has" in listed.output
    listed = CliRunner().invoke(main, ["targets", "train_student", "r10-dash-w64"])
    rows = [line.split() for line in listed.output.splitlines()]
    assert rows == [
        [
            f"train_student/cifar10-dash-w64-s{seed}",
            f"results/train_student/cifar10-dash-w64-s{seed}/model.safetensors",
        ]
        for seed in (123, 42, 456)
    ]
