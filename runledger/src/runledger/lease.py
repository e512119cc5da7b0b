"""Exclusion that survives kill -9, suspended machines, and clocks that disagree."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import threading
import time
import uuid
from pathlib import Path
from typing import Any

from runledger.canonical import disk_error
from runledger.errors import UserError
from runledger.legs import hostname, job_id

HEARTBEAT = float(os.environ.get("RUNLEDGER_HEARTBEAT", "15"))  # seconds
BEATS = 8  # without a heartbeat for so many, an owner on another machine is dead


def _started(pid: int) -> str | None:
    """Return a process's start time in clock ticks; None if there is none."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] == "Z" else fields[19]


def _place() -> list[str | None]:
    """Name what process ids belong to: the boot of a machine, and the pid namespace.

    Host names do not do: containers of one machine may share one and not their ids,
    and two machines may be called alike.
    """
    found: list[str | None] = []
    try:
        found.append(Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip())
        found.append(os.readlink("/proc/self/ns/pid"))
    except OSError:  # not Linux
        found = [hostname(), None]
    return found


def whoami() -> dict[str, Any]:
    """Describe this process: host, pid, its start, and the cluster's job id."""
    pid = os.getpid()
    return {
        "host": hostname(),
        "place": _place(),
        "pid": pid,
        "started": _started(pid),
        "job_id": job_id(),
        "heartbeat": HEARTBEAT,
    }


def lives(owner: dict[str, Any]) -> bool | None:
    """Whether an owner's process lives; None if that cannot be seen from here."""
    if owner.get("place") != _place():
        return None
    started = _started(owner["pid"])
    if started is not None:
        return started == owner["started"]
    try:  # /proc may hide the processes of other users
        os.kill(owner["pid"], 0)
    except PermissionError:
        return None
    except OSError:
        return False
    return False  # a zombie


def span_of(owner: dict[str, Any]) -> float:
    """Seconds without a heartbeat after which an owner elsewhere is dead."""
    return BEATS * float(owner.get("heartbeat") or HEARTBEAT)


class Lease:
    """A file that says who works on something, with a heartbeat (its date changes).

    An owner whose process can be looked for from here holds it while that process
    lives. Any other owner holds it until its heartbeat has stood still for eight beats,
    watched from here by this machine's own steady clock: the times of different
    machines, and of the disk, need not agree.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self.beats = False  # an owner elsewhere was seen to live
        self.lost = False  # somebody else took it while this process was suspended
        self._stop = threading.Event()
        self._mine = ""
        self._watched: tuple[tuple[str, int] | None, float] = (None, 0.0)

    def _look(self) -> tuple[dict[str, Any], str, int] | None:
        """Return who is written there, the text's digest, and the last heartbeat."""
        try:
            with open(self.path, "rb") as file:
                data, beat = file.read(), os.fstat(file.fileno()).st_mtime_ns
        except FileNotFoundError:
            return None
        except OSError as error:
            raise disk_error(error, self.path) from error
        try:
            owner = json.loads(data)
            owner = owner if isinstance(owner.get("pid"), int) else {}
        except (ValueError, AttributeError):  # cut short by a crash
            owner = {}
        return owner, hashlib.md5(data, usedforsecurity=False).hexdigest(), beat

    def holder(self, clock: float | None = None) -> dict[str, Any] | None:
        """Return who holds it; None if nobody does.

        Of an owner elsewhere it takes eight beats of looking to know that it is dead.

        Args:
            clock: the disk's time (`dates.clock`); then the last heartbeat's age
                decides at once, which is good enough to show and not to take it.
        """
        found = self._look()
        if found is None:
            return None
        owner, digest, beat = found
        alive = lives(owner)
        if alive is None and clock is not None:
            alive = clock - beat / 1e9 < span_of(owner)
        elif alive is None:
            alive = self._watch(digest, beat) < span_of(owner)
        return owner if alive else None

    def _watch(self, what: str, beat: int) -> float:
        """Return for how many seconds of watching something has stood still."""
        known, since = self._watched
        if known != (what, beat):
            self.beats = known is not None and known[0] == what
            self._watched = ((what, beat), since := time.monotonic())
        return time.monotonic() - since

    def try_acquire(self) -> dict[str, Any] | None:
        """Take it; returns None when taken, else who holds it."""
        found = self._look()
        if found is not None:
            owner = self.holder()
            if owner is not None:
                return owner
            if not self._bury(found[1]):
                return {"host": "another process"}
        if not self._write():
            return self.holder() or {"host": "another process"}
        threading.Thread(target=self._beat, daemon=True).start()
        return None

    def _bury(self, digest: str) -> bool:
        """Remove a dead owner's file; one of several that see it does, once."""
        guard = self.path.with_name(f".{self.path.name}.{digest}")
        try:
            os.close(os.open(guard, os.O_CREAT | os.O_EXCL))
        except FileExistsError:  # left by a crash if it stays: watched like an owner
            return self._abandoned(guard)
        except OSError as error:
            raise disk_error(error, guard) from error
        try:
            found = self._look()
            if found is None or found[1] != digest:
                return False
            self.path.unlink(missing_ok=True)
        except OSError as error:
            raise disk_error(error, self.path) from error
        finally:
            guard.unlink(missing_ok=True)
        return True

    def _abandoned(self, guard: Path) -> bool:
        """Remove the guard of a burial that nobody finishes."""
        if self._watch(guard.name, 0) > BEATS * HEARTBEAT:
            guard.unlink(missing_ok=True)
        return False

    def _write(self) -> bool:
        """Put this process's name there; False if somebody was faster."""
        draft = self.path.with_name(f".{uuid.uuid4().hex}.lease")
        text = json.dumps({**whoami(), "token": draft.name}).encode()
        self._mine = hashlib.md5(text, usedforsecurity=False).hexdigest()
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            draft.write_bytes(text)
            os.link(draft, self.path)  # fails if somebody else was faster
        except FileExistsError:
            return self.held()  # of a link over NFS the answer may get lost
        except OSError as error:
            raise disk_error(error, self.path) from error
        finally:
            draft.unlink(missing_ok=True)
        return True

    def held(self) -> bool:
        """Tell whether this process still holds the lease."""
        found = self._look()
        return found is not None and found[1] == self._mine

    def acquire(self, wait: float, log=None) -> None:
        """Wait for it up to so many seconds.

        Raises:
            UserError: still held by somebody alive.
        """
        deadline, warned = time.monotonic() + wait, False
        while (owner := self.try_acquire()) is not None:
            if time.monotonic() > deadline:
                raise UserError(
                    f"another process is making this: {describe(owner)}",
                    str(self.path),
                    "wait for it, or stop it, and repeat the command",
                )
            if log and not warned:
                log.info("waiting for %s", describe(owner))
                warned = True
            time.sleep(0.5)

    def _beat(self) -> None:
        while not self._stop.wait(HEARTBEAT):
            with contextlib.suppress(
                OSError, UserError
            ):  # a disk that hangs comes back
                if self.held():
                    os.utime(self.path)
                elif self.path.exists() or not self._write():
                    self.lost = not self._stop.is_set()
                    return

    def release(self) -> None:
        """Give the lease back, so that another process may make the instance."""
        self._stop.set()
        with contextlib.suppress(UserError):
            if self.held():
                self.path.unlink(missing_ok=True)


def describe(owner: dict[str, Any]) -> str:
    """Say who holds a lease, for a message."""
    job = f", cluster job {owner['job_id']}" if owner.get("job_id") else ""
    return f"process {owner.get('pid', '?')} on {owner.get('host', '?')}{job}"
