"""The stages that a Snakefile declares, read without running Snakemake.

Snakemake's own parser translates the files. What it makes of them is executed with a
stand-in for the workflow, which keeps what each rule says; input functions are called
later, for each instance (expansion.py). That takes 0.3 s, most of it one import.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from runledger.errors import UserError
from runledger.expansion import Expansion
from runledger.pipeline import CODE_STAGE, Pipeline
from runledger.resources import Asks
from runledger.stages import CURVES, IN_GIT, METRIC, Curves, Stage

Target = tuple[tuple[str, ...], str | None]


@dataclass(frozen=True)
class Needs:
    """The arguments of ``LEDGER.needs`` in a rule's input."""

    stage: str
    inputs: Mapping[str, Any]
    fields: Callable[[Any], dict[str, Any]] | None = None
    each: str = ""


@dataclass
class Rule:
    """A rule while it is read: {directive: (arguments, keyword arguments)}."""

    name: str | None
    directives: dict[str, tuple[tuple, dict]] = field(default_factory=dict)

    def values(self, directive: str) -> list[Any]:
        """Return the arguments of a directive, named or not."""
        arguments, named = self.directives.get(directive, ((), {}))
        return [*arguments, *named.values()]

    def named(self, directive: str, key: str, default: Any) -> Any:
        """Return one named argument of a directive."""
        return self.directives.get(directive, ((), {}))[1].get(key, default)


class Reading:
    """Stands in for the Ledger while a Snakefile is read: nothing is judged."""

    code, bundles, waiting = ".", (), ()

    def __init__(self, params: Mapping[str, Any]) -> None:
        self.params = params
        self.stages: dict[str, Stage] = {}
        self.targets_of: dict[str, tuple[tuple[str, ...], bool]] = {}
        self.named_by_id: tuple[str, ...] = ()

    def needs(
        self, stage: str, *, fields: Any = None, each: str = "", **inputs: Any
    ) -> Needs:
        """Keep what a stage reads."""
        return Needs(stage, inputs, fields, each)

    def targets(
        self, rule: str, _workflow: Any, *stages: str, last: bool = False
    ) -> list:
        """Keep which stages a target rule stands for."""
        self.targets_of[rule] = stages, last
        return []

    def ids(self, *stages: str) -> list[str]:
        """Keep that the ids of these stages are target rules."""
        self.named_by_id = stages
        return []

    def id_pattern(self, stage: str) -> str:
        """Return the pattern of a stage's ids."""
        return self.stages[stage].id

    def parts(self, *_: str) -> list:
        """Shares of one instance's work are no inputs of DVC's."""
        return []

    def python(self, _workflow: Any) -> str:
        """Return the program that runs stages."""
        return "python"

    def fetchable(self, folders: bool = False) -> str:
        """Return a pattern that matches nothing."""
        return "(?!)"

    def ticket(self, _wildcards: Any) -> str:
        """Return no file: a reading of the rules fetches nothing."""
        return ""

    def start(self, _workflow: Any) -> None:
        """Do nothing: a reading of the rules starts no run."""

    stop = start


class Reader:
    """Stands in for Snakemake's workflow; ``reading`` has what was found."""

    is_main_process = False

    def __init__(self, snakefile: Path, params: Mapping[str, Any], root: Path) -> None:
        from snakemake import io

        self._root = root
        self.reading, self.constraints = Reading(params), {}
        self.rules: list[Rule] = []
        self._folders = [snakefile.parent]
        self._globals = {name: getattr(io, name) for name in dir(io)}
        self._globals |= {"workflow": self, "config": {}, "unpack": lambda given: given}
        self.include(snakefile.name)
        for rule in self.rules:
            self._register(rule)

    @property
    def basedir(self) -> str:
        """Folder of the Snakefile, as Snakemake has it."""
        return str(self._folders[0])

    def include(self, path: str, **_: Any) -> None:
        """Read another file, by a path that starts from this one's folder."""
        from snakemake.parser import parse

        file = self._folders[-1] / path
        source = SimpleNamespace(get_path_or_uri=lambda secret_free=True: str(file))
        cache = SimpleNamespace(open=lambda _: file.open(encoding="utf-8"))
        self._folders.append(file.parent)
        try:
            text, _ = parse(source, SimpleNamespace(sourcecache=cache), {})
            exec(compile(text, str(file), "exec"), self._globals)
        except UserError:
            raise
        except Exception as error:
            raise UserError(
                f"cannot be read: {type(error).__name__}: {error}",
                str(file),
                "correct it; `snakemake -n` may say more",
            ) from error
        finally:
            self._folders.pop()

    def rule(self, name: str | None = None, **_: Any) -> Callable[[Any], Any]:
        """Begin a rule, whose directives follow."""
        self.rules.append(Rule(name))
        return lambda function: function

    def global_wildcard_constraints(self, **constraints: str) -> None:
        """Keep what wildcards may be in all rules."""
        self.constraints |= constraints

    def __getattr__(self, directive: str) -> Callable[..., Any]:
        def keep(*arguments: Any, **named: Any) -> Callable[[Any], Any]:
            if self.rules:
                self.rules[-1].directives[directive] = arguments, named
            return lambda function: function

        return keep

    def pipeline(self) -> Pipeline:
        """Return all instances that the rules stand for."""
        found = Expansion(self.reading.stages, self.reading.params, self._root)
        pipeline = Pipeline(found.run(), self.reading.params)
        pipeline.stages, pipeline.raw_deps = self.reading.stages, found.raw
        pipeline.targets = self._targets(pipeline)
        return pipeline

    def _targets(self, pipeline: Pipeline) -> dict[str, Target]:
        """Return what each target rule stands for."""
        instances = pipeline.instances.values()
        read = {pipeline.producer.get(dep) for each in instances for dep in each.deps}
        made = {each.stage for each in instances if each.name in read} | {CODE_STAGE}
        last = tuple(stage for stage in self.reading.stages if stage not in made)
        by_id = self.reading.named_by_id
        found: dict[str, Target] = {
            each.id: (by_id, each.id) for each in instances if each.stage in by_id
        }
        for rule, (stages, with_last) in self.reading.targets_of.items():
            stages = (*stages, *last) if with_last else stages
            found[rule] = tuple(dict.fromkeys(stages)), None
        return found

    def _register(self, rule: Rule) -> None:
        """Make a stage of a rule that asks the ledger for its own inputs."""
        found = [v for v in rule.values("input") if isinstance(v, Needs)]
        if not found or found[0].stage != rule.name:
            return
        flags = [(str(out), getattr(out, "flags", {})) for out in rule.values("output")]
        kept = (METRIC, IN_GIT)
        outputs = [(p, next((k for k in kept if k in f), "")) for p, f in flags]
        own = rule.directives.get("register_wildcard_constraints", ((), {}))[1]
        self.reading.stages[rule.name] = Stage(
            name=rule.name,
            inputs=found[0].inputs,
            outputs=tuple(outputs),
            counted=rule.named("params", "counted", ()),
            uncounted=rule.named("params", "uncounted", ()),
            fields=found[0].fields,
            each=found[0].each,
            asks=rule.named("resources", "asks", Asks()),
            constraints={**self.constraints, **own},
            curves=tuple(Curves(p, **f[CURVES]) for p, f in flags if CURVES in f),
        )
