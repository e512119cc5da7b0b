"""In Snakemake's process: the records decide which rules of a Snakefile have inputs.

The rules stay as they are written. What Snakemake reads for an instance is
nothing if it is valid, and its inputs and its frozen recipe if it is stale; the
function that it calls for a job checks, publishes and records.
"""

from __future__ import annotations

import atexit
import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from runledger.bundles import Sizes
from runledger.errors import UserError
from runledger.pipeline import Pipeline
from runledger.smk import Ledger
from runledger.workflows.reading import FETCH, Reading, instance_name
from runledger.workflows.running import make

_reading: list[bool] = []  # not empty while `read` includes a Snakefile
RECIPE = "runledger_recipe"  # keyword of the recipe among a job's inputs


@contextmanager
def _only_reading() -> Iterator[None]:
    _reading.append(True)
    try:
        yield
    finally:
        _reading.pop()


def read(root: Path, snakefile: Path) -> Pipeline:
    """Return the instances of a Snakefile, by Snakemake itself (2 s, mostly imports).

    Raises:
        UserError: it cannot be read, or its rules cannot be recorded.
    """
    from snakemake.api import (
        ConfigSettings,
        OutputSettings,
        ResourceSettings,
        SnakemakeApi,
    )
    from snakemake.settings.enums import Quietness

    quiet = OutputSettings(quiet={Quietness.ALL})
    try:
        with _only_reading(), SnakemakeApi(quiet) as api:
            found = api.workflow(
                ResourceSettings(), ConfigSettings(), snakefile=snakefile
            )
            return Reading(root, found._workflow).pipeline()
    except UserError:
        raise
    except Exception as error:
        raise UserError(
            f"cannot be read: {type(error).__name__}: {error}",
            str(snakefile),
            "correct it; `snakemake -n` may say more",
        ) from error


