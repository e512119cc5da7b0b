"""The paper's cost: one function, printed the same everywhere."""

import csv
import re
from collections import defaultdict
from pathlib import Path

import pytest

from dash_repro import cost
from dash_repro.objectives.kinds import OBJECTIVES
from dash_repro.params import load_params
from runledger.project import load_pipeline

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def pipeline():
    return load_pipeline(ROOT)


def test_students_of_a_teacher_share_its_forward_pass(pipeline):
    found = {one.part: one for one in cost.costs(pipeline)}
    # the teacher's network: 12.444 GFLOP an image, forward and twice that backward
    teachers = found["teachers"]
    assert teachers.runs == 12
    one = 391_000 * 64 * 3 * 12.444e9
    assert teachers.flop["fp16"] == pytest.approx(12 * one, rel=1e-3)
    rate = cost.H100["train_teacher"] * 1e12
    assert teachers.hours == pytest.approx(12 * one / rate / 3600, rel=1e-3)
    part = cost.PARTS["train_student"]
    by_pack = {pack: cost.costs(pipeline, pack) for pack in (1, 8, 1000)}
    work = {
        pack: next(one.flop["fp16"] for one in found if one.part == part)
        for pack, found in by_pack.items()
    }
    students = pipeline.stages["train_student"].asks
    items = [
        pipeline[name].item
        for name in pipeline.instances
        if pipeline[name].stage == "train_student"
    ]
    assert found[part].runs == len(items)
    assert work[1] == pytest.approx(sum(students.work(item).flop for item in items))
    # each (dataset, teacher, seed) pays for its teacher once
    blocks = load_params(ROOT / "params.yaml")["students"]
    groups = defaultdict(list)
    for item in items:
        kind = OBJECTIVES[blocks[item["student"]]["objective"]]
        groups[tuple(item[field] for field in students.by)].append(kind.passes[1])
    forwards = sum(sum(each) - max(each) for each in groups.values())
    spared = forwards * 234_000 * 64 * 12.444e9
    assert work[1] - work[1000] == pytest.approx(spared, rel=1e-3)
    assert work[1000] < work[8] < work[1]


def test_speeds_are_those_of_the_committed_measurement():
    results = ROOT / "bench" / "results"

    def tflops(folder, section, name, launch):
        rows = csv.DictReader((results / folder / "results.csv").open())
        (row,) = (
            row
            for row in rows
            if row["section"].startswith(section)
            and (row["name"], row["launch"]) == (name, launch)
        )
        return pytest.approx(float(row["gflop_per_s"]) / 1e3, rel=1e-3)

    second = "h100-2026-11-26-second"
    students = tflops(second, "DASH step", "ours, K = 16", "compile")
    assert cost.H100["train_student"] == students
    first = "h100-2026-11-26"
    found = tflops(first, "Sampling with the student", "ours", "eager")
    assert cost.H100["generate_samples"] == found
    notes = (results / first / "notes.md").read_text(encoding="utf-8")
    (said,) = re.findall(r"\| teacher step \| ([\d.]+), ([\d.]+) \|", notes)
    work = 64 * 3 * 12.444e9 / 1e9
    rounds = [work / float(each) for each in said]
    assert cost.H100["train_teacher"] == pytest.approx(sum(rounds) / 2, rel=1e-3)


def test_gaps_and_features_are_measured_in_single_precision(pipeline):
    for one in cost.costs(pipeline):
        kinds = {name for name, flop in one.flop.items() if flop}
        assert kinds == ({"fp32"} if one.part == cost.REST else {"fp16"}), one.part


def test_the_page_shows_what_is_counted(pipeline):
    lines = (ROOT / "docs/gpu.md").read_text(encoding="utf-8").splitlines()
    assert set(cost.table(pipeline)) <= set(lines)


def test_preflight_says_the_same(pipeline):
    hours = cost.table(pipeline)[-1].split("|")[-2].strip()
    assert cost.line(pipeline).endswith(f": {hours} hours")
