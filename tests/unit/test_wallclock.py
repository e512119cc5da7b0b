"""Hours by the clock: the work shared out, but never less than the longest chain."""

from pathlib import Path

import pytest

from dash_repro import cost, wallclock
from runledger.project import load_pipeline

ROOT = Path(__file__).resolve().parents[2]


def test_the_longest_chain_is_a_teacher_and_its_student_of_fewest_steps(
    monkeypatch,
) -> None:
    pipeline = load_pipeline(ROOT)
    hours = {}
    for name in (
        "train_teacher@cifar10-tirt-s42",
        "train_student@cifar10-dash-w64-s42",
        "distill_steps@cifar10-dash_k10-w64-s42",
        "distill_steps@cifar10-dash_k5-w64-s42",
        "generate_samples@cifar10-dash_k5-w64-s42-cfg4.0-k5-n0",
        "compute_metrics@cifar10-dash_k5-w64-s42-cfg4.0-k5-n0",
    ):
        instance = pipeline[name]
        work = pipeline.stages[instance.stage].asks.work(instance.item)
        rate = cost.H100.get(instance.stage, cost.SINGLE)
        hours[name] = work.flop / 1e12 / rate / 3600
    chain = wallclock.longest_chain(pipeline)
    # a hundred classes have more embedding, which is no convolution
    assert chain == pytest.approx(sum(hours.values()), rel=0.01)
    total = sum(one.hours for one in cost.costs(pipeline))
    said = wallclock.line(pipeline)
    assert f"{total:.1f} on 1, {total / 4:.1f} on 4, {total / 8:.1f} on 8" in said
    assert f"longest chain: {chain:.1f}" in said
    readme = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    assert f"{total:.1f} hours on one such GPU, {total / 4:.1f} on 4" in readme
    monkeypatch.setattr(wallclock, "GPUS", (1, 1000))
    assert f"{chain:.1f} on 1000" in wallclock.line(pipeline)
