"""Which instances there are: what the last stages need, and what that needs, and so on.

As Snakemake does it: a path that a stage reads is matched with the patterns of outputs,
which gives the stage that makes it and the values of its wildcards. It begins at the
rules without wildcards, and at the stages that apply to each instance of another.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from runledger.dvcyaml import fill
from runledger.errors import UserError
from runledger.pipeline import CODE_STAGE, Instance
from runledger.project import code_folders, program_of
from runledger.sources import uncounted_keys
from runledger.stages import Stage, Wildcards, filled


class Expansion:
    """Instances of stages, made as they are found to be needed.

    Args:
        stages: {name: stage}.
        params: the parsed params.yaml.
        root: the checkout, whose settings say where the stages' programs are.
    """

    def __init__(
        self, stages: Mapping[str, Stage], params: Mapping[str, Any], root: Path
    ) -> None:
        self.stages, self.params, self.root = stages, params, root
        self.wildcards: dict[tuple[str, str], Wildcards] = {}
        self.instances: dict[str, dict[str, Instance]] = {name: {} for name in stages}
        self.raw: dict[str, tuple[str, ...]] = {}  # deps with ${...} of params
        self._prefixes: dict[str, list] = {}
        for stage in stages.values():
            for prefix, expression in stage.patterns:
                self._prefixes.setdefault(prefix, []).append((stage, expression))
        self._lengths = sorted(set(map(len, self._prefixes)), reverse=True)
        self._seen: set[str] = set()

    def run(self) -> list[Instance]:
        """Return all instances: by stage in the order of the rules, ids in order.

        Raises:
            UserError: two rules make one file, or a rule names an unknown field.
        """
        for stage in self.stages.values():
            if not stage.id:
                self._need(stage, Wildcards())
        for stage in self.stages.values():
            for wildcards in list(self._of(stage.each)):
                self._need(stage, wildcards)
        return [
            instances[id]
            for instances in self.instances.values()
            for id in sorted(instances)
        ]

    def _of(self, stage: str) -> Iterator[Wildcards]:
        return (self.wildcards[stage, id] for id in self.instances.get(stage, ()))

    def _need(self, stage: Stage, wildcards: Wildcards) -> None:
        todo = [(stage, wildcards)]
        while todo:
            instance = self._make(*todo.pop())
            for dep in instance.deps if instance else ():
                if dep not in self._seen:
                    self._seen.add(dep)
                    todo += self._makers(dep)

    def _makers(self, path: str) -> list[tuple[Stage, Wildcards]]:
        """Return (stage, wildcards) of the rule that makes a path; [] for a source."""
        found = []
        for length in self._lengths:
            for stage, expression in self._prefixes.get(path[:length], ()):
                if match := expression.fullmatch(path):
                    found.append((stage, Wildcards(match.groupdict())))
        if len(found) > 1:
            names = ", ".join(stage.name for stage, _ in found)
            raise UserError(
                f"two rules make {path}",
                f"rules {names}",
                "give one of them another path",
            )
        return found

    def _make(self, stage: Stage, wildcards: Wildcards) -> Instance | None:
        try:
            id = stage.id.format_map(wildcards)
            if id in self.instances[stage.name]:
                return None
            item = stage.identity(wildcards)
            scope = {**item, **wildcards}
            raw = tuple(self._deps(stage, wildcards, scope))
            counted = filled(stage.counted, wildcards, scope)
            uncounted = filled(stage.uncounted, wildcards, scope)
        except KeyError as error:
            raise UserError(
                f"rule {stage.name} names {error.args[0]!r}, which is no wildcard of "
                "its output, no field of its instances and no key of params.yaml",
                "workflow/rules",
                "correct the name, or add it to `fields`",
            ) from None
        name = stage.instance_name(id)
        declared = {"params": counted, "meta": {"uncounted": uncounted}}
        instance = Instance(
            name=name,
            stage=stage.name,
            id=id,
            cmd=f"python {program_of(self.root, stage.name)} {id}".strip(),
            deps=tuple(fill(dep, self.params) for dep in raw),
            params=tuple(counted),
            outs=stage.outs(wildcards),
            item=item,
            uncounted=uncounted_keys(name, declared),
        )
        self.instances[stage.name][id], self.raw[name] = instance, raw
        self.wildcards[stage.name, id] = wildcards
        return instance

    def _deps(
        self, stage: Stage, wildcards: Wildcards, scope: Mapping[str, Any]
    ) -> Iterator[str]:
        if stage.name == CODE_STAGE:
            yield from code_folders(self.root)
            return
        if CODE_STAGE in self.stages:
            [(pattern, _), *_] = self.stages[CODE_STAGE].outputs
            yield pattern.replace(self.stages[CODE_STAGE].id, stage.name)
        for value in stage.inputs.values():
            yield from filled(value, wildcards, scope)
