"""Running instances: check inputs, compute, publish, record; one or several a process.

A stage program calls ``main`` with a function of one Job, or of several. Under
Snakemake a job is given frozen recipes (``--recipe``); under ``dvc repro`` or by hand
it is given instance ids and freezes today's params itself.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from runledger import environment, legs
from runledger.canonical import DISK_ERRORS, disk_error, pretty, write_atomic
from runledger.errors import UserError
from runledger.execution import (
    Context,
    by_name,
    inputs_of,
    publish,
    uncounted_facts,
    verify_inputs,
)
from runledger.lease import Lease
from runledger.pipeline import CODE_STAGE, split_name
from runledger.project import ledger_path, program_of
from runledger.recipes import Recipe
from runledger.records import Record, recipe_key
from runledger.reporting import CountedLines, append_report, report_path

__all__ = ["Interrupted", "Job", "main"]

COST = "cost.json"
FORM = "%(asctime)s %(levelname)s %(message)s"  # of a line in a log
INTERRUPTED = 75  # exit status: state saved, run the same command to go on
_stop: list[int] = []


class Interrupted(Exception):
    """The job saved its state because it was asked to stop."""


def _on_signal(number: int, _frame: object) -> None:
    _stop.append(number)
    if number == signal.SIGINT:  # a second Ctrl-C ends the program at once
        signal.signal(number, signal.default_int_handler)


def nested(params: Mapping[str, Any]) -> dict[str, Any]:
    """Turn {"a.b": 1} into {"a": {"b": 1}}."""
    tree: dict[str, Any] = {}
    for dotted, value in params.items():
        *parents, leaf = dotted.split(".")
        node = tree
        for parent in parents:
            node = node.setdefault(parent, {})
        if isinstance(value, dict) and isinstance(node.get(leaf), dict):
            node[leaf] = {**value, **node[leaf]}
        else:
            node[leaf] = value
    return tree


class Job:
    """One instance being made.

    Attributes:
        stage, id: which instance.
        item: its identity, typed values.
        params: nested dict of the declared params only, uncounted ones with them.
        sources: inputs that no stage makes.
        state: folder for resuming; survives a kill, dropped on success.
        part: "i/n" in a job that does a share of the work, else "".
        log: logger of this instance.
    """

    def __init__(self, context: Context, recipe: Recipe, part: str = "") -> None:
        self.context, self.recipe = context, recipe
        self.instance = recipe.instance
        self.stage, self.id = self.instance.stage, self.instance.id
        self.item = dict(recipe.frozen["item"])
        self.params = nested({**recipe.frozen["params"], **recipe.uncounted})
        self.root = context.root
        self.sources = [
            Path(d) for d in self.instance.deps if d not in recipe.producers
        ]
        self.log = self._logger()
        self.part = part  # "i/n" when only a share of the work is to be done
        self.status = "open"  # open, done, failed
        self.notes: dict[str, Any] = {}
        self.inputs_md5: dict[str, str] = {}
        self.key = ""
        self._started = time.time()
        self._lease: Lease | None = None

    def _logger(self) -> logging.Logger:
        path = ledger_path(self.root, "logs", self.stage, f"{self.id or '_'}.log")
        path.parent.mkdir(parents=True, exist_ok=True)
        logger = logging.Logger(self.instance.name, logging.INFO)
        mine = logging.FileHandler(path, encoding="utf-8", errors="backslashreplace")
        mine.setFormatter(logging.Formatter(FORM))
        for handler in (mine, *self._more_handlers()):
            logger.addHandler(handler)
        return logger

    def _more_handlers(self) -> list[logging.Handler]:
        shared = logging.StreamHandler(sys.stderr)
        # the output of a process that makes several: whose line it is
        shared.setFormatter(logging.Formatter(FORM.replace("%(m", "%(name)s: %(m")))
        return [shared, CountedLines(self.progress)]

    @property
    def state(self) -> Path:
        """Private folder that outlives a kill."""
        folder = ledger_path(self.root, ".state", "runs", self.key)
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _of(self, stage: str, name: str | None) -> list[tuple[str, Path]]:
        found = []
        for dep, producer in self.recipe.producers.items():
            if split_name(producer)[0] == stage:
                path = Path(dep)
                if name in (None, path.name):
                    found.append((path.parent.name, self.root / path))
        return found

    def input(self, stage: str, name: str | None = None) -> Path:
        """Return the one input that a stage makes (of that file name, if given)."""
        found = self._of(stage, name)
        if len(found) != 1:
            raise LookupError(
                f"{self.instance.name} has {len(found)} inputs of {stage} {name or ''}"
            )
        return found[0][1]

    def inputs(self, stage: str) -> list[tuple[str, Path]]:
        """Return (instance id, path) of every input that a stage makes."""
        return self._of(stage, None)

    def output(self, name: str) -> Path:
        """Return where to write the output of that file name."""
        for out in self.instance.outs:
            if Path(out.path).name == name:
                return self._staging() / name
        declared = [Path(out.path).name for out in self.instance.outs]
        raise LookupError(f"{self.instance.name} declares {declared}, not {name}")

    def _staging(self) -> Path:
        folder = self.state / "out"
        folder.mkdir(exist_ok=True)
        return folder

    def note(self, **values: Any) -> None:
        """Keep facts about the run for the record (JSON values)."""
        self.notes.update(values)

    def progress(self, **values: Any) -> None:
        """Append one machine-readable line about how far the job is (reporting).

        A line that cannot be written is no reason to end the job.
        """
        path = report_path(self.root, self.stage, self.id)
        with contextlib.suppress(OSError):
            append_report(path, self.part, values)

    def stop_requested(self) -> bool:
        """Tell whether a signal to stop came; from the first call on they are held.

        Also when another process took this instance while this one was suspended.

        After True: save the state and raise Interrupted.
        """
        for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT):
            if signal.getsignal(number) is not _on_signal:
                signal.signal(number, _on_signal)
        return bool(_stop) or (self._lease is not None and self._lease.lost)

    # what follows is called by main, and by programs that make several instances

    def open(self) -> bool:
        """Check, lock and match; False if the instance is already made."""
        context, instance = self.context, self.instance
        self._check_code()
        self.inputs_md5 = verify_inputs(context, self.recipe)
        self.key = recipe_key(self.recipe.frozen, self.inputs_md5)
        name = f"{self.key}.{self.part.replace('/', '-of-')}" if self.part else self.key
        lease = Lease(self.state.parent.parent / "leases" / name)
        lease.acquire(float(os.environ.get("RUNLEDGER_WAIT", "86400")), self.log)
        self._lease = lease
        self.progress(state="open")
        record = context.records.get(instance, self.key)
        if record is not None and context.restore(record):
            self.log.info("a record matches: nothing to compute")
            self._close("done")
            return False
        legs.begin(self.state, instance.name, self.part)
        if not self.part:
            shutil.rmtree(self.state / "out", ignore_errors=True)
        self.log.info("start %s key %s%s", instance.name, self.key, legs.where())
        return True

    # what differs where the outputs are written in place, by a rule's own command

    def _check_code(self) -> None:
        self.context.check_code(self.instance, self.recipe.frozen["code"])

    def _modules(self) -> dict[str, str]:
        return self.context.modules(self.instance)

    def _place(self) -> Path | None:
        return self._staging()

    def make(self, run: Callable[[Job], None]) -> None:
        """Compute and finish; the clock starts now, not when its process did."""
        self._started = time.time()
        self.progress(state="make")
        run(self)
        self.finish()

    def finish(self) -> None:
        """Publish the outputs and write the record, last.

        Raises:
            UserError: an output is missing, an input changed, the disk is full.
        """
        context, instance = self.context, self.instance
        self._require_lease()
        found = inputs_of(context, self.recipe)
        if by_name(self.recipe, found) != self.inputs_md5:
            raise UserError(
                "an input changed while the job ran; its result is not recorded",
                instance.name,
                "run the same command again",
            )
        self._write_cost()
        outputs = publish(context, instance, self._place())
        record = Record(
            instance=instance.name,
            key=self.key,
            recipe=dict(self.recipe.frozen),
            inputs=self.inputs_md5,
            code_modules=self._modules(),
            outputs=outputs,
            run={**self._run(), **uncounted_facts(self.recipe, found)},
        )
        if self.stage != CODE_STAGE:  # its content is derived anew by every head
            context.records.write(instance, record)
        self.log.info("done in %.1f s", time.time() - self._started)
        self._close("done")
        shutil.rmtree(self.state, ignore_errors=True)

    def _require_lease(self) -> None:
        """Refuse to publish what another process may be making by now."""
        if self._lease and not self._lease.held():
            raise UserError(
                "another process took over this work while this one was suspended "
                "(its heartbeat stood still); its result is not recorded here",
                str(self._lease.path),
                "nothing to do: the other process goes on",
            )

    @property
    def seconds(self) -> float:
        """Wall time so far, earlier legs that ended in order included."""
        try:
            earlier = float((self.state / "seconds").read_text("ascii"))
        except (OSError, ValueError):  # the first leg, or cut short by a crash
            earlier = 0.0
        return round(earlier + time.time() - self._started, 3)

    def _write_cost(self) -> None:
        """Write the output named cost.json, if one is declared: what the run took.

        The one output whose bytes differ from run to run; what reads it is meant to.
        """
        if any(Path(out.path).name == COST for out in self.instance.outs):
            content = {
                "seconds": self.seconds,
                "together": len(self.notes.get("packed", [self.id])),
                "device": environment.device(),
            }
            self.output(COST).write_text(pretty(content), encoding="utf-8")

    def _run(self) -> dict[str, Any]:
        legs.end(self.state, self.part, "done")
        all_legs = legs.read(self.state) or [legs.unrecorded(self._started)]
        return {
            **self.context.commit,
            **environment.describe(self.root),
            "start": all_legs[0]["start"],
            "end": all_legs[-1]["end"] or legs.now(),
            "seconds": self.seconds,
            "legs": [
                {k: v for k, v in leg.items() if k != "instance"} for leg in all_legs
            ],
            "notes": self.notes,
        }

    def fail(self, error: BaseException) -> None:
        """Note that this instance failed; the others of the process go on."""
        if isinstance(error, Interrupted):
            self.log.warning(
                "interrupted (%s): state saved, %s", *legs.interruption(_stop)
            )
        elif isinstance(error, UserError):
            self.log.error("%s", error)
        else:
            self.log.error("failed: %r", error, exc_info=error)
        status = "interrupted" if isinstance(error, Interrupted) else "failed"
        try:
            self._note_end(error, status)
        except (OSError, UserError) as second:  # a full disk must not fail the others
            self.log.error("this could not be noted: %s", second)
        self._close(status)

    def _note_end(self, error: BaseException, status: str) -> None:
        """Keep for the next leg, and for people, how this one ended."""
        if status == "failed":
            self.context.note_failure(self.recipe, error)
        elif self.key:
            write_atomic(self.state / "seconds", str(self.seconds))
        if self._lease:
            outcome = legs.interruption(_stop)[0] if status == "interrupted" else status
            legs.end(self.state, self.part, outcome)

    def finish_part(self) -> None:
        """End a part of an instance: its share of the state is there, no record."""
        legs.end(self.state, self.part, "done")
        self.log.info("part %s done in %.1f s", self.part, time.time() - self._started)
        self._close("done")

    def _close(self, status: str) -> None:
        self.status = status
        self.progress(state=status)
        if status == "done":
            self.context.clear_failure(self.instance)
        if self._lease:
            self._lease.release()
        for handler in list(self.log.handlers):
            handler.flush()


def main(
    stage: str,
    run: Callable[[Job], None] | None = None,
    run_many: Callable[[list[Job]], None] | None = None,
    run_part: Callable[[Job, int, int], None] | None = None,
) -> None:
    """Run a stage program's instances and exit: 0, 1 (failed) or 75 (interrupted).

    SIGUSR1 says that the time is nearly up: jobs save, and a cluster job puts itself
    back into the queue. SIGTERM says stop: jobs that poll save. So does Ctrl-C; jobs
    that do not poll end at once.
    """
    signal.signal(signal.SIGUSR1, _on_signal)
    parser = argparse.ArgumentParser(prog=program_of(Path.cwd(), stage))
    parser.add_argument("id", nargs="*", help="instance ids, as in dvc.yaml")
    parser.add_argument("--recipe", nargs="+", default=[], help="frozen recipe files")
    parser.add_argument("--part", default="", help="i/n: only share i of n of the work")
    arguments = parser.parse_args()
    try:
        context = Context(Path.cwd())
        recipes = context.recipes(stage, arguments.id, arguments.recipe)
        if any(out.cached for recipe in recipes for out in recipe.instance.outs):
            context.store.prepare()
    except UserError as error:
        sys.exit(f"error: {error}")
    if not arguments.recipe and (unknown := environment.warning(context.commit)):
        print(f"warning: {unknown}", file=sys.stderr)
    try:
        jobs = [Job(context, recipe, arguments.part) for recipe in recipes]
    except OSError as error:  # of the logs
        sys.exit(f"error: {disk_error(error, error.filename or context.root)}")
    ready = [job for job in jobs if _guard(job, job.open)]
    if arguments.part and run_part is not None:
        share, shares = map(int, arguments.part.split("/"))
        for job in ready:
            _guard(
                job, lambda job=job: (run_part(job, share, shares), job.finish_part())
            )
    elif run_many is not None and ready:
        _run_together(ready, run_many)
    elif run is not None:
        for job in ready:
            _guard(job, lambda job=job: job.make(run))
    states = {job.status for job in jobs}
    warned = signal.SIGUSR1 in _stop
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)  # the interpreter drops handlers
    if "interrupted" in states and warned:
        legs.requeue()
    sys.exit(1 if "failed" in states else INTERRUPTED if "interrupted" in states else 0)


def _guard(job: Job, step: Callable[[], Any]) -> bool:
    """Run a step of one job; its failure is its own."""
    if _stop:
        job.fail(Interrupted())
        return False
    try:
        return step() is not False
    except OSError as error:
        of_disk = error.errno in DISK_ERRORS
        job.fail(disk_error(error, error.filename or job.root) if of_disk else error)
    except KeyboardInterrupt:  # a program that does not poll
        _stop.append(signal.SIGINT)
        job.fail(Interrupted())
    except Exception as error:
        job.fail(error)
    return False


def _run_together(jobs: list[Job], run_many: Callable[[list[Job]], None]) -> None:
    try:
        run_many(jobs)
    except (Exception, KeyboardInterrupt) as error:
        for job in jobs:
            if job.status == "open":
                stopped = isinstance(error, KeyboardInterrupt)
                job.fail(Interrupted() if stopped else error)
    for job in jobs:
        if job.status == "open":
            job.fail(RuntimeError("the program ended without finishing this instance"))
