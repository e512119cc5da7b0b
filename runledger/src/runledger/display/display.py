"""Takes Snakemake's events and shows the run; knows Snakemake's words, not its code."""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from runledger.display.failures import explain
from runledger.display.run import Run, Task
from runledger.display.screen import Screen
from runledger.display.words import by_stage, count
from runledger.times import span

_COST = 20  # the display sleeps so many times as long as it took to draw
_RECIPES = re.compile(r"(?:.*/)?recipes/([^/]+)/[^/]+/[^/]+\.json")
_BUNDLE = re.compile(r"_\d+of\d+(_\d+)?$")
# what Snakemake says of itself, and what is said here in other words
_NOISE = re.compile(
    r"Building DAG|Using shell|Provided |Rules claiming|Job stats|Select jobs|Execute "
    r"|Conda environments: ign|Singularity containers: ign|Group jobs: inact|Elapsed "
    r"|Reasons:|Removing output files|Removing temporary|Would remove|SLURM run ID"
    r"|Job \d+ has been submitted|Submitted (job|group)|Waiting at most|Touching output"
    r"|Exiting because a job execution failed|(WorkflowError:\n)?At least one job did"
    r"|Resources (before|after)"
)
_CALLED = "CalledProcessError in file"  # Snakemake's words for a job's exit status
_DIED = re.compile(r"died with <Signals\.(\w+)")


