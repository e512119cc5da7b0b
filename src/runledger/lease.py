"""Exclusion: one job per recipe key, one head per checkout; both survive kill -9."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import threading
import time
import uuid
from pathlib import Path
from typing import Any

from runledger.canonical import disk_error
from runledger.errors import UserError
from runledger.legs import job_id

HEARTBEAT = float(os.environ.get("RUNLEDGER_HEARTBEAT", "15"))  # seconds


def _started(pid: int) -> str | None:
    """Return a process's start time in clock ticks; None if there is none."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] == "Z" else fields[19]


def whoami() -> dict[str, Any]:
    """Describe this process: host, pid, its start, and the cluster's job id."""
    job = job_id()
    pid = os.getpid()
    return {
        "host": socket.gethostname(),
        "pid": pid,
        "started": _started(pid),
        "job_id": job,
    }


class Lease:
    """A file that says who works on something, with a heartbeat.

    Held by a process of this host: decided by whether that process lives. Held from
    another host: decided by whether the heartbeat is younger than eight beats.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self._stop = threading.Event()

    def holder(self) -> dict[str, Any] | None:
        """Return who holds it now; None if nobody alive does."""
        try:
            owner = json.loads(self.path.read_bytes())
            age = time.time() - self.path.stat().st_mtime
        except FileNotFoundError:
            return None
        except ValueError:  # caught between creation and first write
            owner, age = {}, time.time() - self.path.stat().st_mtime
        if owner.get("host") == socket.gethostname():
            alive = _started(owner["pid"]) == owner["started"]
        else:
            alive = age < 8 * HEARTBEAT
        return owner if alive else None

    def try_acquire(self) -> dict[str, Any] | None:
        """Take it; returns None when taken, else who holds it."""
        if self.path.exists():
            owner = self.holder()
            if owner is not None:
                return owner
            try:  # only one of several that see a dead owner wins this rename
                grave = self.path.with_name(f".{uuid.uuid4().hex}.dead")
                os.rename(self.path, grave)
                grave.unlink()
            except FileNotFoundError:
                pass
        draft = self.path.with_name(f".{uuid.uuid4().hex}.lease")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            draft.write_text(json.dumps(whoami()), "utf-8")
            os.link(draft, self.path)  # fails if somebody else was faster
        except FileExistsError:
            return self.holder() or {"host": "another process"}
        except OSError as error:
            raise disk_error(error, self.path) from error
        finally:
            draft.unlink(missing_ok=True)
        threading.Thread(target=self._beat, daemon=True).start()
        return None

    def acquire(self, wait: float, log=None) -> None:
        """Wait for it up to so many seconds.

        Raises:
            UserError: still held by somebody alive.
        """
        deadline, told = time.monotonic() + wait, False
        while (owner := self.try_acquire()) is not None:
            if time.monotonic() > deadline:
                raise UserError(
                    f"somebody else is making this: {describe(owner)}",
                    str(self.path),
                    "wait for it, or stop it, and repeat the command",
                )
            if log and not told:
                log.info("waiting for %s", describe(owner))
                told = True
            time.sleep(0.5)

    def _beat(self) -> None:
        while not self._stop.wait(HEARTBEAT):
            try:
                os.utime(self.path)
            except OSError:
                return

    def release(self) -> None:
        """Give it back."""
        self._stop.set()
        self.path.unlink(missing_ok=True)


def describe(owner: dict[str, Any]) -> str:
    """Say who holds a lease, for a message."""
    job = f", cluster job {owner['job_id']}" if owner.get("job_id") else ""
    return f"process {owner.get('pid', '?')} on {owner.get('host', '?')}{job}"


class HeadLock:
    """One snakemake head per checkout: an advisory lock that dies with its process."""

    def __init__(self, root: Path) -> None:
        self.path = Path(root) / "results" / ".state" / "head.lock"
        self.lease = Lease(self.path.with_suffix(".lease"))
        self._file = None

    def acquire(self) -> None:
        """Take the lock.

        Raises:
            UserError: another head runs in this checkout; says which.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        file = open(self.path, "ab")  # noqa: SIM115 (held for the life of the head)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            owner = self.lease.try_acquire()
        except OSError:
            owner = self.lease.holder() or {}
        if owner is not None:
            file.close()
            raise UserError(
                f"another snakemake runs in this checkout: {describe(owner)}",
                str(self.path),
                "wait for it to end, or stop it; a dry run (-n) works meanwhile",
            )
        self._file = file

    def release(self) -> None:
        """Give the lock back."""
        self.lease.release()
        if self._file:
            self._file.close()
            self._file = None
