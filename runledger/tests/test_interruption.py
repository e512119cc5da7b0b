"""Kills, edits while jobs run, two heads at once, a full disk, a remote over SSH."""

from __future__ import annotations

import getpass
import hashlib
import json
import os
import random
import signal
import subprocess
import time
from pathlib import Path

import kills
import pytest
from machine import require, unavailable
from toy import Toy, jobs_of

from runledger.canonical import pretty
from runledger.records import Record

ROUNDS = int(os.environ.get("KILL_ROUNDS", "12"))


def slow(toy: Toy, seconds: float, ids: str = "abc") -> None:
    """Let measurements take some time."""
    for value, id in zip((1, 4, 3), "abc", strict=True):
        if id in ids:
            toy.edit(
                "params.yaml",
                f"{id}: {{value: {value}, sleep: 0}}",
                f"{id}: {{value: {value}, sleep: {seconds}}}",
            )


def wait_for(condition, seconds: float = 60) -> None:
    """Wait until something is true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "timed out"
        time.sleep(0.05)


def said(toy: Toy, words: str) -> int:
    """How many measurements' logs have these words."""
    logs = (toy.root / "results/logs/measure").glob("*.log")
    return sum(words in log.read_text() for log in logs)


def test_edits_while_jobs_run_do_not_reach_them(empty: Toy) -> None:
    slow(empty, 60, "a")
    process = empty.start()
    wait_for(lambda: jobs_of(empty, "measure", "double"))
    empty.edit("params.yaml", "a: {value: 1,", "a: {value: 7,")
    empty.edit("src/toy/arithmetic.py", "return a * b", "return a * b + 1")
    empty.wake()
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 0, out
    assert empty.read("results/report/_/report.txt") == "numbers\na 20\nb 80\nc 60\n"
    for path in (empty.root / "results/records/measure/a").glob("*.json"):
        record = json.loads(path.read_text())
        assert record["recipe"]["params"]["measure.a"]["value"] == 1
    assert {"measure@a", "measure@b", "report"} <= empty.stale()
    empty.edit("params.yaml", "a: {value: 7,", "a: {value: 1,")
    empty.edit("src/toy/arithmetic.py", "return a * b + 1", "return a * b")
    assert empty.stale() == set()


def test_input_changed_under_a_job_fails_it(empty: Toy) -> None:
    slow(empty, 60, "a")
    process = empty.start()
    log = empty.root / "results" / "logs" / "measure" / "a.log"
    wait_for(lambda: log.exists() and "start measure@a" in log.read_text())
    empty.edit("data.txt", "1", "2")
    empty.wake()
    out, _ = process.communicate(timeout=120)
    assert process.returncode != 0
    assert "an input changed while the job ran" in out
    assert not list((empty.root / "results/records/measure").glob("a/*.json"))
    assert not (empty.root / "results/measure/a/value.txt").exists()


STEPS = '''
"""Measure, in ten steps; the fifth waits."""
import _path  # noqa
import time
from toy.arithmetic import times
from runledger.job import Interrupted, main

def run(job):
    value, state = job.params["measure"][job.id]["value"], job.state / "steps"
    step, total = map(int, state.read_text().split()) if state.exists() else (0, 0)
    while step < 10:
        total += times(value, step)
        step += 1
        with open(job.root / "trained.log", "a") as log:
            log.write(f"{step}\\n")
        woken = job.root / "results/.state/woken"
        while step == 5 and not woken.exists() and not job.stop_requested():
            time.sleep(0.02)
        if job.stop_requested():
            state.write_text(f"{step} {total}")
            raise Interrupted
    job.output("value.txt").write_text(f"{total}\\n")

if __name__ == "__main__":
    main("measure", run)
'''


def test_a_job_that_was_stopped_goes_on_from_its_state(empty: Toy) -> None:
    (empty.root / "stages/measure.py").write_text(STEPS)
    target = "results/measure/c/value.txt"
    process = empty.start(target)
    log = empty.root / "trained.log"
    wait_for(lambda: log.exists() and log.read_text().endswith("5\n"))
    for job in jobs_of(empty, "measure"):
        os.kill(job, signal.SIGTERM)
    out, _ = process.communicate(timeout=120)
    assert process.returncode != 0, out
    assert empty.trained() == [str(step) for step in range(1, 6)]
    (state,) = (empty.root / "results/.state").rglob("steps")
    assert state.read_text() == "5 30"
    assert not list((empty.root / "results/records/measure").rglob("*.json"))
    empty.wake()
    empty.snakemake(target)
    assert empty.trained() == [str(step) for step in range(1, 11)], "none of them twice"
    assert empty.read(target) == f"{3 * sum(range(10))}\n"
    (record,) = (empty.root / "results/records/measure").rglob("*.json")
    assert len(json.loads(record.read_text())["run"]["legs"]) == 2
    assert not state.exists(), "it is dropped once the result is there"


def test_second_head_says_who_runs(empty: Toy) -> None:
    slow(empty, 60)
    process = empty.start()
    wait_for(lambda: jobs_of(empty, "measure", "double"))
    out = empty.snakemake(check=False)
    assert empty.code != 0
    assert f"process {process.pid} on" in out
    assert "another snakemake runs in this checkout" in out
    empty.wake()
    process.communicate(timeout=120)
    assert process.returncode == 0
    assert sorted(empty.trained()) == ["a", "b", "c"]


