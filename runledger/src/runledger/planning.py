"""The head's plan: what is stale, what has to be fetched, what shares a process.

The head process judges every instance while the Snakefile is read, and hands verdicts
and plan to its jobs by environment variables; a cluster job that parses the Snakefile
again reads them from there, so that both see one DAG.
"""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from runledger import environment
from runledger.bundles import Aliases, Bundle, Sizes, bundles, is_target, named_by
from runledger.canonical import digest, pretty, read_named, to_bytes, write_once
from runledger.dates import make_newer
from runledger.dvcconfig import tell_jobs
from runledger.errors import UserError
from runledger.execution import CODE, VERDICTS
from runledger.headlock import HeadLock
from runledger.judge import Judge, Verdict, stale_closure
from runledger.pipeline import CODE_STAGE, Pipeline
from runledger.presence import OTHER, PRESENT, WRONG, Presence
from runledger.project import ledger_folder, load_pipeline, optional
from runledger.queue import Waiting, awaited
from runledger.recipes import of_verdict, snapshot_code, write_recipe, write_verdicts
from runledger.store import Store

UNPRUNED = (
    "RUNLEDGER_UNPRUNED"  # set: every instance keeps its inputs (--dag, --report)
)
PLAN = "RUNLEDGER_PLAN"  # what cluster jobs read instead of judging


def refuse_force(arguments: list[str]) -> None:
    """Refuse to run what the records call valid, before it fails for want of a recipe.

    Raises:
        UserError: -f, -F, -R or their long forms; says how to make something again.
    """
    forced = [
        word
        for word in arguments
        if re.fullmatch(r"-[knpqt]*[fFR].*|--force(a\w*|r\w*)?(=.*)?", word)
    ]
    if forced:
        raise forcing(" ".join(forced))


def is_dry(arguments: list[str]) -> bool:
    """Whether Snakemake only plans; it says so itself after the rules are read."""
    return any(
        re.fullmatch(r"-[knpqt]*n[kpqt]*|--dry-?(r|ru|run)?", word)
        for word in arguments
    )


def forcing(how: str) -> UserError:
    """The error for a run that forces what is valid."""
    return UserError(
        f"{how} asks to run valid instances again",
        "command line or profile",
        "to make an instance anew, remove its records "
        f"({ledger_folder(Path.cwd())}/records/<stage>/<id>) and run without this "
        f"option; for --dag or --report of everything set {UNPRUNED}=1",
    )


def write_plan(root: Path, recipes: Mapping[str, str], **more: Any) -> str:
    """Write what jobs read of the head's plan; returns the path.

    Args:
        root: the checkout.
        recipes: {instance: path of its recipe} of what is to be made.
        more: what else the head planned.
    """
    none = {"shares": {}, "waiting": [], "bundles": [], "wanted": {}}
    plan = {**none, "stale": sorted(recipes), **more, "recipes": dict(recipes)}
    path = f"{ledger_folder(root)}/.state/plans/{digest(plan)}.json"
    write_once(root / path, pretty(plan))
    return path


