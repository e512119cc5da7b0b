"""Making one instance by its rule's own command, whatever that is.

Under Snakemake, the function that it calls for a job is wrapped: inputs are checked
before, the outputs are published and recorded after. Under DVC or by hand,
`runledger run` asks Snakemake for that one job.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

from runledger import environment
from runledger.canonical import digest
from runledger.differences import differ
from runledger.errors import UserError
from runledger.execution import CODE, VERDICTS, Context
from runledger.job import Job
from runledger.judge import Judge
from runledger.pipeline import Instance
from runledger.planning import PLAN, write_plan
from runledger.project import load_pipeline
from runledger.recipes import Recipe, of_verdict, write_recipe, write_verdicts


class RuleJob(Job):
    """An instance that a rule's own command makes, in place.

    Args:
        context, recipe: as for Job.
        describe: reads again what the rule says of this instance.
    """

    def __init__(
        self, context: Context, recipe: Recipe, describe: Callable[[], Instance]
    ) -> None:
        super().__init__(context, recipe)
        self._describe, self._now = describe, None

    def _more_handlers(self) -> list[logging.Handler]:
        return []  # what the command says is Snakemake's to show

    def _check_code(self) -> None:
        self._now = self._describe()
        frozen = self._now.frozen(self._now.values, digest(self._now.modules))
        if digest(frozen) == self.recipe.frozen_digest:
            return
        was = {"recipe": self.recipe.frozen, "code_modules": self.instance.modules}
        now = SimpleNamespace(frozen=frozen, instance=self._now)
        words = differ(SimpleNamespace(**was), now, None, self._now.modules, self.root)
        raise UserError(
            f"it is not what was planned any more: {'; '.join(words)}",
            self.instance.name,
            "run snakemake again, which plans with the rules and the config as they "
            "are now; a value that differs at each reading cannot be a param",
        )

    def _modules(self) -> dict[str, str]:
        self._check_code()  # nothing that was edited meanwhile is recorded as its code
        return dict(self._now.modules)

    def _place(self) -> None:
        return None

    def _close(self, status: str) -> None:
        super()._close(status)
        for handler in list(self.log.handlers):
            handler.close()


def make(
    root: Path, path: str, describe: Callable[[], Instance], command: Callable[[], None]
) -> None:
    """Make the instance of a frozen recipe, in a process of Snakemake's.

    Args:
        root: the checkout.
        path: of the recipe, relative to it.
        describe: reads again what the rule says.
        command: runs it; raises what Snakemake is to see if it fails.

    Raises:
        UserError: inputs or rule are not what was planned, or an output is missing.
    """
    context = Context(root)
    [recipe] = context.recipes("", [], [path])
    context.store.prepare()
    job = RuleJob(context, recipe, describe)
    try:
        if job.open():
            job.make(lambda _: command())
    except BaseException as error:
        job.fail(error)
        raise


def run(root: Path, target: str, planned: str = "") -> int:
    """Make one instance (for DVC, and for people), through Snakemake's own job.

    Args:
        root: the checkout.
        target: name of the instance, or an output of it.
        planned: the digest of the recipe that dvc.yaml has; "": whatever it is.

    Returns:
        Exit status of Snakemake.

    Raises:
        UserError: dvc.yaml is not what the rules say, or an input is missing.
    """
    pipeline = load_pipeline(root)
    verdicts = Judge(root, pipeline).judge()
    verdict = verdicts[pipeline.find(target).name]
    instance = verdict.instance
    if planned and planned != verdict.frozen_digest:
        raise UserError(
            "dvc.yaml was written for another recipe of this instance",
            instance.name,
            "write it anew: python -m runledger plan",
        )
    recipe = of_verdict(verdict, pipeline)
    os.environ[VERDICTS] = write_verdicts(root, verdicts, environment.commit(root))
    os.environ[CODE] = "."
    os.environ[PLAN] = write_plan(root, {instance.name: write_recipe(root, recipe)})
    words = [f"{name}={value}" for name, value in instance.item.items()]
    command = [
        *(sys.executable, "-m", "snakemake", "--cores", "all", "--mode", "subprocess"),
        *("--target-jobs", f"{instance.stage}:{','.join(words)}"),
        *("--allowed-rules", instance.stage, "--force", "--nolock", "--no-hooks"),
        *("--ignore-incomplete", "--rerun-triggers", "mtime", "--quiet", "all"),
    ]
    return subprocess.run(command, cwd=root).returncode
