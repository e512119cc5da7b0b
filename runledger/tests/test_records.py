"""Records decide: what runs, why, and what comes back, with real snakemake and dvc."""

from __future__ import annotations

import json
import os
import shutil

import pytest
from toy import Toy

NOTHING = "Nothing to be done"
A = {"measure@a", "double@a", "report"}
ALL = {f"{stage}@{id}" for stage in ("measure", "double") for id in "abc"} | {"report"}


def jobs(output: str) -> int:
    """Number of jobs in a dry run's table; 0 if there is nothing to do."""
    if NOTHING in output:
        return 0
    return int(output.split("total")[-1].split()[0])


def test_second_run_does_nothing(toy: Toy) -> None:
    assert NOTHING in toy.snakemake()


def test_mtimes_metadata_and_intermediates_do_not_matter(toy: Toy) -> None:
    for index, path in enumerate(sorted(toy.root.rglob("*"))):
        if path.is_file() and ".git/" not in str(path):
            os.utime(path, (1e9 + 97 * (index % 13), 1e9 + 97 * (index % 13)))
    shutil.rmtree(toy.root / ".snakemake")
    shutil.rmtree(toy.root / "results" / "measure")
    shutil.rmtree(toy.root / "results" / "double")
    assert NOTHING in toy.snakemake("-n")
    assert toy.stale() == set()


@pytest.mark.slow
def test_outputs_dated_in_the_future_still_rerun(toy: Toy) -> None:
    for path in (toy.root / "results").rglob("*.txt"):
        os.utime(path, (4e9, 4e9))
    toy.edit("params.yaml", "value: 1", "value: 5")
    toy.snakemake()
    assert "a 100" in toy.read("results/report/_/report.txt")
    assert toy.stale() == set()


EDITS = [
    ("params.yaml", "a: {value: 1,", "a: {value: 7,", A),
    ("params.yaml", "scale: 10", "scale: 11", ALL),
    ("params.yaml", "scale: 10", "scale: 10.0", set()),
    ("params.yaml", "{value: 1, sleep: 0}", "{sleep: 0, value: 1}", set()),
    ("params.yaml", "report: {title: numbers}", "report: {title: x}", {"report"}),
    ("params.yaml", "# none", "", None),
    (
        "params.yaml",
        "a: {value: 1, sleep: 0}\n  b: {value: 4, sleep: 0}",
        "a: {value: 4, sleep: 0}\n  b: {value: 1, sleep: 0}",
        A | {"measure@b", "double@b"},
    ),
    ("src/toy/arithmetic.py", "# exact", "# rounded", set()),
    ("src/toy/arithmetic.py", '"""Multiply."""', '"""Product."""', set()),
    ("src/toy/arithmetic.py", "return a * b", "return (a\n        * b)", set()),
    ("src/toy/arithmetic.py", "a * b", "b * a", ALL),
    ("stages/report.py", '" {path', '": {path', None),
    (
        "stages/double.py",
        "value, 2",
        "value, 3",
        {f"double@{i}" for i in "abc"} | {"report"},
    ),
    (
        "dvc.yaml",
        "cmd: python stages/report.py",
        "cmd: python -O stages/report.py",
        {"report"},
    ),
    ("data.txt", "1", "2", ALL),
]


@pytest.mark.parametrize(
    ("name", "old", "new", "expected"), [edit for edit in EDITS if edit[3] is not None]
)
def test_one_edit_makes_exactly_these_stale(toy, name, old, new, expected) -> None:
    toy.edit(name, old, new)
    assert toy.stale() == expected


def test_added_instance_leaves_the_old_ones_valid(toy: Toy) -> None:
    toy.edit("params.yaml", "  b: {value", "  d: {value: 4, sleep: 0}\n  b: {value")
    assert toy.stale() == {"measure@d", "double@d"}


def test_reason_names_old_and_new_value(toy: Toy) -> None:
    toy.edit("params.yaml", "a: {value: 1,", "a: {value: 7,")
    words = toy.ledger("why", "measure/a")
    assert "params: measure.a.value: 1 -> 7" in words
    assert "measure@a is stale" in toy.ledger("why", "results/double/a/value.txt")
    assert "measure.a.value: 1 -> 7" in toy.snakemake("-n")


def test_reason_names_the_changed_module(toy: Toy) -> None:
    toy.edit("src/toy/arithmetic.py", "a * b", "b * a")
    assert "code: src/toy/arithmetic.py" in toy.ledger("why", "double/b")


def test_equal_bytes_stop_the_cascade(toy: Toy) -> None:
    before = len(list((toy.root / "results/records/double/a").glob("*.json")))
    toy.edit("src/toy/arithmetic.py", "a * b", "b * a")  # same numbers
    toy.edit("stages/double.py", "times(value, 2)", "value + value")
    toy.edit("stages/double.py", "from toy.arithmetic import times\n", "")
    toy.snakemake()
    assert toy.stale() == set()
    records = list((toy.root / "results/records/report/_").glob("*.json"))
    assert len(records) == 1, "report's inputs are the same bytes: it must not rerun"
    assert len(list((toy.root / "results/records/double/a").glob("*.json"))) > before