class Display:
    """Shows one run, or the summary of a dry run.

    Args:
        screen: where.
        dryrun: nothing runs: jobs are only counted.
        give_up: called with an error of the thread that redraws.
    """

    def __init__(
        self, screen: Screen, dryrun: bool, give_up: Callable[[BaseException], None]
    ) -> None:
        self.screen, self.dryrun, self._give_up = screen, dryrun, give_up
        self.run = Run({})
        self.root, self.log = Path.cwd(), ""
        self._planned: dict[str, list[Any]] = {}
        self._lock, self._over = threading.RLock(), threading.Event()
        self._thread: threading.Thread | None = None
        self._deaths: list[str] = []  # what was said of processes that signals ended
        self._stopping = False

    def handle(self, record: logging.LogRecord) -> None:
        """Take one record of Snakemake's log."""
        event = str(getattr(record, "event", None) or "message")
        with self._lock:
            run = getattr(record, "runledger", None)
            if run is not None:
                self.run = run
            getattr(self, f"_{event}", self._ignore)(record)

    def _ignore(self, record: logging.LogRecord) -> None:
        """Events that say nothing a user needs."""

    def _message(self, record: logging.LogRecord) -> None:
        text = str(record.msg or "").strip("\n")
        found = re.match(r"Complete log\(s\): (.*)", text)
        if found:
            self.log = found[1].removeprefix(f"{self.root}/")
        elif text.startswith("This was a dry-run"):
            self._summarise()
        elif text.startswith("Terminating processes on user request"):
            self._stopping = True
            self.screen.line("stopping: jobs save what can be resumed", "yellow")
        elif text and not _NOISE.match(text):
            self.screen.line(text, _STYLES.get(record.levelno, ""))

    def _error(self, record: logging.LogRecord) -> None:
        if _CALLED not in str(record.msg):  # of a job: shown by _job_error
            self._message(record)
        elif _DIED.search(str(record.msg)):
            self._deaths.append(str(record.msg))

    def _group_error(self, record: logging.LogRecord) -> None:
        self.screen.line(f"FAILED     {record.msg}", "red")

    def _job_info(self, record: logging.LogRecord) -> None:
        if self.dryrun:
            self._plan(record)
            return
        if record.jobid not in self.run.tasks:
            label = " ".join([record.rule_name, *map(str, record.wildcards.values())])
            self.run.tasks[record.jobid] = Task(label, record.rule_name)
        self.run.start(record.jobid)
        if self._thread is None:
            self._thread = threading.Thread(target=self._tick, daemon=True)
            self._thread.start()

    def _job_finished(self, record: logging.LogRecord) -> None:
        task = self.run.tasks.get(record.job_id)
        if task is None:
            return
        self.run.end(record.job_id, "done")
        if task.shown:
            took = span(self.run.seconds(task))
            self.screen.line(f"done  {took:>12}  {task.label}")
        if task.log:
            self.screen.line((self.root / task.log).read_text("utf-8", "replace"))

    def _job_error(self, record: logging.LogRecord) -> None:
        task = self.run.tasks.get(record.jobid)
        if task is None:
            task = self.run.tasks[record.jobid] = Task(record.rule_name, "")
            self.run.start(record.jobid)
        self.run.end(record.jobid, "failed")
        states = {member.state for member in task.members}
        if self._stopping and "failed" not in states:
            task.state = "stopped"
        took = span(self.run.seconds(task))
        if task.state == "stopped":
            self.screen.line(f"stopped{took:>11}  {task.label}", "yellow")
            return
        self.screen.line(f"FAILED{took:>12}  {task.label}", "bold red")
        message = record.rule_msg or self._death(record.log)
        for line in explain(self.root, task, record.log, message):
            self.screen.line(f"    {line}", "red")

    def _death(self, logs: list[str]) -> str:
        """Say which signal ended a job's process; "" if none did."""
        for text in self._deaths:
            if any(log in text for log in logs):
                name = _DIED.search(text)[1]
                hint = ": is the memory enough?" if name == "SIGKILL" else ""
                return f"{name} ended its process{hint}"
        return ""

    def _tick(self) -> None:
        """Redraw until it is over, at a twentieth of a processor at most."""
        pause = 0.2 if self.screen.every < 2 else self.screen.every
        while not self._over.wait(pause):
            began = time.monotonic()
            try:
                with self._lock:
                    self.run.look()
                    self.screen.show(self.run)
            except Exception as error:
                self._give_up(error)
                return
            spent = self.run.clock() - self.run.began
            pause = max(self.screen.every, _COST * (time.monotonic() - began))
            if self.screen.every > 2:  # lines of a log that may grow for days
                pause = max(pause, spent / 100)

    # dry runs

    def _plan(self, record: logging.LogRecord) -> None:
        made = {path for path in record.input if _RECIPES.fullmatch(path)}
        if not record.output and not record.log:
            return  # a mere target
        name = _BUNDLE.sub("", record.rule_name)
        stage = next((_RECIPES.fullmatch(path)[1] for path in made), name)
        stage = stage if name.startswith(stage) else name
        entry = self._planned.setdefault(stage, [set(), 0])
        entry[0] |= made
        entry[1] += 1

    def _summarise(self) -> None:
        rows = [(stage, len(made), n) for stage, (made, n) in self._planned.items()]
        jobs = count(sum(jobs for _, _, jobs in rows), "job")
        self.screen.line(f"would run {jobs}:")
        for line in by_stage(rows):
            self.screen.line(f"  {line}")
        self.screen.line("nothing ran: this was a dry run; VERBOSE=1 lists every job")

    def close(self) -> None:
        """Stop redrawing and say how it ended."""
        if self._over.is_set():
            return
        self._over.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout=10)
        with self._lock:
            self.screen.close()
            if self._thread is not None:
                self._conclude()

    def _conclude(self) -> None:
        run, failed = self.run, self.run.having("failed")
        took = span(run.clock() - run.began)
        done = len(run.having("done"))
        text = f"{done} of {run.count} jobs done in {took}"
        stopped = len(run.having("stopped"))
        rest = run.count - done - len(failed) - stopped
        text += f", {len(failed)} failed" if failed else ""
        text += f", {stopped} stopped" if stopped else ""
        text += f", {rest} not run" if rest else ""
        self.screen.line(text, "bold")
        for task in failed:
            self.screen.line(f"  failed: {task.label}", "red")
        if self.log and (failed or rest):
            self.screen.line(f"  all that Snakemake said: {self.log}")


_STYLES = {
    logging.WARNING: "yellow",
    logging.ERROR: "red",
    logging.CRITICAL: "bold red",
}
