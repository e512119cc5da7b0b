"""Two machines that share a disk, as far as one machine can be two.

Namespaces give a second machine of one's own: another host name, other process ids, and
a clock that is an hour off. What decides must then be the heartbeat alone.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from machine import unavailable
from toy import Toy

from runledger import headlock, lease
from runledger.canonical import write_atomic
from runledger.errors import UserError
from runledger.headlock import HeadLock
from runledger.lease import Lease

BEAT = 0.1
SPAN = lease.BEATS * BEAT
ELSEWHERE = ["another boot", "pid:[1]"]
NAMESPACES = ["unshare", "--uts", "--pid", "--fork", "--kill-child", "--mount-proc"]
AN_HOUR_AHEAD = """
import time
real, real_ns = time.time, time.time_ns
time.time = lambda: real() + 3600
time.time_ns = lambda: real_ns() + 3600 * 10**9
"""


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "HEARTBEAT", BEAT)


class Elsewhere:
    """The owner of a lease on another machine: beats, stops, or is suspended."""

    def __init__(self, path: Path, clock: float = 0.0) -> None:
        self.path, self.clock = path, clock
        owner = {**lease.whoami(), "place": ELSEWHERE, "host": "elsewhere"}
        write_atomic(path, json.dumps({**owner, "token": "its own"}))
        self.beat()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def beat(self) -> None:
        """A date by its own clock."""
        now = time.time() + self.clock
        os.utime(self.path, (now, now))

    def _run(self) -> None:
        while not self._over.wait(BEAT):
            self.beat()

    def die(self) -> None:
        self._over.set()
        self._thread.join()


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Callable[[float], Elsewhere]]:
    owners = []

    def make(clock: float = 0.0) -> Elsewhere:
        owners.append(Elsewhere(tmp_path / "lease", clock))
        return owners[-1]

    yield make
    for owner in owners:
        owner.die()


@pytest.mark.parametrize("clock", [-3600.0, 0.0, 3600.0])
def test_a_living_owner_keeps_it_whatever_its_clock(elsewhere, clock: float) -> None:
    owner = elsewhere(clock)
    mine = Lease(owner.path)
    with pytest.raises(UserError, match="on elsewhere"):
        mine.acquire(2.5 * SPAN)
    owner.die()
    start = time.monotonic()
    mine.acquire(60)
    assert time.monotonic() - start > SPAN / 2
    assert mine.held()
    mine.release()
    assert not owner.path.exists()


def test_an_owner_elsewhere_is_not_looked_for_among_our_processes(elsewhere) -> None:
    """Its pid may be anybody's here, or nobody's."""
    owner = elsewhere()
    known = json.loads(owner.path.read_bytes())
    for pid in (os.getpid(), 2**22 - 1):
        write_atomic(owner.path, json.dumps({**known, "pid": pid}))
        assert Lease(owner.path).try_acquire() is not None


def test_containers_of_one_machine_have_other_process_ids(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One host name and one boot; the owner's pid is nobody's in here."""
    boot, namespace = lease._place()
    mine = {**lease.whoami(), "pid": 2**22 - 1}
    assert lease.lives(mine) is False
    assert lease.lives({**mine, "place": [boot, "pid:[1]"]}) is None
    assert lease.lives({**mine, "place": ["another boot", namespace]}) is None
    assert lease.lives(lease.whoami()) is True
    assert lease.lives({**lease.whoami(), "started": "1"}) is False, "a pid used again"
    assert lease.lives({"pid": 1}) is None, "a file of another version"


