"""What a Snakefile's rules need of the records: pruned inputs, fetching, bundles."""

from __future__ import annotations

import atexit
import re
import shlex
import sys
from collections.abc import Callable, Mapping
from typing import Any

from runledger.bundles import Bundle
from runledger.canonical import digest, pretty, write_once
from runledger.dates import date_ticket
from runledger.head import Head
from runledger.pipeline import CODE_STAGE, Instance
from runledger.presence import ABSENT
from runledger.project import ledger_folder, ledger_path
from runledger.queue import Waiting, write_label
from runledger.stages import Stage, filled


class Ledger(Head):
    """The records as the Snakefile sees them: what rules ask of the plan."""

    @property
    def params(self) -> Mapping[str, Any]:
        """The params of today, read and checked."""
        return self.pipeline.params

    @property
    def stages(self) -> Mapping[str, Stage]:
        """What the rules declare, by the rule's name."""
        return self.pipeline.stages

    def id_pattern(self, stage: str) -> str:
        """Return the pattern of a stage's ids."""
        return self.stages[stage].id

    def instance(self, stage: str, wildcards: Any, id: str | None = None) -> Instance:
        """Return the instance of a stage that some wildcards stand for."""
        id = self.id_pattern(stage) if id is None else id
        return self.pipeline.find(f"{stage}/{id.format(**wildcards)}")

    def ids(self, *stages: str) -> list[str]:
        """Return the ids of stages' instances, each of which is a target rule."""
        return [id for found, id in self.aliases.values() if id and found == stages]

    def needs(
        self,
        stage: str,
        id: str | None = None,
        *,
        fields: Callable[[Any], dict[str, Any]] | None = None,
        each: str = "",
        **inputs: Any,
    ) -> Callable[[Any], dict]:
        """Return an input function: nothing for a valid instance, else its inputs.

        Args:
            stage: the rule's name.
            id: pattern of the ids, if no output of the rule says it.
            fields: gives what of an instance's identity no wildcard says; patterns of
                inputs may name it.
            each: the stage to each of whose instances this one is applied; without,
                what something reads is made.
            inputs: path patterns, lists of them, or functions of the wildcards.
        """

        def function(wildcards: Any) -> dict[str, Any]:
            name = self.instance(stage, wildcards, id).name
            if name not in self.stale and not self.unpruned:
                return {}
            scope = {**(fields(wildcards) if fields else {}), **wildcards}
            return self._inputs(name, stage, inputs, wildcards, scope)

        return function

    def _inputs(
        self, name: str, stage: str, inputs: Mapping, wildcards: Any, scope: Mapping
    ) -> dict:
        self._announce()
        self._require_sources(name)
        found: dict[str, Any] = {}
        for key, value in inputs.items():
            paths = filled(value, wildcards, scope)
            # what lies where params say is looked after by the records alone
            found[key] = [path for path in paths if not path.startswith("${")]
        if stage != CODE_STAGE:
            found["code"] = f"{ledger_folder(self.root)}/code/{stage}.json"
        if not self.unpruned:
            found["recipe"] = self.recipes[name]
        return found

    def deps(self, stage: str, id: str) -> Callable[[Any], list[str]]:
        """Return a function giving what dvc.yaml lists for an instance, less code."""

        def function(wildcards: Any) -> list[str]:
            name = self.pipeline.find(f"{stage}/{id.format(**wildcards)}").name
            code = f"{ledger_folder(self.root)}/code/"
            return [d for d in self._read_of(name) if not d.startswith(code)]

        return function

    def targets(
        self, rule: str, workflow: Any, *_stages: str, last: bool = False
    ) -> Callable[[Any], list[str]]:
        """Return an input function: the files that a target rule asks for.

        Which stages that are is said here, and read before any rule (snakefile.py):
        those named, and with ``last`` all of which no other reads anything.

        All outputs of its instances: stale ones are made, absent ones whose bytes are
        at hand come back, present ones cost nothing. And what they rest on and has
        wrong bytes, if the right ones are at hand. Refuses a run in which Snakemake
        would decide instead of the records (only now are its settings known).
        """
        if self.main and not self._registered:
            self._registered = True
            atexit.register(self._found_nothing_to_do, workflow)

        def function(_wildcards: Any) -> list[str]:
            members, named = self.members(rule), self.named(rule)
            if self.main:
                self.check_settings(workflow)
                self._announce()
                left_out = set(named) - set(members)
                self._say(left_out - self._missed)
                self._missed |= left_out
            paths = {
                out.path
                for name in members
                for out in self.pipeline[name].outs
                if self._worth_asking(out.path)
            }
            below = self.pipeline.ancestry(members)
            paths |= {p for p in self.wanted if self.pipeline.producer[p] in below}
            return sorted(paths)

        return function

    def _worth_asking(self, path: str) -> bool:
        """False of what is valid and only on the remote: `runledger pull` is for it."""
        if not self.main or self.unpruned or path in self.wanted:
            return True
        return self.presence.state(path) != ABSENT

    def fetchable(self, folders: bool = False) -> str:
        """Return a pattern matching exactly the files (or folders) to fetch.

        Snakemake wants to know which: a project with folders as outputs has two rules
        that fetch, and the output of one of them is a directory().
        """
        paths = [
            re.escape(path)
            for path, ticket in sorted(self.wanted.items())
            if ticket["md5"].endswith(".dir") == folders and not self.unpruned
        ]
        return "|".join(paths) or "(?!)"

    def ticket(self, wildcards: Any) -> list[str]:
        """Return the file that makes a wrong or absent file be fetched."""
        path = wildcards.path
        content = self.wanted[path]
        if content["here"]:
            return []
        ticket = ledger_path(self.root, ".state", "tickets", f"{digest(content)}.json")
        if self.main:
            self._announce()
            write_once(ticket, pretty(content))
            date_ticket(self.root, ticket, self.root / path)
        return [ticket.relative_to(self.root).as_posix()]

    @staticmethod
    def python(workflow: Any) -> str:
        """Return the Python of the jobs, quoted: the head's, or rules' conda files'."""
        methods = {str(m) for m in workflow.deployment_settings.deployment_method}
        return "python" if "conda" in methods else shlex.quote(sys.executable)

    # jobs of a cluster: labels in its queue, shares of one instance's work

    def label(self, stage: str) -> Callable[[Any], str]:
        """Return a function giving the file that labels an instance's job."""
        return lambda wildcards: self.recipes.get(
            self.instance(stage, wildcards).name, ""
        )

    def parts(self, stage: str, pattern: str) -> Callable[[Any], list[str]]:
        """Return an input function: the marks of an instance's shares, if it has any.

        Args:
            stage: whose work is shared.
            pattern: of a share's mark, with {part} and {parts}.
        """

        def function(wildcards: Any) -> list[str]:
            count = self.shares.get(stage, 1)
            name = self.instance(stage, wildcards).name
            if count == 1 or name not in self.stale or self.unpruned:
                return []
            return [
                pattern.format(**{**wildcards, "part": part, "parts": count})
                for part in range(count)
            ]

        return function

    def bundle_inputs(self, bundle: Bundle) -> Callable[[Any], list[str]]:
        """Return an input function: what all members of a bundle read."""
        members = () if bundle.stage == CODE_STAGE else bundle.instances

        def function(_wildcards: Any) -> list[str]:
            for name in members:
                self._require_sources(name)
            return sorted({dep for name in members for dep in self._read_of(name)})

        return function

    def label_of(self, members: Waiting | Bundle) -> str:
        """Return the file that a bundle's job is labelled by."""
        return write_label(self.root, self.bundle_recipes(members))

    def bundle_recipes(self, bundle: Bundle | Waiting) -> list[str]:
        """Return the members' frozen recipes."""
        return [self.recipes[name] for name in bundle.instances]

    def bundle_outputs(self, bundle: Bundle | Waiting) -> list[str]:
        """Return what all members of a bundle write."""
        return [o.path for name in bundle.instances for o in self.pipeline[name].outs]