def test_orphan_of_a_killed_head_is_waited_for(empty: Toy) -> None:
    slow(empty, 60)
    process = empty.start()
    wait_for(lambda: said(empty, "start measure@") >= 2)
    process.kill()
    process.wait()
    assert jobs_of(empty, "measure", "double"), "jobs outlive their head"
    process = empty.start()
    wait_for(lambda: said(empty, "waiting for process") >= 2)
    empty.wake()
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 0, out
    assert sorted(empty.trained()) == ["a", "b", "c"], "nothing may train twice"
    assert empty.stale() == set()


@pytest.mark.slow
@pytest.mark.thorough
def test_random_kills_then_the_same_command_completes(tmp_path: Path) -> None:
    """Kill -9 of jobs, heads and transfers; `make test-long` does it 1,000 times."""
    folder = tmp_path / "kills"
    met = [row["met"] for row in kills.rounds(folder, ROUNDS)]
    assert sum(met) > ROUNDS / 3, "most kills must meet something"
    kills.Lab(folder).complete()


def test_what_the_kills_look_at_is_seen(toy: Toy) -> None:
    """The looking itself: one wrong number, one half object, one record gone."""
    lab = kills.Lab(toy.root.parent)
    toy.clone("other").ledger("settle")
    (toy.root.parent / "lab/files/md5").mkdir(parents=True)
    assert lab.look() == {"wrong": [], "lost": []}
    (record,) = (toy.root / "results/records/measure/a").glob("*.json")
    (value,) = kills.objects(toy.root)[:1]
    data, text = value.read_bytes(), record.read_bytes()
    value.chmod(0o644)
    value.write_bytes(b"")
    assert "not what it is named by" in lab.look()["wrong"][0]
    value.unlink()
    assert "are nowhere" in lab.look()["lost"][0]
    value.write_bytes(data)
    record.unlink()
    assert lab.look()["lost"] == [f"{record.relative_to(toy.root)} is gone"]
    record.write_bytes(text)
    assert lab.look() == {"wrong": [], "lost": []}
    lab.checked.clear()
    known = json.loads(text)
    (out,) = known["outputs"].values()
    out["md5"] = hashlib.md5(b"11\n").hexdigest()
    known.pop("seal")
    known["seal"] = Record(**known, seal="").content_seal()
    record.write_text(pretty(known), encoding="utf-8")
    assert any("has the wrong number" in word for word in lab.look()["wrong"])


def test_full_disk_is_one_clear_error(empty: Toy, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True).returncode:
        unavailable("needs the right to mount a small tmpfs")
    try:
        cache = empty.root / ".dvc" / "cache"
        cache.symlink_to(disk)
        (disk / "filler").write_bytes(b"x" * 64000)
        out = empty.snakemake(check=False)
        assert empty.code != 0
        assert "the disk is full" in out
        assert "free space" in out
        assert not list((empty.root / "results/records").rglob("*.json"))
        assert "Traceback" not in out
        (disk / "filler").unlink()
        empty.snakemake()
        assert empty.stale() == set()
    finally:
        subprocess.run(["umount", str(disk)], check=True)


@pytest.fixture
def sshd(tmp_path: Path):
    """A real sshd on loopback with a key of its own; yields (address, key)."""
    require("ssh-keygen", "/usr/sbin/sshd", install="openssh-server")
    for name in ("host", "user"):
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / name],
            check=True,
        )
    (tmp_path / "authorized").write_text((tmp_path / "user.pub").read_text())
    (tmp_path / "authorized").chmod(0o600)
    port = random.randint(20000, 40000)
    config = tmp_path / "sshd_config"
    config.write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {tmp_path}/host\n"
        f"AuthorizedKeysFile {tmp_path}/authorized\nStrictModes no\nUsePAM no\n"
        f"PidFile {tmp_path}/sshd.pid\nPasswordAuthentication no\n"
        "Subsystem sftp internal-sftp\n"
    )
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    process = subprocess.Popen(["/usr/sbin/sshd", "-D", "-f", config, "-e"])
    time.sleep(1)
    assert process.poll() is None, "sshd did not start"
    yield f"{getpass.getuser()}@127.0.0.1:{port}", tmp_path / "user"
    process.terminate()
    process.wait()


@pytest.mark.thorough
def test_remote_over_ssh(toy: Toy, sshd, tmp_path: Path) -> None:
    address, key = sshd
    url = f"ssh://{address}{tmp_path}/store"
    toy.dvc("remote", "add", "--default", "lab", url)
    toy.dvc("remote", "modify", "lab", "keyfile", str(key))
    assert "sent 6 objects" in toy.ledger("push")
    toy.commit("remote")
    other = toy.clone("other")
    other.edit("params.yaml", "title: numbers", "title: fetched")
    other.snakemake()
    assert "a 20" in other.read("results/report/_/report.txt")
    assert other.trained() == []
    assert "fetched 3 objects" in other.ledger("pull")
    other.dvc("remote", "modify", "lab", "keyfile", str(tmp_path / "host"))
    other.run("rm", "-r", ".dvc/cache", "results/measure")
    out = other.ledger("pull", check=False)
    assert other.code == 1
    assert "cannot be used" in out
    assert "Traceback" not in out
