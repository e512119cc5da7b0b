"""What the head does beside planning: refuses, announces, locks, rescues, settles."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from runledger import environment
from runledger.errors import UserError
from runledger.guards import check_dag, check_folder
from runledger.judge import Judge
from runledger.pipeline import CODE_STAGE
from runledger.planning import Plan, forcing
from runledger.presence import OTHER
from runledger.projection import renew
from runledger.store import hash_path


class Head(Plan):
    """The plan of a run, with its side effects; the Snakefile's hooks call it."""

    _announced = False
    _registered = _started = False
    _missed: frozenset[str] = frozenset()  # left out of what was asked for

    def check_settings(self, workflow: Any) -> None:
        """Refuse settings under which Snakemake would decide instead of the records.

        Raises:
            WorkflowError: other rerun triggers than mtime, or forced runs.
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
        dag = workflow.dag_settings
        if not self.unpruned and (dag.forceall or dag.forcerun or dag.forcetargets):
            raise WorkflowError(str(forcing("--force")))

    def start(self, workflow: Any) -> None:
        """Take the head's lock and save bytes that Snakemake is about to delete.

        Raises:
            UserError: another head runs here; the cache cannot be used; the folder's
                name is not for a cluster; a folder of code holds what DVC cannot keep;
                or Snakemake left out what is stale.
        """
        self.check_settings(workflow)  # targets that are files have not asked yet
        check_dag(self.stale, self.pipeline.producer, workflow.dag)
        check_folder(self.root, workflow)
        instances = self.pipeline.instances.values()
        for folder in {d for i in instances if i.stage == CODE_STAGE for d in i.deps}:
            self.store.current(self.root / folder)  # dvc.lock is to hold it
        self._started = True
        self.store.prepare()
        self.lock.acquire()
        for path in self.wanted.keys() & self.wrong.keys():
            if self.wrong[path] == OTHER:
                continue
            if kept := self.presence.set_aside(path):
                self._log(f"{path} is replaced; what was there is kept: {kept}")
        for name in self.stale:
            for out in self.verdicts[name].instance.outs:
                self._rescue(self.root / out.path)
        self._tell(workflow)
        if renewed := renew(self.root, self.pipeline):
            self._log(renewed)

    def _tell(self, workflow: Any) -> None:
        """Say what the jobs stand for; that it cannot be said must not end a run."""
        from snakemake.logging import logger

        from runledger.display.plan import announce

        try:
            announce(self, workflow)
        except Exception as error:
            logger.warning(f"jobs are shown by their rules only: {error!r}")

    def _rescue(self, path: Path) -> None:
        """Keep a recorded file in the cache before its path is made anew."""
        if not path.exists():
            return
        content = self.store.current(path)
        if self.store.looks_sound(content.md5):
            return
        instance = self.pipeline[self.pipeline.producer[self._relative(path)]]
        for record in Judge(self.root, self.pipeline).records.history(
            instance.stage, instance.id
        ):
            out = record.outputs.get(self._relative(path), {})
            if out.get("md5") == content.md5 and "inline" not in out:
                self.store.put(path, hash_path(path))

    def stop(self) -> None:
        """Write dvc.lock from the records and give the lock back."""
        from runledger.dvclock import settle

        try:
            settle(self.root)
        finally:
            self.lock.release()
            self._say(self._missed)  # far below the first time

    def _found_nothing_to_do(self, workflow: Any) -> None:
        """Write dvc.lock after a run without jobs, for which Snakemake calls no hook.

        It may be behind: the head before this one was killed, or git brought records.
        """
        from runledger.dvclock import settle

        asked = workflow.dryrun or workflow.touch
        planned = workflow.scheduler is not None  # and nothing was refused before that
        if asked or not planned or self._started or len(workflow.dag):
            return
        try:
            self.lock.acquire()
        except UserError:
            return  # the head that runs here writes it when it ends
        try:
            settle(self.root)
        except UserError as error:
            self._log(str(error))
        finally:
            self.lock.release()

    def _say(self, left_out: Iterable[str]) -> None:
        """Say what is left out for want of something optional, and what to install."""
        from snakemake.logging import logger

        for name in sorted(left_out):
            paths = ", ".join(out.path for out in self.pipeline[name].outs)
            logger.warning(f"left out: {paths}. {self.left_out[name]}")

    def _announce(self) -> None:
        """Say once why what is stale is stale."""
        if self._announced or not self.main or self.unpruned:
            return
        self._announced = True
        from snakemake.logging import logger

        from runledger.display.reasons import reasons

        asked = self._asked_for()
        if asked and (unknown := environment.warning(self.commit)):
            logger.warning(unknown)
        if text := reasons(asked, self.verdicts, self.pipeline.trainings):
            logger.info(text)
        if self.wrong:
            self._announce_wrong()

    def _announce_wrong(self) -> None:
        """Say which files have other bytes than their records say."""
        lines = []
        for path in sorted(self.wrong):
            what = (
                "the recorded bytes are put back"
                if path in self.wanted
                else "not used; the recorded bytes are not here (`runledger pull`)"
            )
            lines.append(f"  {path}: {what}")
        self._log("\n".join(["files with other bytes than recorded:", *lines]))

    @staticmethod
    def _log(text: str) -> None:
        from snakemake.logging import logger

        logger.warning(text)
