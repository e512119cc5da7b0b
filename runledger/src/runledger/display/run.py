"""The jobs of one run of Snakemake: which wait, run, are done; how far each one is."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from runledger.pipeline import split_name
from runledger.reporting import how_far, report_path

OVER = ("done", "failed", "stopped")  # jobs


@dataclass
class Member:
    """An instance that a job makes, as it reports itself.

    Attributes:
        name: the instance.
        state: "" (nothing heard), open, make, done, failed, interrupted.
        counted: (unit, done, in all), if it counts.
        first, last: seconds, on the clock of the job's host; 0: nothing heard.
    """

    name: str
    path: Path
    part: str = ""
    offset: int = 0
    state: str = ""
    counted: tuple[str, int, int] | None = None
    first: float = 0.0
    last: float = 0.0

    def skip(self) -> None:
        """Start hearing now: what earlier runs reported does not count."""
        self.state, self.counted, self.first, self.last = "", None, 0.0, 0.0
        self.offset = self.path.stat().st_size if self.path.exists() else 0

    def look(self) -> None:
        """Read what the member's job has reported since the last call."""
        try:
            with open(self.path, "rb") as file:
                file.seek(self.offset)
                new = file.read()
        except FileNotFoundError:
            return
        whole = new[: new.rfind(b"\n") + 1]
        self.offset += len(whole)
        for line in whole.decode("utf-8", "replace").splitlines():
            try:
                report = dict(json.loads(line))
                if report.get("part", "") == self.part:
                    self._take(report)
            except (ValueError, TypeError, KeyError):  # two hosts at once, or a crash
                continue

    def _take(self, report: Mapping) -> None:
        self.last = report["time"]
        self.first = self.first or self.last
        if "state" in report:
            self.state = report["state"]
            self.counted = None if self.state == "make" else self.counted
        self.counted = how_far(report) or self.counted

    @property
    def fraction(self) -> float:
        """How much of it is made, 0 to 1; of one that failed nothing is to be made."""
        if self.state in ("done", "failed"):
            return 1.0
        return min(self.counted[1] / self.counted[2], 1.0) if self.counted else 0.0


@dataclass
class Task:
    """A job of Snakemake.

    Attributes:
        label: what it makes, for people.
        stage: of what it makes; jobs of a stage resemble each other.
        members: the instances it makes.
        work: counted work, in any unit; 0: little more than starting.
        kind: of work: jobs of one kind do it at one speed.
        needs: ids of the jobs that must be done before.
        uses: {resource: amount} of what is limited.
        shown: False for a mere target, which makes nothing.
        log: the log of a job that makes nothing else: shown when it is done.
        state: waiting, running, done, failed, stopped.
        seen: when and how far it was when it was first seen to have begun: a job that
            resumes is far from the start.
    """

    label: str
    stage: str
    members: list[Member] = field(default_factory=list)
    work: float = 0.0
    kind: str = ""
    needs: frozenset[int] = frozenset()
    uses: Mapping[str, float] = field(default_factory=dict)
    shown: bool = True
    log: str = ""
    state: str = "waiting"
    seen: tuple[float, float] | None = None
    began: float = 0.0
    ended: float = 0.0

    @property
    def heard(self) -> tuple[float, float] | None:
        """When its members first and last reported; None: they have not."""
        times = [(m.first, m.last) for m in self.members if m.first]
        if not times:
            return None
        return min(first for first, _ in times), max(last for _, last in times)

    @property
    def fraction(self) -> float:
        """How much of its work is done, 0 to 1."""
        if self.state in OVER:
            return 1.0
        if self.state == "waiting" or not self.members:
            return 0.0
        return sum(m.fraction for m in self.members) / len(self.members)

    def seconds(self, now: float, remote: bool) -> float:
        """How long it runs or ran; on a cluster without its time in the queue."""
        end = self.ended or now
        heard = self.heard
        if remote and heard:
            end = heard[1] if self.ended else max(heard[1], now)
            return end - heard[0]
        return end - self.began


class Run:
    """The jobs of one run.

    Args:
        tasks: {Snakemake's job id: job}.
        limits: {resource: how much of it jobs may use at once}.
        remote: jobs run on a cluster: they wait in its queue first.
        clock: seconds since the epoch.
    """

    def __init__(
        self,
        tasks: dict[int, Task],
        limits: Mapping[str, float] | None = None,
        remote: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.tasks, self.limits, self.remote = tasks, dict(limits or {}), remote
        self.clock, self.began = clock, clock()

    def start(self, id: int) -> None:
        """A job was started or submitted, perhaps again."""
        task = self.tasks[id]
        task.state, task.began, task.ended = "running", self.clock(), 0.0
        task.seen = None
        for member in task.members:
            member.skip()

    def end(self, id: int, state: str) -> None:
        """A job ended; state: done or failed."""
        task = self.tasks[id]
        self.look([task])
        task.state, task.ended = state, self.clock()

    def look(self, tasks: Iterable[Task] | None = None) -> None:
        """Read what the jobs that run report."""
        for task in self.having("running") if tasks is None else tasks:
            for member in task.members:
                member.look()
            if task.seen is None and 0 < task.fraction < 1:
                task.seen = task.heard[1], task.fraction

    def having(self, *states: str) -> list[Task]:
        """Return the jobs in these states, less mere targets.

        First those that run, then those in a queue, each in order of starting.
        """
        found = [t for t in self.tasks.values() if t.state in states and t.shown]
        return sorted(found, key=lambda task: (self.queued(task), task.began))

    def queued(self, task: Task) -> bool:
        """Whether a job was submitted to a cluster and has not been heard of."""
        return self.remote and bool(task.members) and task.heard is None

    @property
    def count(self) -> int:
        """How many jobs there are, mere targets not counted."""
        return sum(task.shown for task in self.tasks.values())

    def seconds(self, task: Task) -> float:
        """How long a job runs or ran."""
        return task.seconds(self.clock(), self.remote)


def members(root: Path, names: Iterable[str], part: str = "") -> list[Member]:
    """Return the members of a job that makes these instances (or a share of one)."""
    return [Member(n, report_path(root, *split_name(n)), part) for n in names]