class Plan:
    """What one run of Snakemake is going to do, as the records decide.

    Args:
        root: the checkout.
        main: whether this is the head process (``workflow.is_main_process``).
        aliases: {target rule: (stages, id or None for all)} that it stands for.
        sizes: how stale instances are bundled.
        parts: {stage: jobs that share one instance's work}; those are not bundled.
        scheduler: "slurm": what its queue still makes is waited for, not submitted.
        pipeline: today's instances, if they are read already.
    """

    def __init__(
        self,
        root: Path,
        main: bool,
        aliases: Aliases,
        sizes: Sizes,
        parts: Mapping[str, int] | None = None,
        scheduler: str = "",
        pipeline: Pipeline | None = None,
    ) -> None:
        self.root, self.main = Path(root), main
        self.aliases, self.scheduler = aliases, scheduler
        self.shares = dict(parts or {})
        shared = {stage: 1 for stage, count in self.shares.items() if count > 1}
        self.sizes = replace(sizes, most={**sizes.most, **shared})
        self.unpruned = bool(os.environ.get(UNPRUNED))
        if main:
            tell_jobs(self.root)
        self.store, self.lock = Store(root), HeadLock(root)
        self.verdicts: dict[str, Verdict] = {}
        self.left_out: dict[str, str] = {}  # {optional instance: why not here}
        self.pipeline = pipeline or load_pipeline(root)
        if main:
            self._make()
        else:
            # the warning before a time limit reaches all processes of a cluster job;
            # it is for the stage program, not for the snakemake around it
            signal.signal(signal.SIGUSR1, signal.SIG_IGN)
            self._read()

    def _make(self) -> None:
        if not self.unpruned:
            refuse_force(sys.argv[1:])
        os.environ.pop(VERDICTS, None)
        unavailable: dict[str, str] = {}
        while True:  # losing one artefact can make others needed
            judge = Judge(self.root, self.pipeline, unavailable)
            self.verdicts = judge.judge()
            self.stale = {n for n, v in self.verdicts.items() if not v.valid or v.lost}
            self.stale |= self._stale_code(judge)
            looked = (self.root, self.store, self.pipeline, self.verdicts)
            self.presence, self.wrong = Presence(*looked), {}
            self.wanted = self._wanted()
            gone = self._unavailable() if not self.unpruned else {}
            if not gone.keys() - unavailable.keys():
                break
            unavailable.update(gone)
        self.left_out = self._left_out()
        self._write(judge)

    def _stale_code(self, judge: Judge) -> set[str]:
        """Name the code fingerprints whose file is not what it should be."""
        found = set()
        for name, verdict in self.verdicts.items():
            if verdict.instance.stage == CODE_STAGE:
                path = self.root / verdict.instance.outs[0].path
                text = judge.code_text(verdict.instance.id)
                if not path.is_file() or path.read_bytes() != to_bytes(text):
                    found.add(name)
        return found

    def _wanted(self) -> dict[str, dict[str, Any]]:
        """Return {path: ticket} of files of valid instances to be put in place.

        Wherever their bytes are: inputs of stale instances, and files named on the
        command line. If their bytes are at hand: what a target stands for, and what it
        rests on and has bytes that no record made.
        """
        makers = self.pipeline.producer
        needed = set(sys.argv[1:]) & makers.keys()
        needed |= {d for n in self.stale for d in self.pipeline[n].deps if d in makers}
        needed = {p for p in needed if makers[p] not in self.stale}
        needed = {p for p in needed if self.presence.state(p) not in ("", PRESENT)}
        asked = () if self.unpruned else self._named()
        for name in self.pipeline.ancestry(asked):
            for out in self.pipeline[name].outs:
                state = self.presence.state(out.path)
                if (name not in asked and state != WRONG) or state in ("", PRESENT):
                    continue
                if state in (OTHER, WRONG):
                    self.wrong[out.path] = state
                if self.presence.at_hand(out.path):
                    needed.add(out.path)
        # Snakemake refuses to take some outputs of an instance from one rule and some
        # from another: those that are here count as fetched
        fetched = {makers[path] for path in needed}
        here = {out.path for name in fetched for out in self.pipeline[name].outs}
        here = {path for path in here - needed if self.presence.state(path) == PRESENT}
        return {path: self._ticket(path, path in here) for path in needed | here}

    def _ticket(self, path: str, here: bool) -> dict[str, Any]:
        """Say which bytes a file should have, and which record says so."""
        maker = self.pipeline.producer[path]
        record = self.verdicts[maker].record
        own = ledger_folder(self.root)
        kept = f"{own}/records/{self.pipeline[maker].key_name}/{record.key}.json"
        md5 = record.outputs[path]["md5"]
        return {"path": path, "md5": md5, "record": kept, "here": here}

    def _unavailable(self) -> dict[str, str]:
        """Return {md5: why} of wanted bytes that neither cache nor remote has.

        Raises:
            UserError: who may have them cannot be reached.
        """
        contents = [
            self.verdicts[self.pipeline.producer[path]].outputs[path]
            for path, ticket in self.wanted.items()
            if not ticket["here"] and self.presence.inline(path) is None
        ]
        absent = [c for c in contents if not self.store.has(c.md5, c.object_size)]
        if not absent:
            return {}
        from runledger.sharing import unavailable

        return unavailable(self.root, absent)

    def _write(self, judge: Judge) -> None:
        self.commit = environment.commit(self.root)
        self.recipes = {
            name: write_recipe(
                self.root, of_verdict(self.verdicts[name], self.pipeline)
            )
            for name in self.verdicts
            if name in self.stale
        }
        make_newer(self.root, self.pipeline, self.recipes)
        os.environ[VERDICTS] = write_verdicts(self.root, self.verdicts, self.commit)
        # where rules have commands of their own, these run the checkout's files
        here = bool(self.pipeline.watched)
        os.environ[CODE] = "." if here else snapshot_code(self.root, judge.code)
        self.code = os.environ[CODE]
        self.waiting = self._queued()
        taken = {name for waiting in self.waiting for name in waiting.instances}
        stale = [n for n in self._asked_for() if n not in taken]
        code = {n for n in self.stale if self.pipeline[n].stage == CODE_STAGE}
        stale += sorted(code - {*stale})
        self.bundles = (
            []
            if self.unpruned
            else bundles(self.root, self.pipeline, self.verdicts, stale, self.sizes)
        )
        os.environ[PLAN] = write_plan(
            self.root,
            self.recipes,
            shares=self.shares,
            waiting=[[w.name, w.job, list(w.instances)] for w in self.waiting],
            bundles=[[b.name, b.stage, list(b.instances)] for b in self.bundles],
            stale=sorted(self.stale),
            wanted=self.wanted,
        )

    def _left_out(self) -> dict[str, str]:
        """Say why stale instances of optional stages cannot be made on this machine."""
        found: dict[str, str] = {}
        for stage, why_not in {} if self.unpruned else optional(self.root).items():
            names = [name for name in self.stale if self.pipeline[name].stage == stage]
            reason = why_not(self.root) if names else None
            found |= dict.fromkeys(names, reason) if reason else {}
        return found

    def named(self, rule: str) -> list[str]:
        """Return the instances that a target rule names."""
        stages, id = self.aliases[rule]
        instances = self.pipeline.instances.items()
        return [name for name, each in instances if is_target(each, stages, id)]

    def members(self, rule: str) -> list[str]:
        """Return the instances that a target rule stands for on this machine."""
        names = self.named(rule)
        # what is asked for by a name of its own is tried, and fails with its reason
        return [name for name in names if name not in self.left_out] or names

    def _named(self) -> list[str]:
        """Return the instances that the targets name; without one, those of `all`."""
        rules = {rule: self.named(rule) for rule in self.aliases}
        return named_by(self.pipeline, rules, rules.get("all", ()))

    def _require_sources(self, name: str) -> None:
        """End a run that is to make what reads data that are not there.

        An input function calls this, before anything runs. Snakemake takes an exception
        there for "no rule makes this file", and a file that exists for up to date.
        """
        verdict = self.verdicts.get(name)  # none in a cluster job: its head asked
        for error in verdict.unread.values() if verdict and not self.unpruned else ():
            sys.exit(f"error: {error}")

    def _read_of(self, name: str) -> list[str]:
        """Return the inputs of an instance that Snakemake sees.

        Not what lies where params say: the records look after it, and a job in a
        cluster's queue must not notice that params.yaml was edited.
        """
        instance = self.pipeline[name]
        outside = self.pipeline.outside(instance)
        return [dep for dep in instance.deps if dep not in outside]

    def _asked_for(self) -> list[str]:
        """Return the stale instances that the targets need."""
        words = self.aliases.keys() & set(sys.argv[1:])
        rules = {rule: self.members(rule) for rule in words}
        everything = self.pipeline.instances.keys() - self.left_out.keys()
        asked = named_by(self.pipeline, rules, everything)
        return stale_closure(asked, self.verdicts, self.pipeline.producer)

    def _read(self) -> None:
        if PLAN not in os.environ:
            raise UserError(
                "a job does not know where the head's plan is",
                PLAN,
                "export the environment to jobs (sbatch --export=ALL, qsub -V)",
            )
        plan = read_named(self.root / os.environ[PLAN], "the head's plan")
        self.recipes, self.wanted = plan["recipes"], plan["wanted"]
        self.stale, self.code = set(plan["stale"]), os.environ[CODE]
        self.bundles = [
            Bundle(n, s, tuple(members)) for n, s, members in plan["bundles"]
        ]
        self.shares = plan["shares"]
        self.waiting = [
            Waiting(n, job, tuple(members)) for n, job, members in plan["waiting"]
        ]

    def _queued(self) -> list[Waiting]:
        """What jobs in the queue still make; a dry run goes on without the queue."""
        if self.scheduler != "slurm" or self.unpruned:
            return []
        if not is_dry(sys.argv[1:]):
            return awaited(self.root, self.recipes)
        try:
            return awaited(self.root, self.recipes, pauses=())
        except UserError as error:
            print(
                f"{error.what}. Jobs in the queue, partitions and their limits were "
                "not checked",
                file=sys.stderr,
            )
            return []

    def _relative(self, path: Path) -> str:
        return path.relative_to(self.root).as_posix()
