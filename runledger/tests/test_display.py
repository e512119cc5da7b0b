"""How far a run is, what is left of it, how that is spelled and drawn."""

from __future__ import annotations

import io
import json
import logging
import re
from pathlib import Path

import pytest

from runledger import differences
from runledger.display.estimate import STARTUP, Estimate
from runledger.display.reasons import reasons
from runledger.display.run import Run, Task, members
from runledger.display.screen import Lines
from runledger.display.words import describe, inside
from runledger.judge import Verdict
from runledger.pipeline import Instance
from runledger.reporting import CountedLines, append_report, how_far, report_path
from runledger.times import about, span


class Clock:
    """A clock that the test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def instance(id: str, stage: str = "train_student", **item: object) -> Instance:
    return Instance(stage + "@" + id, stage, id, "", (), (), (), item)


def student(name: str, width: int = 12) -> Instance:
    item = {"dataset": "digits", "student": name, "width": width, "seed": 42}
    return instance(f"digits-{name}-w{width}-s42", **item, teacher="tirt")


def report(root: Path, name: str, time: float, **values: object) -> None:
    path = report_path(root, *name.split("@"))
    append_report(path, str(values.pop("part", "")), values)
    lines = path.read_text().splitlines()
    lines[-1] = json.dumps({**json.loads(lines[-1]), "time": time})
    path.write_text("\n".join(lines) + "\n")


# words


def test_a_job_of_several_is_named_by_what_they_share() -> None:
    many = [student(name) for name in ("dash", "scratch", "no_un", "gap", "cond")]
    told = describe(many)
    assert told == "train_student digits: dash, scratch, +3 (width 12, seed 42)"
    mixed = [student("dash", 12), student("dash", 24)]
    assert describe(mixed) == "train_student digits dash: w12, w24 (seed 42)"
    assert describe(many[:1]) == "train_student digits-dash-w12-s42"
    tables = [instance(f"table{n}", "make_table", item=f"table{n}") for n in (1, 2)]
    assert describe(tables) == "make_table: table1, table2"
    assert describe([instance("", "build_paper")]) == "build_paper"


def test_times_are_spelled_as_people_do() -> None:
    assert [span(s) for s in (0.2, 59.4, 252, 3600 * 3 + 300)] == [
        "0 s",
        "59 s",
        "4 min 12 s",
        "3 h 05 min",
    ]
    assert [about(s) for s in (3, 44, 400, 9000)] == ["10 s", "40 s", "7 min", "2.5 h"]


def test_a_change_is_told_once(tmp_path: Path) -> None:
    why = {
        "dash": ["params: train.lr: 1 -> 2"],
        "no_un": ["params: train.lr: 1 -> 2"],
        "gap": ["params: train.lr: 1 -> 2", "input data.npz changed"],
        "cond": ["never run"],
        "comp": ["train_teacher@digits is stale"],
        "fit": ["code: a.py, b.py, c.py, d.py, e.py", "train_teacher@digits is stale"],
    }
    verdicts = {
        name: Verdict(student(name), {}, "", False, reasons=told)
        for name, told in why.items()
    }
    assert reasons(why, verdicts).splitlines() == [
        "6 stale instances:",
        "  train.lr: 1 -> 2: 2 train_student",
        "  train.lr: 1 -> 2; input data.npz changed: gap",
        "  code: a.py, b.py, c.py, +2: fit",
        "  never run: cond",
        "  1 only because something they read is stale",
    ]
    assert reasons([], {}) == ""


def test_an_edit_is_told_with_all_that_runs_for_it() -> None:
    """New samples are made for the table that the edit is about, and read by it."""

    def stage(name: str) -> Instance:
        return instance(name, name.partition("@")[0])

    why = {
        "student@new": ["never run"],
        "sample@1": ["never run"],
        "sample@2": ["never run", "student@new is stale"],
        "rank@1": ["never run"],
        "metric@1": ["never run", "sample@1 is stale"],
        "metric@2": ["never run", "sample@2 is stale"],
        "collect@3": [
            "params: w: 4.0 -> 3.0",
            "identity: members: added 2, removed 2",
            "metric@1 is stale",
        ],
        "pairs@4": [
            "identity: samples: 1 -> 2",
            "sample@1 is stale",
            "input 1.npz is gone",
            "input 2.npz is new",
            "rank@1 is stale",
        ],
        "pairs@5": [
            "identity: samples: 8 -> 9",
            "input 8.npz is gone",
            "input 9.npz is new",
        ],
        "pairs@6": ["input rules.json is new"],
        "collect@4": ["params: w: 4.0 -> 3.0", "metric@1 is stale"],
        "table@3": ["collect@3 is stale"],
        "table@new": ["never run", "metric@2 is stale"],
        "page": ["table@3 is stale", "table@new is stale"],
    }
    verdicts = {
        name: Verdict(stage(name), {}, "", False, reasons=told)
        for name, told in why.items()
    }
    assert reasons(why, verdicts, {"student"}).splitlines() == [
        "14 stale instances:",
        "  w: 4.0 -> 3.0: 1 sample, 1 rank, 1 metric, 2 collect, 1 pairs, 1 table, "
        "1 page; no training",
        "  identity: samples: 8 -> 9: pairs@5; no training",
        "  input rules.json is new: pairs@6; no training",
        "  never run: 1 student, 1 sample, 1 metric, 1 table",
    ]


def test_lists_and_blocks_say_what_came_and_went() -> None:
    def changes(old, new):
        return differences._changes(old, new)

    assert changes({"w": [1, 2, 4]}, {"w": [1, 3, 2]}) == ["w: added 3, removed 4"]
    assert changes({"w": [1, 2]}, {"w": [2, 1]}) == ["w: in another order"]
    assert changes({"w": [1]}, {"w": [1, 1]}) == ["w: [1] -> [1,1]"]
    many = {"m": {f"a/{n}": {"x": n} for n in range(9)}, "n": 1}
    assert changes(many, {"m": {"b": {}}, "n": 1}) == [
        "m: added b, removed a/0 a/1 a/2 +6"
    ]
    assert changes({"a": 1}, {"a": 2, "b": 3}) == [
        "a: 1 -> 2",
        "b: (absent) -> 3",
    ]


# what jobs report


def test_only_what_this_job_reports_counts(tmp_path: Path) -> None:
    clock, name = Clock(), "train_student@a"
    report(tmp_path, name, 1, step=300, iterations=300)
    report(tmp_path, name, 2, state="done")
    task = Task("a", "train_student", members(tmp_path, [name]), work=1)
    run = Run({0: task}, clock=clock)
    run.start(0)
    run.look()
    assert (task.fraction, inside(task, run)) == (0.0, "starting")
    report(tmp_path, name, 3, state="make")
    report(tmp_path, name, 4, step=180, iterations=300)
    path = report_path(tmp_path, "train_student", "a")
    with open(path, "a") as file:
        file.write('{"time": 5, "step": 2')  # being written
    run.look()
    assert task.fraction == 0.6
    assert inside(task, run) == "step 180/300"
    with open(path, "a") as file:
        file.write('40, "iterations": 300}\n')
    run.look()
    assert inside(task, run) == "step 240/300"


def test_members_of_a_bundle_and_shares_are_told_apart(tmp_path: Path) -> None:
    names = ["generate@a", "generate@b"]
    bundle = Task("ab", "generate", members(tmp_path, names))
    share = Task("a 1/2", "generate", members(tmp_path, names[:1], "1/2"))
    run = Run({0: bundle, 1: share}, clock=Clock())
    run.start(0), run.start(1)
    report(tmp_path, names[0], 1, state="done")
    report(tmp_path, names[1], 2, images=40, of=100)
    report(tmp_path, names[0], 3, images=10, of=20, part="0/2")
    report(tmp_path, names[0], 4, images=5, of=20, part="1/2")
    run.look()
    assert inside(bundle, run) == "1 of 2 made, images 40/100"
    assert bundle.fraction == pytest.approx(0.7)
    report(tmp_path, names[1], 2, state="interrupted")
    run.look()
    assert inside(bundle, run) == "1 of 2 made, stopped at images 40/100"
    assert bundle.fraction == pytest.approx(0.7)
    assert share.fraction == 0.25


def test_a_cluster_has_a_queue(tmp_path: Path) -> None:
    clock, tasks = Clock(), {}
    for number in range(3):
        found = members(tmp_path, [f"train@{number}"])
        tasks[number] = Task(f"job {number}", "train", found, work=1)
    run = Run(tasks, remote=True, clock=clock)
    for number in tasks:
        run.start(number)
    clock.now += 900
    report(tmp_path, "train@2", clock.now + 5000, state="open")  # another host's clock
    report(tmp_path, "train@2", clock.now + 5030, step=1, iterations=2)
    run.look()
    assert [task.label for task in run.having("running")] == ["job 2", "job 0", "job 1"]
    assert inside(tasks[0], run) == "in the queue"
    assert run.seconds(tasks[2]) == 30, "the queue does not count"
    stream = io.StringIO()
    Lines(stream).show(run)
    assert "1 under way, 2 in the queue" in stream.getvalue()


def test_students_side_by_side_are_as_far_as_the_last(tmp_path: Path) -> None:
    names = ["train@a", "train@b"]
    task = Task("ab", "train", members(tmp_path, names))
    run = Run({0: task}, clock=Clock())
    run.start(0)
    report(tmp_path, names[0], 1, step=30, iterations=100)
    report(tmp_path, names[1], 1, step=20, iterations=100)
    run.look()
    assert inside(task, run) == "step 20/100"


def test_lines_of_a_log_that_count_are_reports() -> None:
    found: list[dict] = []
    log = logging.Logger("x")
    log.addHandler(CountedLines(lambda **values: found.append(values)))
    log.info("%s %d/%d, %.1f a second", "images", 40, 100, 3.0)
    log.info("3 images of 5, in 1/2 of the time")
    log.info("rho 0.9/1")
    assert found == [{"images": 40, "of": 100}]
    assert how_far(found[0]) == ("images", 40, 100)
    assert how_far({"leg": 2, "step": 50, "iterations": 200}) == ("step", 50, 200)
    counting = {"time": 1.5, "iterations": 50, "of": 200}
    assert how_far(counting) == ("iterations", 50, 200)
    assert how_far({"step": 50}) is None


# how much is left


def ended(work: float, seconds: float, stage: str, root: Path, clock: Clock) -> Task:
    """A job that started up for 4 s and then worked for so many."""
    name = f"{stage}@{id(clock)}{clock.now}"
    task = Task("", stage, members(root, [name]), work)
    run = Run({0: task}, clock=clock)
    run.start(0)
    report(root, name, clock.now + 4, state="open")
    clock.now += 4 + seconds
    report(root, name, clock.now, state="done")
    run.end(0, "done")
    return task


def test_the_bar_counts_work_and_not_jobs(tmp_path: Path) -> None:
    clock = Clock()
    small = [ended(10, 1, "small", tmp_path, clock) for _ in range(9)]
    tasks = dict(enumerate([*small, Task("big", "train", work=910)]))
    estimate = Estimate(Run(tasks, clock=clock))
    # 9 jobs took 4 + 1 s; the tenth needs 4 + 91 s at the same 10 a second
    assert estimate.fraction() == pytest.approx(45 / 140)


def test_the_rest_is_played_through_with_limits_and_order(tmp_path: Path) -> None:
    clock = Clock()
    first = ended(100, 10, "train", tmp_path, clock)
    one = {"uses": {"_cores": 1}}
    tasks = {
        0: first,
        1: Task("", "train", work=60, **one),  # 4 + 6 s
        2: Task("", "train", work=160, **one),  # 4 + 16 s
        3: Task("", "train", work=60, needs=frozenset([2]), **one),
        4: Task("all", "all", needs=frozenset([1, 3]), shown=False),
    }

    def left(**limits: float) -> float:
        estimate = Estimate(Run(tasks, limits, clock=clock))
        estimate.brief["all"] = 0.0
        return estimate.seconds_left()

    assert left(_cores=1) == pytest.approx(40), "one after the other"
    assert left(_cores=2) == pytest.approx(30), "3 waits for 2"
    assert left() == pytest.approx(30)
    tasks[2].state = "failed"
    assert left(_cores=1) == pytest.approx(10), "3 and all cannot run any more"


@pytest.mark.parametrize("resumed", [0, 30])
def test_a_job_under_way_counts_by_its_steps(tmp_path: Path, resumed: int) -> None:
    clock = Clock()
    task = Task("", "train", members(tmp_path, ["train@a"]), work=100)
    run = Run({0: task}, clock=clock)
    run.start(0)
    report(tmp_path, "train@a", clock.now + 6, state="open")
    report(tmp_path, "train@a", clock.now + 9, step=resumed + 4, iterations=100)
    run.look()
    assert Estimate(run).seconds_left() is None, "one report tells no speed"
    report(tmp_path, "train@a", clock.now + 27, step=resumed + 40, iterations=100)
    clock.now += 27
    run.look()
    estimate = Estimate(run)
    assert estimate.speeds[""] == pytest.approx(36 / 18)
    assert estimate.seconds_left() == pytest.approx((60 - resumed) / 2)
    assert estimate.fraction() == pytest.approx((resumed + 40) / 100)


def test_work_of_one_kind_runs_at_one_speed(tmp_path: Path) -> None:
    clock = Clock()
    slow, fast = (ended(100, s, "x", tmp_path, clock) for s in (50, 5))
    slow.kind, fast.kind = "training", "features"
    tasks = {0: slow, 1: fast, 2: Task("", "metrics", work=40, kind="features")}
    assert Estimate(Run(tasks, clock=clock)).seconds_left() == pytest.approx(4 + 2)
    tasks[2].kind = "sampling"  # at the speed of all, 200 in 55 s
    assert Estimate(Run(tasks, clock=clock)).seconds_left() == pytest.approx(4 + 11)


def test_without_a_measured_speed_no_time_is_promised(tmp_path: Path) -> None:
    tasks = {0: Task("", "train", work=100), 1: Task("", "table")}
    estimate = Estimate(Run(tasks, clock=Clock()))
    assert estimate.seconds_left() is None
    assert estimate.fraction() == 0.0
    assert Estimate(Run({1: tasks[1]})).seconds_left() == STARTUP


def test_what_is_called_done_never_shrinks(tmp_path: Path) -> None:
    clock, stream = Clock(), io.StringIO()
    lines = Lines(stream, 30)
    tasks = {0: ended(10, 10, "a", tmp_path, clock), 1: Task("", "b")}
    lines.show(Run(tasks, clock=clock))
    tasks[0].state = "waiting"  # to be started again
    lines.show(Run(tasks, clock=clock))
    first, second = re.findall(r"(\d+)%", stream.getvalue())
    assert first == second > "30"


def test_all_is_done_only_when_all_is_done() -> None:
    stream = io.StringIO()
    tasks = {number: Task("", "a", state="done") for number in range(999)}
    Lines(stream).show(Run({**tasks, 999: Task("", "a")}))
    assert "99%" in stream.getvalue()
