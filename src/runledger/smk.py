"""What a Snakefile needs of the records: pruned inputs, fetching, bundles, guards.

The head process judges every instance while the Snakefile is read, and hands the
verdicts to its jobs by an environment variable; a cluster job that parses the Snakefile
again reads them from there, so that both see one DAG.
"""

from __future__ import annotations

import json
import os
import re
import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from runledger import environment
from runledger.bundles import Aliases, Bundle, Sizes, asked_for, bundles, is_target
from runledger.canonical import digest, pretty, write_once
from runledger.dates import date_ticket, make_newer
from runledger.errors import UserError
from runledger.execution import CODE, VERDICTS
from runledger.judge import Judge, Verdict
from runledger.lease import HeadLock
from runledger.pipeline import CODE_STAGE
from runledger.project import load_pipeline
from runledger.queue import Waiting, awaited, write_label
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
        if re.fullmatch(r"-[knpq]*[fFR][knpqfFR]*|--force(all|run)?(=.*)?", word)
    ]
    if forced:
        raise UserError(
            f"{' '.join(forced)} asks for what the records call valid to be run again",
            "command line",
            "to make an instance anew, remove its records "
            "(results/records/<stage>/<id>) and run without",
        )


class Ledger:
    """The records as the Snakefile sees them.

    Args:
        root: the checkout.
        main: whether this is the head process (``workflow.is_main_process``).
        aliases: {target rule: (stages, id or None for all)} that it stands for.
        sizes: how stale instances are bundled.
        parts: {stage: jobs that share one instance's work}; those are not bundled.
        scheduler: "slurm": what its queue still makes is waited for, not submitted.
    """

    def __init__(
        self,
        root: Path,
        main: bool,
        aliases: Aliases,
        sizes: Sizes,
        parts: Mapping[str, int] | None = None,
        scheduler: str = "",
    ) -> None:
        self.root, self.main = Path(root), main
        self.aliases, self.shares, self.scheduler = (
            aliases,
            dict(parts or {}),
            scheduler,
        )
        shared = {stage: 1 for stage, count in self.shares.items() if count > 1}
        self.sizes = replace(sizes, most={**sizes.most, **shared})
        self._announced = False
        self.unpruned = bool(os.environ.get(UNPRUNED))
        self.store = Store(root)
        self.lock = HeadLock(root)
        self.verdicts: dict[str, Verdict] = {}
        self.pipeline = load_pipeline(root)
        if main:
            self._judge()
        else:
            # the warning before a time limit reaches all processes of a cluster job;
            # it is for the stage program, not for the snakemake around it
            signal.signal(signal.SIGUSR1, signal.SIG_IGN)
            self._read_plan()

    # planning, in the head

    def _judge(self) -> None:
        if not self.unpruned:
            refuse_force(sys.argv[1:])
        os.environ.pop(VERDICTS, None)
        lost: dict[str, str] = {}
        while True:  # losing one artefact can make others needed
            judge = Judge(self.root, self.pipeline, lost)
            self.verdicts = judge.judge()
            self.stale = {n for n, v in self.verdicts.items() if not v.valid}
            self.stale |= self._stale_code(judge)
            self.wanted = self._wanted()
            gone = self._unavailable() if not self.unpruned else {}
            if not gone.keys() - lost.keys():
                break
            lost.update(gone)
        self._write_plan(judge)

    def _stale_code(self, judge: Judge) -> set[str]:
        """Name the code fingerprints whose file is not what it should be."""
        found = set()
        for name, verdict in self.verdicts.items():
            if verdict.instance.stage == CODE_STAGE:
                path = self.root / verdict.instance.outs[0].path
                text = judge.code_text(verdict.instance.id)
                if not path.exists() or path.read_text() != text:
                    found.add(name)
        return found

    def _wanted(self) -> dict[str, dict[str, str]]:
        """Return {path: ticket} of valid files that are wrong or absent but needed.

        Needed are inputs of stale instances, and files named on the command line.
        """
        wanted = {}
        for path in set(sys.argv[1:]) & self.pipeline.producer.keys():
            maker = self.pipeline.producer[path]
            if maker not in self.stale and self._missing(maker, path):
                wanted[path] = self._ticket(maker, path)
        for name in self.stale:
            for dep in self.verdicts[name].instance.deps:
                maker = self.pipeline.producer.get(dep)
                if maker and maker not in self.stale and self._missing(maker, dep):
                    wanted[dep] = self._ticket(maker, dep)
        return wanted

    def _ticket(self, maker: str, path: str) -> dict[str, str]:
        """Say which bytes a file should have, and which record says so."""
        record = self.verdicts[maker].record
        place = self.store.root / "results" / "records"
        place = place / self.pipeline[maker].key_name / f"{record.key}.json"
        md5 = record.outputs[path]["md5"]
        return {"path": path, "md5": md5, "record": self._relative(place)}

    def _missing(self, maker: str, path: str) -> bool:
        """Whether a valid instance's file is absent or has wrong bytes."""
        content = self.store.current(self.root / path)
        return content is None or content.md5 != self.verdicts[maker].outputs[path].md5

    def _inline(self, path: str) -> str | None:
        record = self.verdicts[self.pipeline.producer[path]].record
        return record.outputs[path].get("inline") if record else None

    def _unavailable(self) -> dict[str, str]:
        """Return {md5: why} of wanted bytes that neither cache nor remote has."""
        absent = {
            ticket["md5"]
            for path, ticket in self.wanted.items()
            if self._inline(path) is None and not self.store.has(ticket["md5"])
        }
        if not absent:
            return {}
        from runledger.remote import missing_on_remote

        where, gone = missing_on_remote(self.root, absent)
        return {md5: f"its bytes are neither here nor on {where}" for md5 in gone}

    def _write_plan(self, judge: Judge) -> None:
        run = environment.commit(self.root)
        self.recipes = {
            name: write_recipe(
                self.root, of_verdict(self.verdicts[name], self.pipeline)
            )
            for name in self.verdicts
            if name in self.stale
        }
        make_newer(self.root, self.pipeline, self.recipes)
        os.environ[VERDICTS] = write_verdicts(self.root, self.verdicts, run)
        os.environ[CODE] = snapshot_code(self.root, judge.code)
        self.code = os.environ[CODE]
        self.waiting = awaited(self.root, self.recipes) if self._has_queue() else []
        taken = {name for waiting in self.waiting for name in waiting.instances}
        stale = [n for n in self._asked_for() if n not in taken]
        stale += sorted(n for n in self.stale if self.verdicts[n].valid)
        self.bundles = (
            []
            if self.unpruned
            else bundles(self.root, self.pipeline, self.verdicts, stale, self.sizes)
        )
        plan = {
            "shares": self.shares,
            "waiting": [[w.name, w.job, list(w.instances)] for w in self.waiting],
            "bundles": [[b.name, b.stage, list(b.instances)] for b in self.bundles],
            "recipes": self.recipes,
            "stale": sorted(self.stale),
            "wanted": self.wanted,
        }
        path = f"results/.state/plans/{digest(plan)}.json"
        write_once(self.root / path, pretty(plan))
        os.environ[PLAN] = path

    def _asked_for(self) -> list[str]:
        return asked_for(self.pipeline, self.verdicts, self.aliases)

    def _read_plan(self) -> None:
        try:
            plan = json.loads((self.root / os.environ[PLAN]).read_text())
        except (KeyError, OSError) as error:
            raise UserError(
                f"a job cannot see the head's plan: {error}",
                PLAN,
                "export the environment to jobs (sbatch --export=ALL); share the disk",
            ) from None
        self.recipes, self.wanted = plan["recipes"], plan["wanted"]
        self.stale, self.code = set(plan["stale"]), os.environ[CODE]
        self.bundles = [
            Bundle(n, s, tuple(members)) for n, s, members in plan["bundles"]
        ]
        self.shares = plan["shares"]
        self.waiting = [
            Waiting(n, job, tuple(members)) for n, job, members in plan["waiting"]
        ]

    # what rules use

    def needs(self, stage: str, id: str, **inputs: Any) -> Callable[[Any], dict]:
        """Return an input function: nothing for a valid instance, else its inputs.

        Args:
            stage, id: the instance; the id is a pattern of wildcards.
            inputs: path patterns, lists of them, or functions of the wildcards.
        """

        def function(wildcards: Any) -> dict[str, Any]:
            name = self.pipeline.find(f"{stage}/{id.format(**wildcards)}").name
            return self._inputs(name, stage, inputs, wildcards)

        return function

    def _inputs(self, name: str, stage: str, inputs: Mapping, wildcards: Any) -> dict:
        if name not in self.stale and not self.unpruned:
            return {}
        found = {
            key: value(wildcards)
            if callable(value)
            else [entry.format(**wildcards) for entry in value]
            if isinstance(value, list)
            else value.format(**wildcards)
            for key, value in inputs.items()
        }
        if stage != CODE_STAGE:
            found["code"] = f"results/code/{stage}.json"
        if not self.unpruned:
            found["recipe"] = self.recipes[name]
        return found

    def deps(self, stage: str, id: str) -> Callable[[Any], list[str]]:
        """Return a function giving what dvc.yaml lists for an instance, less code."""

        def function(wildcards: Any) -> list[str]:
            instance = self.pipeline.find(f"{stage}/{id.format(**wildcards)}")
            return [dep for dep in instance.deps if not dep.startswith("results/code/")]

        return function

    def item(self, stage: str, id: str, key: str) -> Callable[[Any], Any]:
        """Return a function giving one field of an instance's identity."""
        return lambda wildcards: self.pipeline.find(
            f"{stage}/{id.format(**wildcards)}"
        ).item[key]

    def targets(self, rule: str, workflow: Any) -> Callable[[Any], list[str]]:
        """Return an input function: the files that a target rule asks for.

        All outputs of its instances: stale ones are made, absent ones whose bytes are
        at hand come back, present ones cost nothing. Refuses a run in which Snakemake
        would decide instead of the records (only now are its settings known).
        """
        paths = [
            out.path
            for instance in self.pipeline.instances.values()
            if is_target(instance, *self.aliases[rule])
            for out in instance.outs
            if self._worth_asking(instance.name, out.path)
        ]

        def function(_wildcards: Any) -> list[str]:
            if self.main and not self._announced:
                self._announced = True
                self.check_settings(workflow)
                self._announce()
            return paths

        return function

    def _worth_asking(self, name: str, path: str) -> bool:
        if not self.main or name in self.stale or self.unpruned:
            return True
        if self._missing(name, path):
            ticket = self._ticket(name, path)
            if self._inline(path) is None and not self.store.has(ticket["md5"]):
                return False  # valid; its bytes are a `make pull` away
            self.wanted[path] = ticket
        return True

    def fetchable(self) -> str:
        """Return a pattern matching exactly the files to fetch (never empty)."""
        if not self.wanted or self.unpruned:
            return "(?!)"
        return "|".join(re.escape(path) for path in sorted(self.wanted))

    def ticket(self, wildcards: Any) -> str:
        """Return the file that makes a wrong or absent file be fetched."""
        path = wildcards.path
        content = self.wanted[path]
        ticket = self.root / f"results/.state/tickets/{digest(content)}.json"
        if self.main:
            write_once(ticket, pretty(content))
            date_ticket(ticket, self.root / path)
        return ticket.relative_to(self.root).as_posix()

    # jobs of a cluster: labels in its queue, shares of one instance's work

    def _has_queue(self) -> bool:
        return self.scheduler == "slurm" and not self.unpruned

    def label(self, stage: str, id: str) -> Callable[[Any], str]:
        """Return a function giving the file that labels an instance's job."""

        def function(wildcards: Any) -> str:
            name = self.pipeline.find(f"{stage}/{id.format(**wildcards)}").name
            return self.recipes.get(name, "")

        return function

    def label_of(self, members: Waiting | Bundle) -> str:
        """Return the file that a bundle's job is labelled by."""
        return write_label(self.root, self.bundle_recipes(members))

    def parts(self, stage: str, id: str, pattern: str) -> Callable[[Any], list[str]]:
        """Return an input function: the marks of an instance's shares, if it has any.

        Args:
            stage, id: the instance; the id is a pattern of wildcards.
            pattern: of a share's mark, with {part} and {parts}.
        """

        def function(wildcards: Any) -> list[str]:
            count = self.shares.get(stage, 1)
            name = self.pipeline.find(f"{stage}/{id.format(**wildcards)}").name
            if count == 1 or name not in self.stale or self.unpruned:
                return []
            return [
                pattern.format(**{**wildcards, "part": part, "parts": count})
                for part in range(count)
            ]

        return function

    def bundle_inputs(self, bundle: Bundle) -> list[str]:
        """Return what all members of a bundle read."""
        if bundle.stage == CODE_STAGE:
            return []
        paths = {dep for name in bundle.instances for dep in self.pipeline[name].deps}
        return sorted(paths)

    def bundle_recipes(self, bundle: Bundle | Waiting) -> list[str]:
        """Return the members' frozen recipes."""
        return [self.recipes[name] for name in bundle.instances]

    def bundle_outputs(self, bundle: Bundle | Waiting) -> list[str]:
        """Return what all members of a bundle write."""
        return [o.path for name in bundle.instances for o in self.pipeline[name].outs]

    # guards and side effects, in the head only

    def check_settings(self, workflow: Any) -> None:
        """Refuse settings under which Snakemake would decide instead of the records.

        Raises:
            WorkflowError: other rerun triggers than mtime.
        """
        from snakemake.exceptions import WorkflowError

        triggers = {str(trigger) for trigger in workflow.rerun_triggers}
        if triggers != {"mtime"}:
            error = UserError(
                f"rerun triggers {sorted(triggers)}: records decide what runs, not "
                "Snakemake's own comparison",
                "command line or profile",
                "drop --rerun-triggers, and keep workflow/profiles/default",
            )
            raise WorkflowError(str(error))

    def start(self, workflow: Any) -> None:
        """Take the head's lock and save bytes that Snakemake is about to delete.

        Raises:
            UserError: another head runs here; or Snakemake left out what is stale.
        """
        self._check_dag(workflow.dag)
        self.lock.acquire()
        for name in self.stale:
            for out in self.verdicts[name].instance.outs:
                self._rescue(self.root / out.path)

    def _check_dag(self, dag: Any) -> None:
        """Make sure that every stale instance of the DAG is going to run."""
        left = {
            self.pipeline.producer.get(str(path))
            for job in dag.jobs
            if not dag.needrun(job)
            for path in job.output
        }
        if left & self.stale:
            raise UserError(
                f"Snakemake would not run what is stale: {sorted(left & self.stale)}",
                "the DAG",
                "report it with `snakemake -n` of the same command; nothing ran",
            )

    def _rescue(self, path: Path) -> None:
        """Keep a recorded file in the cache before its path is made anew."""
        if not path.is_file():
            return
        content = self.store.current(path)
        if self.store.object_path(content.md5).exists():
            return
        instance = self.pipeline[self.pipeline.producer[self._relative(path)]]
        for record in Judge(self.root, self.pipeline).records.history(
            instance.stage, instance.id
        ):
            out = record.outputs.get(self._relative(path), {})
            if out.get("md5") == content.md5 and "inline" not in out:
                self.store.put(path, content)

    def _relative(self, path: Path) -> str:
        return path.relative_to(self.root).as_posix()

    def stop(self) -> None:
        """Write dvc.lock from the records and give the lock back."""
        from runledger.dvclock import settle

        try:
            settle(self.root)
        finally:
            self.lock.release()

    def _announce(self) -> None:
        """Print why what is stale is stale: changes in full, consequences counted."""
        from snakemake.logging import logger

        asked = self._asked_for()
        new, follows, lines = 0, 0, []
        for name in asked:
            reasons = self.verdicts[name].reasons
            changes = [r for r in reasons if not r.endswith(" is stale")]
            if changes == ["never run"]:
                new += 1
            elif changes:
                lines.append(f"  {name}: {'; '.join(changes)}")
            else:
                follows += 1
        if new:
            lines.append(f"  {new} never run")
        if follows:
            lines.append(f"  {follows} only because something they read is stale")
        if lines:
            logger.info("\n".join([f"{len(asked)} stale instances:", *lines]))