def test_going_back_computes_nothing(toy: Toy) -> None:
    first = toy.read("results/report/_/report.txt")
    trained = len(toy.trained())
    toy.edit("params.yaml", "a: {value: 1,", "a: {value: 7,")
    toy.snakemake()
    assert len(toy.trained()) == trained + 1
    toy.edit("params.yaml", "a: {value: 7,", "a: {value: 1,")
    toy.snakemake()
    assert len(toy.trained()) == trained + 1, "the earlier bytes must come back"
    assert toy.stale() == set()
    toy.snakemake("results/measure/a/value.txt")
    assert toy.read("results/report/_/report.txt") == first
    assert toy.read("results/measure/a/value.txt") == "10\n"


def test_edit_by_hand_is_found_and_never_used(toy: Toy) -> None:
    (toy.root / "results/measure/a/value.txt").write_text("11\n")
    out = toy.ledger("status", "--verify", check=False)
    assert toy.code == 1
    assert "wrong bytes: measure@a" in out
    toy.edit("stages/double.py", "value, 2", "value, 3")
    toy.snakemake()
    assert "a 30" in toy.read("results/report/_/report.txt")
    assert toy.read("results/measure/a/value.txt") == "10\n", "replaced, not used"


def test_edited_record_is_not_believed(toy: Toy) -> None:
    (path,) = (toy.root / "results/records/measure/a").glob("*.json")
    record = json.loads(path.read_text())
    record["outputs"]["results/measure/a/value.txt"]["md5"] = "0" * 32
    path.write_text(json.dumps(record))
    assert "measure@a" in toy.stale()
    assert "edited by hand" in toy.ledger("why", "measure/a")


def test_other_triggers_are_refused(toy: Toy) -> None:
    shutil.rmtree(toy.root / "workflow" / "profiles")
    out = toy.snakemake("-n", check=False)
    assert toy.code != 0
    assert "records decide what runs" in out


FORCES = ["-F", "-nf", "-Fc2", "-Rmeasure", "--forceall", "--forcer=measure"]


@pytest.mark.parametrize("option", FORCES)
def test_forcing_is_refused(toy: Toy, option: str) -> None:
    out = toy.snakemake(option, check=False)
    assert toy.code != 0
    assert "remove its records (results/records/<stage>/<id>)" in out


def test_files_as_targets_get_the_same_words(toy: Toy) -> None:
    """Reasons, refused triggers and forces do not need a target rule."""
    target = "results/report/_/report.txt"
    profile = toy.root / "workflow/profiles/default/config.yaml"
    profile.write_text(profile.read_text() + "forceall: true\n")
    assert "asks to run valid instances again" in toy.snakemake(target, check=False)
    assert toy.code != 0
    toy.git("checkout", "--", "workflow")
    toy.edit("params.yaml", "a: {value: 1,", "a: {value: 7,")
    other = ("--rerun-triggers", "mtime", "params", "--", target)
    assert "records decide what runs" in toy.snakemake(*other, check=False)
    assert "measure.a.value: 1 -> 7" in toy.snakemake("-n", target)


@pytest.mark.slow
def test_what_lost_its_records_runs_again(toy: Toy) -> None:
    before = toy.read("results/measure/b/value.txt")
    shutil.rmtree(toy.root / "results/records/measure/b")
    assert "measure@b" in toy.stale()
    toy.snakemake()
    assert toy.read("results/measure/b/value.txt") == before
    assert toy.stale() == set()


def test_job_without_recipe_refuses(toy: Toy) -> None:
    out = toy.run(
        "env", "RUNLEDGER_VERDICTS=x", "python", "stages/measure.py", "a", check=False
    )
    assert toy.code == 1
    assert "without a frozen recipe" in out


def test_recipe_without_the_plan_of_a_head_refuses(toy: Toy) -> None:
    """It cannot be checked against anything, and it is not "nothing to do"."""
    recipe = next((toy.root / "results/recipes/measure/a").iterdir())
    program = ("python", "stages/measure.py", "--recipe", str(recipe))
    out = toy.run("env", "-u", "RUNLEDGER_VERDICTS", *program, check=False)
    assert toy.code == 1
    assert "runs only as a job that snakemake started" in out


@pytest.mark.slow
def test_two_bundled_instances_equal_single_ones(toy: Toy, empty: Toy) -> None:
    empty.snakemake("--config", "bundle=3")
    assert (empty.root / "results/logs/measure/measure_1of1.log").exists()
    for id in "abc":
        name = f"results/measure/{id}/value.txt"
        assert empty.read(name) == toy.read(name)
    assert empty.stale() == set()
    assert "raw output of measure_1of1" in empty.ledger("logs", "measure/b")
    assert "raw output of" not in empty.ledger("logs", "double/b")
    keys = {p.stem for p in (toy.root / "results/records").rglob("*.json")}
    assert keys == {p.stem for p in (empty.root / "results/records").rglob("*.json")}


