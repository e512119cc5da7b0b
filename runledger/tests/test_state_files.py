"""State files that a crash cut short, a disk filled up, or that simply are gone.

What is derived is made anew; what is not (a record) is refused by its name.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from machine import unavailable
from toy import Toy

from runledger import execution, legs, progress, queue
from runledger.audit import Chain, audit_chain
from runledger.canonical import digest, read_named, write_atomic, write_once
from runledger.dvclock import settle
from runledger.errors import UserError
from runledger.execution import Context, failure
from runledger.fingerprint import Fingerprinter
from runledger.pipeline import Instance
from runledger.project import load_pipeline
from runledger.recipes import snapshot_code
from runledger.records import Record, Records
from runledger.status import status

DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda data: b"",
    "half": lambda data: data[: len(data) // 2],
    "zeros": lambda data: bytes(len(data)),
    "not text": lambda data: b"\xff\xfe" + data[2:],
    "another": lambda data: b"[1, 2]\n",
}
some = pytest.mark.parametrize("kind", ["empty", "half", "zeros"])
damaged = pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)


def spoil(path: Path, damage: Callable[[bytes], bytes]) -> None:
    data = path.read_bytes()
    path.chmod(0o644)
    path.write_bytes(damage(data))


def state_files(toy: Toy) -> list[Path]:
    """All that is derived or private, and the files that hold code's fingerprints."""
    folders = ("results/.state", "results/recipes", "results/code", "results/logs")
    found = [p for f in folders for p in (toy.root / f).rglob("*") if p.is_file()]
    return [*found, toy.root / "dvc.lock"]


# -- everything at once, and the same command again


