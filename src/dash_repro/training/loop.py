"""The training loop of teachers and students: learners side by side on one batch."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dash_repro.training.batches import BatchSource
from dash_repro.training.frozen import FrozenTeacher
from dash_repro.training.learner import Learner
from dash_repro.training.observers import Observer
from dash_repro.training.settings import Cadence
from dash_repro.training.state import NETWORK, load_state, save_state
from dash_repro.training.steps import make_steps

# saving takes at most this share of the time
_SAVE_SHARE = 0.01


@dataclass(eq=False)
class Task:
    """A learner and what is to become of it.

    Attributes:
        learner: the network in training.
        observer: measures it on the way.
        state_folder: private, survives a kill.
        log: its own log.
        write: writes the network as it is now, for those who look on.
        finish: called once after the last iteration; writes the results.
        fail: called once if this learner fails; the others go on.
        progress: called now and then with numbers by name.
    """

    learner: Learner
    observer: Observer
    state_folder: Path
    log: logging.Logger
    write: Callable[[Path], None]
    finish: Callable[[Learner], None]
    fail: Callable[[Exception], None]
    progress: Callable[..., None]


def train(
    tasks: list[Task],
    source: BatchSource,
    teacher: FrozenTeacher | None,
    cadence: Cadence,
    stop: Callable[[], bool],
    launch: str = "eager",
) -> bool:
    """Train all tasks to their last iteration, from their saved states if there are.

    Learners share the batch of an iteration and the teacher's outputs, nothing else:
    each ends in the same bytes whatever trains beside it. One that stands at a later
    iteration than the others waits for them. One that raises fails alone.

    Args:
        tasks: the learners, all of one seed.
        source: the batches.
        teacher: None where no learner needs one.
        cadence: how often to save and log.
        stop: asked after every iteration; true: save and leave.
        launch: of `launch_mode`.

    Returns:
        True if all are through, False if stopped.
    """
    running = [task for task in tasks if _guarded(task, _begin)]
    clock = _Clock(cadence, source.batch_size, running)
    advance = make_steps(source, teacher, launch)
    while running:
        step = min(task.learner.step for task in running)
        due = [task for task in running if task.learner.step == step]
        lost = [task for task in due if step >= task.learner.settings.iterations]
        for task in lost:
            _guarded(task, _finish)
        due = [task for task in due if task not in lost]
        if due:
            failures = advance([task.learner for task in due], step)
            for task in due:
                if task.learner in failures:
                    task.fail(failures[task.learner])
                    lost.append(task)
                elif not _guarded(task, _look):
                    lost.append(task)
        running = [task for task in running if task not in lost]
        stopping = stop()
        if running and (stopping or clock.save_due()):
            running = [task for task in running if _guarded(task, _save)]
            clock.saved()
        if running and clock.log_due():
            clock.report(running)
        if stopping and running:
            return False
    return True


def _guarded(task: Task, action: Callable[[Task], None]) -> bool:
    """Do it; a failure is this task's alone."""
    try:
        action(task)
    except Exception as error:
        task.fail(error)
        return False
    return True


def _begin(task: Task) -> None:
    """Take up the saved state, or look at the untrained network."""
    saved = load_state(task.state_folder, task.log)
    if saved is None:
        if 0 in task.observer.steps:
            measured = task.observer.observe(task.learner)
            if measured:
                task.learner.record(measured)
        return
    if changed := task.learner.elsewhere(saved[1]):
        task.log.warning("%s", changed)
    task.learner.restore(*saved)
    task.observer.restore(saved[0])
    task.log.info("resuming after iteration %d", task.learner.step)


def _look(task: Task) -> None:
    """What is due after an iteration."""
    learner, measured = task.learner, {}
    if learner.step in task.observer.steps:
        learner.check()
        measured = task.observer.observe(learner)
    last = learner.step == learner.settings.iterations
    if measured or last or learner.step % learner.settings.record_every == 0:
        learner.record(measured)


def _finish(task: Task) -> None:
    task.finish(task.learner)
    task.log.info("trained %d iterations", task.learner.step)


def _save(task: Task) -> None:
    tensors, metadata = task.learner.state()
    tensors = {**tensors, **task.observer.state()}
    save_state(task.state_folder, task.learner.step, tensors, metadata)
    try:
        task.write(task.state_folder / NETWORK)
    except OSError as error:  # those who look on can wait; the state is safe
        task.log.warning("the network could not be written: %s", error)


class _Clock:
    """Decides when to save and to log; measures speed between lines of the log."""

    def __init__(self, cadence: Cadence, batch_size: int, tasks: list[Task]) -> None:
        self.cadence, self.batch_size = cadence, batch_size
        self.last_save = self.last_log = time.monotonic()
        self.save_cost, self._asked = 0.0, 0.0
        self.logged = {task.learner: task.learner.step for task in tasks}

    def save_due(self) -> bool:
        self._asked = time.monotonic()
        wait = max(self.cadence.save_seconds, self.save_cost / _SAVE_SHARE)
        return self._asked - self.last_save >= wait

    def saved(self) -> None:
        self.last_save = time.monotonic()
        self.save_cost = self.last_save - self._asked

    def log_due(self) -> bool:
        return time.monotonic() - self.last_log >= self.cadence.log_seconds

    def report(self, running: list[Task]) -> None:
        """A line of each task's log, and the same numbers for machines."""
        elapsed = max(time.monotonic() - self.last_log, 1e-9)
        for task in running:
            learner = task.learner
            done = learner.step - self.logged[learner]
            self.logged[learner] = learner.step
            left = learner.settings.iterations - learner.step
            fields = {
                "step": learner.step,
                "iterations": learner.settings.iterations,
                **learner.latest(),
                "images_per_second": round(done * self.batch_size / elapsed, 1),
                "seconds_left": round(left * elapsed / done, 1) if done else None,
            }
            task.log.info(" ".join(f"{key}={value}" for key, value in fields.items()))
            task.progress(**fields)
        self.last_log = time.monotonic()