def test_a_process_of_another_user_that_proc_hides(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With hidepid, /proc shows no process of others; it is not therefore dead."""

    def refuse(pid: int, number: int) -> None:
        raise PermissionError if pid == os.getpid() else ProcessLookupError

    monkeypatch.setattr(lease, "_started", lambda pid: None)
    monkeypatch.setattr(os, "kill", refuse)
    assert lease.lives(lease.whoami()) is None
    assert lease.lives({**lease.whoami(), "pid": 2**22 - 1}) is False


def test_of_many_that_find_a_dead_owner_one_takes_over(tmp_path: Path) -> None:
    dead = json.dumps({**lease.whoami(), "pid": 2**22 - 1})
    for round in range(30):
        path = tmp_path / f"{round}.lease"
        write_atomic(path, dead)
        leases = [Lease(path) for _ in range(8)]
        start = threading.Barrier(len(leases))
        taken = []

        def attempt(one: Lease, start=start, taken=taken) -> None:
            start.wait()
            if one.try_acquire() is None:
                taken.append(one)

        threads = [threading.Thread(target=attempt, args=[one]) for one in leases]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        while not taken:  # those that met somebody at work try again
            for one in leases:
                attempt(one, threading.Barrier(1))
        assert len(taken) == 1
        assert [one.held() for one in leases].count(True) == 1
        taken[0].release()
        assert list(tmp_path.iterdir()) == []


def test_a_takeover_that_crashed_does_not_block_for_ever(tmp_path: Path) -> None:
    path = tmp_path / "lease"
    write_atomic(path, json.dumps({**lease.whoami(), "pid": 2**22 - 1}))
    mine = Lease(path)
    _, digest, _ = mine._look()
    (tmp_path / f".lease.{digest}").touch()
    mine.acquire(60)
    assert mine.held()
    mine.release()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"pid": "x"}', "\0\0"])
def test_a_lease_cut_short_is_taken_over_in_time(tmp_path: Path, text: str) -> None:
    path = tmp_path / "lease"
    write_atomic(path, text)
    mine = Lease(path)
    assert mine.try_acquire() is not None
    mine.acquire(60)
    assert mine.held()
    mine.release()


def test_who_was_suspended_too_long_neither_removes_nor_beats_for_the_next(
    tmp_path: Path,
) -> None:
    mine = Lease(tmp_path / "lease")
    assert mine.try_acquire() is None
    other = Elsewhere(tmp_path / "lease")
    try:
        text = other.path.read_bytes()
        deadline = time.monotonic() + 60
        while not mine.lost:
            assert time.monotonic() < deadline
            time.sleep(BEAT / 4)
        assert not mine.held()
        mine.release()
        assert other.path.read_bytes() == text
    finally:
        other.die()


def test_a_lease_whose_folder_was_emptied_is_written_again(tmp_path: Path) -> None:
    mine = Lease(tmp_path / "lease")
    assert mine.try_acquire() is None
    mine.path.unlink()
    deadline = time.monotonic() + 60
    while not mine.held():
        assert time.monotonic() < deadline
        time.sleep(BEAT / 4)
    assert not mine.lost
    mine.release()


def test_head_of_another_machine(tmp_path: Path, capsys) -> None:
    path = tmp_path / "results/.state/head.lease"
    owner = Elsewhere(path, clock=3600)
    try:
        with pytest.raises(UserError, match=r"another snakemake runs .* on elsewhere"):
            HeadLock(tmp_path).acquire()
    finally:
        owner.die()
    lock = HeadLock(tmp_path)
    lock.acquire()
    assert "looking for" in capsys.readouterr().err
    with pytest.raises(UserError, match=f"process {os.getpid()} on"):
        HeadLock(tmp_path).acquire()
    lock.release()
    assert not path.exists()


def test_a_disk_without_advisory_locks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSYS, "not implemented")

    monkeypatch.setattr(headlock.fcntl, "flock", refuse)
    lock = HeadLock(tmp_path)
    lock.acquire()
    with pytest.raises(UserError, match="another snakemake runs"):
        HeadLock(tmp_path).acquire()
    lock.release()
    HeadLock(tmp_path).acquire()
    assert fcntl  # the test's own name for the module that was patched


# -- with namespaces


def machine(toy: Toy, name: str, *command: str) -> subprocess.Popen:
    """Start a command of the checkout on a machine of its own, an hour ahead."""
    clock = toy.root.parent / "clock"
    write_atomic(clock / "sitecustomize.py", AN_HOUR_AHEAD)
    environment = toy.environment()
    environment["PYTHONPATH"] = f"{clock}:{environment['PYTHONPATH']}"
    script = 'hostname "$0" && exec "$@"'
    if subprocess.run([*NAMESPACES, "true"], capture_output=True).returncode:
        unavailable("needs the right to make namespaces (unshare)")
    return subprocess.Popen(
        [*NAMESPACES, "sh", "-c", script, name, *command],
        cwd=toy.root,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        start_new_session=True,
    )


def measure(toy: Toy, name: str) -> subprocess.Popen:
    return machine(toy, name, sys.executable, "stages/measure.py", "a")


def log_says(toy: Toy, text: str) -> None:
    log = toy.root / "results/logs/measure/a.log"
    deadline = time.monotonic() + 120
    while not (log.exists() and text in log.read_text("utf-8")):
        assert time.monotonic() < deadline, f"{text!r} is not in the log"
        time.sleep(0.05)


@pytest.fixture
def slow(empty: Toy) -> Toy:
    """A checkout whose instance `a` takes 12 seconds, longer than eight beats."""
    empty.edit("params.yaml", "a: {value: 1, sleep: 0}", "a: {value: 1, sleep: 12}")
    for stage in ("measure", "double", "report"):
        empty.run("python", "stages/fingerprint_code.py", stage)
    return empty


def test_the_second_machine_is_another(empty: Toy) -> None:
    program = (
        "import os, socket, time; from runledger import lease; "
        "print(socket.gethostname(), os.getpid(), lease._place()[1], "
        "round((time.time() - os.stat('trace').st_mtime) / 3600))"
    )
    (empty.root / "trace").touch()
    out = machine(empty, "two", sys.executable, "-c", program).communicate()[0]
    host, pid, namespace, hours = out.split()
    assert (host, pid, hours) == ("two", "1", "1")
    assert namespace != lease._place()[1]


def test_two_machines_do_not_make_the_same_thing(slow: Toy) -> None:
    """The second waits, longer than a dead owner's heartbeat may stand still."""
    first = measure(slow, "one")
    log_says(slow, "start measure@a")
    second = measure(slow, "two")
    log_says(slow, "waiting for process")
    assert first.communicate(timeout=120)[0].count("done in") == 1
    out = second.communicate(timeout=120)[0]
    assert (first.returncode, second.returncode) == (0, 0), out
    assert "waiting for process 1 on one" in out
    assert "a record matches: nothing to compute" in out
    assert slow.trained() == ["a"]
    (record,) = (slow.root / "results/records/measure/a").glob("*.json")
    assert json.loads(record.read_bytes())["run"]["host"] == "one"


def test_the_work_of_a_machine_that_died_is_taken_over(slow: Toy) -> None:
    first = measure(slow, "one")
    log_says(slow, "start measure@a")
    # Held open, the number of its namespace is not given to the second machine, which
    # would then know at once, and rightly, that the first is dead.
    with open(f"/proc/{first.pid}/ns/pid_for_children"):
        os.killpg(first.pid, signal.SIGKILL)
        first.communicate()
        slow.edit("params.yaml", "sleep: 12", "sleep: 12.0")  # the same value
        start = time.monotonic()
        second = measure(slow, "two")
        out = second.communicate(timeout=180)[0]
    assert second.returncode == 0, out
    assert "waiting for process 1 on one" in out
    assert time.monotonic() - start > lease.BEATS * 1.0, "the beat is 1 s here"
    assert slow.trained() == ["a"]
    assert slow.stale() == {"double@a", "measure@b", "measure@c", "double@b"} | {
        "double@c",
        "report",
    }


def test_a_head_with_another_clock_runs_to_the_end(toy: Toy) -> None:
    """Recipes are dated by the disk's clock, or Snakemake finds results too old."""
    (record,) = (toy.root / "results/records/report/_").glob("*.json")
    record.unlink()
    snakemake = str(Path(sys.executable).parent / "snakemake")
    head = machine(toy, "ahead", snakemake, "--cores", "2")
    out = head.communicate(timeout=300)[0]
    assert head.returncode == 0, out
    assert record.exists()
    assert toy.stale() == set()