@pytest.fixture(scope="module")
def planned(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished checkout that was edited: planned, with a failed and a killed job."""
    root = tmp_path_factory.mktemp("planned") / "project"
    subprocess.run(["cp", "-a", str(finished), str(root)], check=True)
    toy = Toy(root)
    toy.edit("params.yaml", "a: {value: 1, sleep: 0}", "a: {value: 7, sleep: 0.5}")
    toy.edit("params.yaml", "title: numbers", "title: sevens")
    (root / "results/double/b/value.txt").unlink()  # to be fetched: a ticket
    toy.snakemake("-n")
    toy.edit("params.yaml", "sleep: 0.5", "sleep: 30")
    program = [sys.executable, "stages/measure.py", "a"]
    job = subprocess.Popen(program, cwd=root, env=toy.environment(), stderr=-1)
    while not list((root / "results/.state/runs").rglob(legs.FILE)):
        time.sleep(0.05)
    time.sleep(0.2)
    job.kill()
    job.communicate()
    toy.edit("params.yaml", "sleep: 30", "sleep: 0.5")
    context, pipeline = Context(root), load_pipeline(root)
    (recipe,) = context.recipes("measure", ["a"], [])
    context.note_failure(recipe, ValueError("once"))
    queue.write_label(root, ["results/recipes/measure/a/x.json"])
    write_atomic(next((root / "results/.state/runs").iterdir()) / "seconds", "1.5")
    assert pipeline.instances
    return root


@pytest.fixture
def spoilt(planned: Path, tmp_path: Path) -> Iterator[Toy]:
    root = tmp_path / "project"
    subprocess.run(["cp", "-a", str(planned), str(root)], check=True)
    yield Toy(root)


@pytest.mark.parametrize(
    "kind",
    [
        "half",
        *(pytest.param(k, marks=pytest.mark.thorough) for k in ("empty", "zeros")),
    ],
)
def test_the_same_command_goes_on_whatever_was_cut_short(
    spoilt: Toy, kind: str
) -> None:
    files = state_files(spoilt)
    parts = {p.relative_to(spoilt.root / "results").parts[:2] for p in files[:-1]}
    kinds = {"/".join(part[: 2 if part[0] == ".state" else 1]) for part in parts}
    expected = "code hashes labels leases plans runs sources tickets verdicts failures"
    expected = {f".state/{kind}" for kind in expected.split()}
    assert expected | {"recipes", "code", "logs"} <= kinds, "the test tests too little"
    for path in files:
        spoil(path, DAMAGE[kind])
    for command in (["status"], ["why"], ["progress"], ["logs", "measure/a"]):
        assert "Traceback" not in spoilt.ledger(*command, check=False)
    out = spoilt.snakemake()
    assert "Traceback" not in out
    assert spoilt.read("results/report/_/report.txt") == "sevens\na 140\nb 80\nc 60\n"
    assert spoilt.stale() == set()
    assert "up to date" in spoilt.dvc("status")
    assert {row["bytes"] for row in status(spoilt.root)} == {"present"}


def test_the_same_command_goes_on_after_all_state_is_gone(spoilt: Toy) -> None:
    for path in state_files(spoilt):
        path.unlink()
    spoilt.snakemake()
    assert spoilt.read("results/report/_/report.txt") == "sevens\na 140\nb 80\nc 60\n"
    assert "up to date" in spoilt.dvc("status")


# -- records are no derived state


@damaged
def test_a_record_cut_short_is_told_from_the_others(toy: Toy, damage) -> None:
    (path,) = (toy.root / "results/records/measure/b").glob("*.json")
    spoil(path, damage)
    name = path.relative_to(toy.root).as_posix()
    rows = {row["instance"]: row for row in status(toy.root)}
    assert "its record cannot be used" in rows["measure@b"]["reasons"][0]
    assert rows["measure@a"]["verdict"] == rows["double@c"]["verdict"] == "valid"
    assert settle(toy.root)["valid"] == 7
    kinds = {f.kind for f in audit_chain(Chain(toy.root)) if f.subject == name}
    assert kinds & {"broken record", "edited record"}


def test_a_record_cut_short_is_refused_by_name_and_stops_nothing_else(toy: Toy) -> None:
    (path,) = (toy.root / "results/records/measure/b").glob("*.json")
    whole, name = path.read_bytes(), path.relative_to(toy.root).as_posix()
    spoil(path, DAMAGE["half"])
    toy.edit("params.yaml", "c: {value: 3,", "c: {value: 5,")
    out = toy.snakemake("--keep-going", check=False)
    assert toy.code == 1
    assert name in out
    assert "git checkout -- FILE" in out
    assert toy.read("results/double/c/value.txt") == "100\n", "the others go on"
    path.write_bytes(whole)
    toy.snakemake()
    assert toy.read("results/report/_/report.txt") == "numbers\na 20\nb 80\nc 100\n"
    assert sorted(toy.trained()) == ["a", "b", "c", "c"]


# -- one by one


@damaged
def test_a_content_addressed_file_is_written_again(tmp_path: Path, damage) -> None:
    content = {"a": [1, 2], "b": "ü"}
    path = tmp_path / f"{digest(content)}.json"
    text = json.dumps(content)
    write_once(path, text)
    spoil(path, damage)
    with pytest.raises(UserError, match="the thing is missing or was changed") as told:
        read_named(path, "the thing")
    assert path.name in str(told.value)
    write_once(path, text)
    assert read_named(path, "the thing") == content
    before = path.stat().st_ino
    write_once(path, text)
    assert path.stat().st_ino == before, "a whole one is left alone"


@damaged
def test_a_snapshot_of_code_is_mended(tmp_path: Path, damage) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src/one.py").write_text("x = 1\n", encoding="utf-8")
    (tmp_path / "src/two.py").write_text("y = 2\n", encoding="utf-8")
    snapshot = tmp_path / snapshot_code(tmp_path, Fingerprinter(tmp_path))
    spoil(snapshot / "src/one.py", damage)
    (snapshot / "src/two.py").unlink()
    assert tmp_path / snapshot_code(tmp_path, Fingerprinter(tmp_path)) == snapshot
    assert (snapshot / "src/one.py").read_text("utf-8") == "x = 1\n"
    assert (snapshot / "src/two.py").read_text("utf-8") == "y = 2\n"


@damaged
def test_a_remembered_digest_of_source_is_not_believed(tmp_path: Path, damage) -> None:
    (tmp_path / "stages").mkdir()
    (tmp_path / "stages/one.py").write_text("import json\nx = 1\n", encoding="utf-8")
    first = Fingerprinter(tmp_path).modules("stages/one.py")
    (memory,) = (tmp_path / "results/.state/sources").rglob("*.json")
    whole = memory.read_bytes()
    spoil(memory, damage)
    assert Fingerprinter(tmp_path).modules("stages/one.py") == first
    assert memory.read_bytes() == whole
    memory.write_bytes(whole.replace(b"0", b"1"))
    assert Fingerprinter(tmp_path).modules("stages/one.py") == first


@damaged
def test_a_note_of_a_failure_is_forgotten(tmp_path: Path, damage) -> None:
    path = tmp_path / "results/.state/failures/measure@a.json"
    write_atomic(path, json.dumps({"frozen": "f", "reason": "once", "where": ""}))
    assert failure(tmp_path, "measure@a", "f") == "once"
    spoil(path, damage)
    assert failure(tmp_path, "measure@a", "f") is None


@damaged
def test_lines_of_legs_cut_short_cost_only_themselves(tmp_path: Path, damage) -> None:
    legs.begin(tmp_path, "measure@a")
    legs.end(tmp_path, "", "stopped")
    spoil(tmp_path / legs.FILE, damage)
    legs.begin(tmp_path, "measure@a")
    legs.end(tmp_path, "", "done")
    last = legs.read(tmp_path)[-1]
    assert last["outcome"] == "done"
    assert last["end"] is not None


@damaged
def test_a_job_whose_legs_and_times_were_cut_short_is_recorded(
    toy: Toy, damage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They must not fail a job that computed for days."""
    from runledger.job import Job

    toy.edit("params.yaml", "title: numbers", "title: days")
    context = Context(toy.root)
    (recipe,) = context.recipes("report", [], [])
    job = Job(context, recipe)
    assert job.open()
    write_atomic(job.state / "seconds", "7.0")
    job.output("report.txt").write_text("days\n", encoding="utf-8")
    for path in job.state.glob("*"):
        if path.is_file():
            spoil(path, damage)
    job.finish()
    record = Records(toy.root).history("report", "")[-1]
    assert record.recipe["params"]["report"]["title"] == "days"
    assert record.run["start"] <= record.run["end"]
    assert toy.stale() == set()


def test_a_record_without_an_end_sorts_with_the_others(tmp_path: Path) -> None:
    records, instance = Records(tmp_path), Instance("x", "x", "", "", (), (), ())
    for key, end in (("a", None), ("b", "2026"), ("c", "2025")):
        records.write(instance, Record("x", key, {}, {}, {}, {}, {"end": end}))
    assert [record.key for record in records.history("x", "")] == ["a", "c", "b"]


@damaged
def test_progress_cut_short_is_shown_as_far_as_it_goes(tmp_path: Path, damage) -> None:
    folder = tmp_path / "results/.state/progress/measure"
    folder.mkdir(parents=True)
    path = folder / "a.jsonl"
    legs.append(path, {"time": 1.0, "step": 5, "of": 10})
    spoil(path, damage)
    legs.append(path, {"time": 2.0, "step": 6, "of": 10})
    assert progress._last(tmp_path, "measure@a")["step"] == 6
    with open(path, "ab") as file:
        file.write(b'{"time": 3.0, "st')
    assert progress._last(tmp_path, "measure@a")["step"] == 6


# -- a full disk

FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """A function after whose call no file with such words in its path is written."""

    def fill(*words: str) -> None:
        real_open = open

        def hit(path: object) -> bool:
            return any(word in str(path) for word in words)

        def opened(path: object, mode: str = "r", *rest: object, **options: object):
            if set(mode) & set("wax+") and hit(path):
                raise FULL
            return real_open(path, mode, *rest, **options)

        monkeypatch.setattr("builtins.open", opened)
        monkeypatch.setattr("io.open", opened)

    return fill


@pytest.mark.parametrize("folder", ["hashes", "sources"])
def test_what_is_only_remembered_needs_no_room(toy: Toy, full, folder: str) -> None:
    subprocess.run(["rm", "-r", toy.root / "results/.state" / folder], check=True)
    full(f".state/{folder}")
    assert {row["bytes"] for row in status(toy.root)} == {"present"}
    left = (toy.root / "results/.state" / folder).rglob("*")
    assert not [path for path in left if path.is_file()]


@pytest.mark.parametrize(
    "where",
    ["records/report", ".state/runs", ".state/leases", "code"],
)
def test_a_full_disk_is_one_clear_error_and_nothing_is_recorded(
    toy: Toy, full, where: str, capfd: pytest.CaptureFixture
) -> None:
    from runledger.job import Job, _guard

    toy.edit("params.yaml", "title: numbers", "title: full")
    context = Context(toy.root)
    if where == "code":
        toy.edit("src/toy/arithmetic.py", "exact", "as exact as can be")
        full("results/.state/code")
        with pytest.raises(UserError, match="the disk is full"):
            snapshot_code(toy.root, Fingerprinter(toy.root))
        return
    (recipe,) = context.recipes("report", [], [])

    def make(job: Job) -> None:
        job.output("report.txt").write_text("full\n", encoding="utf-8")

    job = Job(context, recipe)
    full(where)
    assert not (_guard(job, job.open) and _guard(job, lambda: job.make(make)))
    assert job.status == "failed"
    err = capfd.readouterr().err
    assert "the disk is full" in err
    assert "free space" in err
    assert "Traceback" not in err
    assert len(Records(toy.root).history("report", "")) == 1
    assert not list((toy.root / "results/.state/leases").glob("*"))


@pytest.mark.parametrize("where", [".state/failures", "legs.jsonl", ".state/progress"])
def test_what_tells_how_a_job_went_may_fail_and_the_others_go_on(
    toy: Toy, full, where: str, capfd: pytest.CaptureFixture
) -> None:
    from runledger.job import Job, _guard

    toy.edit("params.yaml", "scale: 10", "scale: 2")
    context = Context(toy.root)
    jobs = [Job(context, r) for r in context.recipes("measure", ["a", "b"], [])]
    assert [_guard(job, job.open) for job in jobs] == [True, True]
    full(where)

    def fail(job: Job) -> None:
        raise ValueError("no number")

    def make(job: Job) -> None:
        job.progress(step=1, of=2)
        job.output("value.txt").write_text("2\n", encoding="utf-8")

    _guard(jobs[0], lambda: jobs[0].make(fail))
    _guard(jobs[1], lambda: jobs[1].make(make))
    assert "no number" in capfd.readouterr().err
    ends = ["failed", "failed" if where == "legs.jsonl" else "done"]
    assert [job.status for job in jobs] == ends
    assert not list((toy.root / "results/.state/leases").glob("*"))


@pytest.mark.parametrize("folder", ["results/.state", "results/recipes"])
def test_a_small_disk_that_fills_up(toy: Toy, folder: str) -> None:
    """A real one: the head says it; with room again the same command completes."""
    place = toy.root / folder
    kept = place.with_name("kept")
    place.rename(kept)
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(place)]
    if subprocess.run(mount, capture_output=True).returncode:
        unavailable("needs the right to mount a small tmpfs")
    try:
        filler = place / "filler"
        with open(filler, "wb", buffering=0) as file, pytest.raises(OSError):
            while True:
                file.write(bytes(512))
        toy.edit("params.yaml", "title: numbers", "title: room")
        out = toy.snakemake(check=False)
        assert toy.code == 1
        assert "the disk is full" in out
        assert "free space" in out
        filler.unlink()
        subprocess.run(["mount", "-o", "remount,size=8m", str(place)], check=True)
        toy.snakemake()
        assert toy.read("results/report/_/report.txt").startswith("room\n")
        assert toy.stale() == set()
    finally:
        subprocess.run(["umount", str(place)], check=True)


def test_signals_are_not_held_by_these_tests() -> None:
    """`Job` in this process must not have left handlers behind."""
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    assert execution.VERDICTS not in os.environ
