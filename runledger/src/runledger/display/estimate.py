"""How much of a run is done and how long the rest takes, by counted work.

For the time, a job takes its start-up and its work at the speed of its kind, as
measured so far: work over the time in which jobs of the kind reported it done. A kind
that nothing is known of takes the speed of all. What has no counted work takes what its
stage took.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping
from statistics import mean

from runledger.display.run import OVER, Run, Task

STARTUP = 8.0  # seconds, until the first job has reported
_GUESS = 0.1  # start-ups, in units of the counted work, while no speed is known
_ENOUGH = 0.05, 20.0  # what shows a job's speed: a part of its work, or seconds of it


class Estimate:
    """Predicts the jobs of a run from what they have reported.

    Make a new one after each look at the reports.
    """

    def __init__(self, run: Run) -> None:
        self.run = run
        tasks = list(run.tasks.values())
        self.startup = self._startup(tasks)
        self.speeds = {
            kind: _speed([t for t in tasks if t.kind == kind])
            for kind in {task.kind for task in tasks}
        }
        self.speed = _speed(tasks)
        self.brief = {
            stage: mean(times)
            for stage in {task.stage for task in tasks}
            if (times := [self._took(t) for t in tasks if _tells(t, stage)])
        }

    def _startup(self, tasks: list[Task]) -> float:
        times = [t.heard[0] - t.began for t in tasks if t.heard]
        times = [time for time in times if time >= 0]
        return mean(times) if times and not self.run.remote else STARTUP

    def _took(self, task: Task) -> float:
        return task.seconds(task.ended, self.run.remote)

    def seconds(self, task: Task) -> float:
        """How long a job takes in all."""
        if not task.work:
            return self.brief.get(task.stage, self.startup)
        speed = self.speeds[task.kind] or self.speed
        return self.startup + (task.work / speed if speed else 0.0)

    def left(self, task: Task) -> float:
        """How long a job still takes."""
        if task.state in OVER:
            return 0.0
        whole = self.seconds(task)
        if task.state == "waiting":
            return whole
        if task.work and task.heard:
            return (1 - task.fraction) * (whole - self.startup)
        if task.heard and task.fraction > 0:
            first, last = task.heard
            return (last - first) * (1 / task.fraction - 1)
        return max(whole - self.run.seconds(task), 0.1 * whole)

    def fraction(self) -> float:
        """How much of the run is done, 0 to 1: of the counted work and the start-ups.

        The work is weighed as it is counted, whatever speed its kind has, so that the
        bar moves as jobs report. What a start-up weighs follows the speed of all.
        """
        lost = self._lost()
        tasks = [t for i, t in self.run.tasks.items() if t.shown and i not in lost]
        total = sum(task.work for task in tasks)
        start = self.startup * self.speed or _GUESS * total / max(len(tasks), 1) or 1.0
        whole = sum(task.work + start for task in tasks)
        done = sum((task.work + start) * task.fraction for task in tasks)
        return done / whole if whole else 0.0

    def _lost(self) -> set[int]:
        """Ids of the jobs that cannot run because one that they need has failed."""
        tasks = self.run.tasks
        lost, new = set(), {i for i, t in tasks.items() if t.state in OVER[1:]}
        while new:
            behind = {i for i, t in tasks.items() if t.needs & new and i not in lost}
            lost, new = lost | behind, behind
        return lost

    def seconds_left(self) -> float | None:
        """How long the run still takes; None while no speed is known.

        Plays the rest through: jobs start when what they need is done and the limits
        leave room, longest first.
        """
        tasks, lost = self.run.tasks, self._lost()
        left = {
            id: self.left(task)
            for id, task in tasks.items()
            if task.state in ("waiting", "running") and id not in lost
        }
        if not self.speed and any(tasks[id].work for id in left):
            return None
        free = dict(self.run.limits)
        ends: list[tuple[float, int]] = []
        for id in left:
            if tasks[id].state == "running":
                _use(free, tasks[id].uses, 1)
                heapq.heappush(ends, (left[id], id))
        return self._play(free, left, ends)

    def _play(
        self, free: dict[str, float], left: dict[int, float], ends: list
    ) -> float:
        tasks, now = self.run.tasks, 0.0
        missing = {id: len(tasks[id].needs & left.keys()) for id in left}
        readers: dict[int, list[int]] = {}
        for id in left:
            for need in tasks[id].needs:
                readers.setdefault(need, []).append(id)
        ready: dict[tuple, list[tuple[float, int]]] = {}  # by what they use
        new = [i for i in left if tasks[i].state == "waiting" and not missing[i]]
        while True:
            for id in new:
                kind = tuple(sorted(tasks[id].uses.items()))
                heapq.heappush(ready.setdefault(kind, []), (-left[id], id))
            for kind, queue in ready.items():
                while queue and all(free.get(k, n) >= n for k, n in kind):
                    id = heapq.heappop(queue)[1]
                    _use(free, dict(kind), 1)
                    heapq.heappush(ends, (now + left[id], id))
            if not ends:
                return now
            now, ended = heapq.heappop(ends)
            _use(free, tasks[ended].uses, -1)
            new = []
            for id in readers.get(ended, []):
                missing[id] -= 1
                new += [] if missing[id] else [id]


def _use(free: dict[str, float], uses: Mapping[str, float], sign: int) -> None:
    for name, amount in uses.items():
        if name in free:
            free[name] -= sign * amount


def _tells(task: Task, stage: str) -> bool:
    return task.stage == stage and task.state == "done" and not task.work


def _speed(tasks: Iterable[Task]) -> float:
    """Work a second of jobs that reported; 0: none has."""
    paces = [pace for task in tasks if (pace := _pace(task))]
    spent = sum(seconds for _, seconds in paces)
    return sum(work for work, _ in paces) / spent if spent else 0.0


def _pace(task: Task) -> tuple[float, float] | None:
    """Work that was watched, and its seconds; None: too little to tell a speed."""
    if not task.work or not task.heard or task.state in OVER[1:]:
        return None
    since, done = task.seen or (task.heard[0], 0.0)
    part, seconds = task.fraction - done, task.heard[1] - since
    if task.state == "running" and part < _ENOUGH[0] and seconds < _ENOUGH[1]:
        return None
    if part <= 0 or (task.state == "running" and not task.seen):
        return None
    return task.work * part, max(seconds, 0.1)