class Attached(Ledger):
    """The records for a Snakefile that names them nowhere."""

    tool = f"{shlex.quote(sys.executable)} -m runledger"

    def named(self, rule: str) -> list[str]:
        """Return the instances that a target rule asks for."""
        return sorted(self.pipeline.goals[rule])

    def _named(self) -> list[str]:
        words = set(sys.argv[1:])
        goals = {rule: self.named(rule) for rule in self.pipeline.goals}
        for name, instance in self.pipeline.instances.items():
            if not instance.id:
                goals.setdefault(instance.stage, [name])
        chosen = {name for rule in words & goals.keys() for name in goals[rule]}
        paths = words & self.pipeline.producer.keys()
        chosen |= {self.pipeline.producer[path] for path in paths}
        return sorted(chosen or goals.get(self.pipeline.default_goal, ()))

    def order(self, workflow: Any) -> None:
        """Prefer what is fetched to what is made, and no other rule to any."""
        for rule in list(workflow.rules):
            if rule.name not in FETCH:
                workflow.ruleorder(FETCH[0], rule.name)
                workflow.ruleorder(FETCH[1], rule.name)

    def attach(self, workflow: Any, reading: Reading) -> None:
        """Let the rules of a workflow ask the records."""
        makers, self.unmade = {rule.name for rule in reading.makers}, reading.unmade
        for rule in reading.rules:
            if rule.name in makers:
                rule.expand_input = self._pruned(rule)
                rule.run_func = self._recorded(rule)
            else:
                rule.expand_input = self._target(rule)
        if self.main:
            self._hook(workflow)

    def _hook(self, workflow: Any) -> None:
        before, good, bad = workflow._onstart, workflow._onsuccess, workflow._onerror

        def started(log: Any) -> None:
            self._check_registered(workflow)
            self.start(workflow)
            before(log)

        def ended(hook: Callable[[Any], None]) -> Callable[[Any], None]:
            def end(log: Any) -> None:
                try:
                    self.stop()
                finally:
                    hook(log)

            return end

        workflow._onstart, workflow._onsuccess = started, ended(good)
        workflow._onerror = ended(bad)
        atexit.register(self._found_nothing_to_do, workflow)

    def _check_registered(self, workflow: Any) -> None:
        """Refuse a job whose result no record could be kept of, and say why not."""
        jobs = list(workflow.dag.needrun_jobs())
        for path in (str(path) for job in jobs for path in job.output):
            if path in self.unmade:
                raise self.unmade[path]
        for job in jobs:
            recorded = getattr(job.rule.expand_input, "recorded", False)
            if recorded and self._name(job.rule, job.wildcards_dict) not in self.stale:
                raise UserError(
                    f"{', '.join(map(str, job.output))} is asked for by no rule "
                    "without wildcards, so that no plan has it",
                    f"rule {job.rule.name}",
                    "let a target rule (such as `all`) name it as an input",
                )

    @staticmethod
    def _name(rule: Any, wildcards: Any) -> str:
        return instance_name(rule, dict(wildcards))

    def _pruned(self, rule: Any) -> Callable[..., Any]:
        """Return what expands a rule's inputs: none for a valid instance."""
        from snakemake.io import IOFile
        from snakemake.iocontainers import InputFiles

        unpruned = rule.expand_input

        class Inputs(InputFiles):
            """What a job reads, and its recipe, which the job itself does not see."""

            own: Any = None

            def _plainstrings(self) -> Any:
                return self.own._plainstrings()

            def __str__(self) -> str:
                return str(self.own)

            __hash__ = InputFiles.__hash__

        def expand(wildcards: Any, groupid: Any = None) -> Any:
            name = self._name(rule, wildcards)
            if self.unpruned or (self.main and name not in self.pipeline.instances):
                return unpruned(wildcards, groupid)
            if name not in self.stale:
                return InputFiles(), {}, {}, False
            self._announce()
            found, mapping, fixed, incomplete = unpruned(wildcards, groupid)
            input = Inputs(toclone=found)
            input.own = found
            input.append(IOFile(self.recipes[name], rule=rule))
            input._add_name(RECIPE)
            return input, mapping, fixed, incomplete

        expand.unpruned, expand.recorded = unpruned, True
        return expand

    def _target(self, rule: Any) -> Callable[..., Any]:
        """Return what expands a target's inputs: what it stands for and can be had."""
        from snakemake.io import IOFile
        from snakemake.iocontainers import InputFiles

        unpruned = rule.expand_input

        def expand(wildcards: Any, groupid: Any = None) -> Any:
            found, mapping, fixed, incomplete = unpruned(wildcards, groupid)
            if self.unpruned or not self.main:
                return found, mapping, fixed, incomplete
            self.check_settings(rule.workflow)
            self._announce()
            makers = self.pipeline.producer
            kept = [f for f in found if f not in makers or self._worth_asking(str(f))]
            names = [makers[str(path)] for path in found if str(path) in makers]
            below = self.pipeline.ancestry(names)
            wrong = {path for path in self.wanted if makers[path] in below}
            kept += [IOFile(path, rule=rule) for path in sorted(wrong - set(kept))]
            # what is never out of date, so that a target without inputs is not, either
            kept = kept or [IOFile(self.pipeline.watched[0], rule=rule)]
            input = InputFiles()
            input.extend(kept)
            return input, {f: mapping.get(f, f) for f in kept}, fixed, incomplete

        expand.unpruned = unpruned
        return expand

    def _recorded(self, rule: Any) -> Callable[..., None]:
        """Return what Snakemake calls for a job: check, run, publish, record."""
        from snakemake.exceptions import WorkflowError

        command = rule.run_func

        def run(
            input: Any, output: Any, params: Any, wildcards: Any, *rest: Any
        ) -> None:
            values = dict(wildcards.items())
            name = self._name(rule, values)
            if self.unpruned or name not in self.recipes:
                raise WorkflowError(
                    f"{name} has no recipe: it is valid, or the records do not know it"
                )

            def computed() -> None:
                command(input, output, params, wildcards, *rest)
                for path, declared in zip(output, rule.output, strict=True):
                    if "touch" in getattr(declared, "flags", {}):
                        Path(path).parent.mkdir(parents=True, exist_ok=True)
                        Path(path).touch()

            def describe() -> Any:
                return Reading(self.root, rule.workflow).describe(rule, values)

            try:
                make(self.root, self.recipes[name], describe, computed)
            except UserError as error:
                raise WorkflowError(str(error)) from None

        run.__name__ = command.__name__
        return run


def attach(workflow: Any) -> Attached | None:
    """Let the records decide for all rules that a Snakefile has declared so far.

    Called by rules.smk, which a Snakefile includes last. Does nothing in a module of
    another workflow, whose own Snakefile attaches, nor while the rules are only read.

    Raises:
        WorkflowError: a rule cannot be recorded, or the settings are not as needed.
    """
    from snakemake.exceptions import WorkflowError

    if _reading or len(workflow.modifier_stack) > 1:
        return None
    root = Path.cwd()
    if not (root / ".dvc").is_dir():
        error = UserError(
            "there is no DVC repository here", str(root), "runledger init, once"
        )
        raise WorkflowError(str(error))
    main = workflow.is_main_process
    try:
        reading = Reading(root, workflow)
        pipeline = reading.pipeline() if main else Pipeline([], {})
        ledger = Attached(
            root, main, dict(pipeline.goals), Sizes({}, {}), pipeline=pipeline
        )
        ledger.attach(workflow, reading)
    except UserError as error:
        raise WorkflowError(str(error)) from None
    return ledger