@pytest.mark.slow
def test_failure_of_one_keeps_the_others(empty: Toy) -> None:
    empty.edit("params.yaml", "b: {value: 4,", "b: {value: x,")
    empty.edit("src/toy/arithmetic.py", "return a * b", "return int(a) * b")
    empty.snakemake("--config", "bundle=3", "--keep-going", check=False)
    assert empty.code != 0
    rows = json.loads(empty.ledger("status", "--json"))
    states = {row["instance"]: row for row in rows}
    assert "ValueError" in states["measure@b"]["failed"]
    assert states["measure@a"]["verdict"] == states["measure@c"]["verdict"] == "valid"
    empty.edit("params.yaml", "b: {value: x,", "b: {value: 4,")
    empty.snakemake()
    assert sorted(empty.trained()) == ["a", "b", "c"], "a and c must not run twice"


@pytest.mark.slow
def test_what_failed_does_not_hold_up_the_others_again(empty: Toy) -> None:
    empty.edit("params.yaml", "b: {value: 4,", "b: {value: x,")
    empty.edit("src/toy/arithmetic.py", "return a * b", "return int(a) * b")
    empty.snakemake("--config", "bundle=3", "--keep-going", check=False)
    empty.edit("params.yaml", "a: {value: 1,", "a: {value: 2,")
    empty.edit("params.yaml", "c: {value: 3,", "c: {value: 5,")
    empty.snakemake("--config", "bundle=3", "--keep-going", check=False)
    assert empty.code != 0
    assert empty.stale() == {"measure@b", "double@b", "report"}


def test_an_output_added_to_dvc_yaml_is_missed(toy: Toy) -> None:
    place = "    outs:\n      - results/report/_/report.txt"
    more = place.replace("report.txt", "more.txt: {cache: false}")
    toy.edit("dvc.yaml", place, f"{more}\n{place.splitlines()[1]}")
    assert toy.stale() == {"report"}
    assert "the outputs declared in dvc.yaml changed" in toy.ledger("why", "report")


def test_a_job_refuses_an_input_of_an_earlier_recipe(toy: Toy) -> None:
    """The bytes are recorded, but not as what is planned now."""
    toy.edit("params.yaml", "a: {value: 1,", "a: {value: 7,")
    before = set((toy.root / "results").rglob("*.json"))
    toy.snakemake("-n")
    planned = set((toy.root / "results").rglob("*.json")) - before
    (recipe,) = [p for p in planned if "recipes/double/a/" in str(p)]
    (verdicts,) = [p for p in planned if p.parent.name == "verdicts"]
    environment = f"RUNLEDGER_VERDICTS={verdicts.relative_to(toy.root)}"
    program = ("python", "stages/double.py", "--recipe", str(recipe))
    out = toy.run("env", environment, *program, check=False)
    assert toy.code == 1
    assert "an input of double@a is not what measure@a recorded" in out


@pytest.mark.slow
def test_adopted_bytes_stay_visible(toy: Toy) -> None:
    toy.edit("src/toy/arithmetic.py", "a * b", "b * a")
    assert "needs a reason" in toy.ledger(
        "adopt", "measure/a", "--reason", " ", check=False
    )
    toy.ledger("adopt", "measure/a", "--reason", "products commute")
    assert "measure@a" not in toy.stale()
    rows = {r["instance"]: r for r in json.loads(toy.ledger("status", "--json"))}
    adoption = rows["measure@a"]["adoption"]
    assert adoption["reason"] == "products commute"
    assert adoption["made_with"]["key"] != adoption["made_with"]["recipe"]["code"]
    assert rows["double@a"]["adopted"] == ["measure@a"]
    trained = len(toy.trained())
    toy.snakemake()
    assert len(toy.trained()) == trained + 2, "b and c ran, a was adopted"
    rows = {r["instance"]: r for r in json.loads(toy.ledger("status", "--json"))}
    assert rows["report"]["adopted"] == ["measure@a"]


def test_adopt_refuses_unknown_bytes(toy: Toy) -> None:
    toy.edit("src/toy/arithmetic.py", "a * b", "b * a")
    (toy.root / "results/measure/a/value.txt").write_text("12\n")
    out = toy.ledger("adopt", "measure/a", "--reason", "x", check=False)
    assert toy.code == 1
    assert "no record of this instance describes the bytes" in out


def test_a_reader_that_leaves_early_is_no_error(empty: Toy) -> None:
    out = empty.run("bash", "-c", "python -m runledger status | true", check=False)
    assert "Traceback" not in out
    assert "BrokenPipe" not in out
