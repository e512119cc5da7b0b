"""All instances of a checkout: commands, dependencies, params, outputs.

They come from the rules of the Snakefile (expansion.py), or from a dvc.yaml that is
written by hand (dvcyaml.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from runledger.errors import UserError
from runledger.sources import outside

if TYPE_CHECKING:
    from runledger.stages import Stage

CODE_STAGE = "fingerprint_code"


@dataclass(frozen=True)
class Output:
    """A declared output; ``cached`` is false for small text that lives in git."""

    path: str
    cached: bool = True


@dataclass(frozen=True)
class Instance:
    """One stage applied to one identity.

    ``uncounted`` names params that it reads and that do not count (see sources.py).
    ``values`` and ``modules`` are set where Snakemake itself read the rule: its params
    as they are for this instance, and {code file: digest}. ``dvc_cmd`` is what DVC is
    to call, if that is not ``cmd``.
    """

    name: str
    stage: str
    id: str
    cmd: str
    deps: tuple[str, ...]
    params: tuple[str, ...]
    outs: tuple[Output, ...]
    item: Mapping[str, Any] = field(default_factory=dict)
    uncounted: tuple[str, ...] = ()
    values: Mapping[str, Any] | None = None
    modules: Mapping[str, str] | None = None
    dvc_cmd: str = ""

    @property
    def read(self) -> bool:
        """Whether Snakemake itself read the rule, so that all is known of it here."""
        return self.values is not None and self.modules is not None

    @property
    def call(self) -> str:
        """What DVC is to run."""
        return self.dvc_cmd or self.cmd

    def frozen(self, params: Mapping[str, Any], code: str) -> dict[str, Any]:
        """Return the frozen part of its recipe: what counts but for its inputs."""
        return {
            "stage": self.stage,
            "id": self.id,
            "item": dict(self.item),
            "params": dict(params),
            "cmd": self.cmd,
            "code": code,
        }

    @property
    def key_name(self) -> str:
        """Name of the instance's folder among records and recipes."""
        return f"{self.stage}/{self.id or '_'}"


def split_name(name: str) -> tuple[str, str]:
    """Split an instance's name: stage@id or stage-id (stages have no hyphen)."""
    stage, found, id = name.partition("@")
    return (stage, id) if found else tuple(name.partition("-")[::2])


def lookup(tree: Any, dotted: str) -> Any:
    """Return the value at a dotted key; KeyError names the part that is missing."""
    value = tree
    for part in dotted.split("."):
        if isinstance(value, Mapping) and part in value:
            value = value[part]
        elif isinstance(value, list) and part.isdigit() and int(part) < len(value):
            value = value[int(part)]
        else:
            raise KeyError(f"{dotted} (at '{part}')")
    return value


class Pipeline:
    """All instances by name, in an order in which producers come first.

    Args:
        instances: in any order.
        params: the parsed params.yaml.

    Attributes:
        stages: what the rules declare, by name; empty if dvc.yaml is written by hand.
        targets: {target rule: (stages, id or None for all)} that the rules declare.
        raw_deps: {instance: dependencies with the ${...} of params}; likewise.
        goals: {target rule: instances that it asks for}, where Snakemake read the rules
            (workflows/); default_goal is the one that a run without targets is for.
        watched: files from which such instances were read, and their code.
        logs: what their rules write beside the outputs.
    """

    def __init__(
        self, instances: Iterable[Instance], params: Mapping[str, Any]
    ) -> None:
        found = {instance.name: instance for instance in instances}
        self.params = params
        self.stages: Mapping[str, Stage] = {}
        self.targets: Mapping[str, tuple[tuple[str, ...], str | None]] = {}
        self.raw_deps: Mapping[str, tuple[str, ...]] = {}
        self.goals: Mapping[str, set[str]] = {}
        self.default_goal, self.watched, self.logs = "", (), ()
        self.producer = self._producers(found)
        self.instances = self._sorted(found)

    @staticmethod
    def _producers(found: Mapping[str, Instance]) -> dict[str, str]:
        producer: dict[str, str] = {}
        for instance in found.values():
            for out in instance.outs:
                if out.path in producer:
                    raise UserError(
                        f"two stages make {out.path}",
                        f"dvc.yaml: {producer[out.path]}, {instance.name}",
                        "give one of them another path",
                    )
                producer[out.path] = instance.name
        return producer

    def _sorted(self, found: Mapping[str, Instance]) -> dict[str, Instance]:
        order: dict[str, Instance] = {}
        open_names: set[str] = set()

        def visit(name: str) -> None:
            if name in order:
                return
            if name in open_names:
                raise UserError(
                    f"{name} depends on itself", "dvc.yaml", "break the cycle"
                )
            open_names.add(name)
            for dep in found[name].deps:
                if dep in self.producer:
                    visit(self.producer[dep])
            order[name] = found[name]

        for name in found:
            visit(name)
        return order

    @property
    def trainings(self) -> set[str]:
        """Stages whose rule says that their kind of work is training."""
        stages = self.stages.items()
        return {name for name, stage in stages if stage.asks.kind == "training"}

    def __getitem__(self, name: str) -> Instance:
        try:
            return self.instances[name]
        except KeyError:
            raise UserError(
                f"there is no instance {name}{self._like(name)}",
                "dvc.yaml and params.yaml",
                "`python -m runledger status` lists the instances; a pattern such as "
                "'fit/*-s42' names several",
            ) from None

    def named_params(self, instance: Instance) -> dict[str, Any]:
        """Return {dotted key: value} of an instance's params.

        Raises:
            UserError: params.yaml lacks a key.
        """
        if instance.values is not None:
            return dict(instance.values)
        return self._values(instance, instance.params)

    def uncounted(self, instance: Instance) -> dict[str, Any]:
        """Return {dotted key: value} of what an instance reads and does not count.

        Raises:
            UserError: params.yaml lacks a key.
        """
        return self._values(instance, instance.uncounted)

    def outside(self, instance: Instance) -> dict[str, str]:
        """Return {dependency: name} of an instance's inputs that params place."""
        deps = [dep for dep in instance.deps if dep not in self.producer]
        return outside(deps, self.uncounted(instance))

    def _values(self, instance: Instance, keys: tuple[str, ...]) -> dict[str, Any]:
        try:
            return {key: lookup(self.params, key) for key in keys}
        except KeyError as error:
            raise UserError(
                f"params.yaml lacks {error.args[0]}, which {instance.name} needs",
                "params.yaml",
                "add the key",
            ) from None

    def find(self, target: str) -> Instance:
        """Find an instance by name, ``stage/id``, output path, or id alone.

        An id that several stages share means the most downstream of them.

        Raises:
            UserError: there is none.
        """
        name = self.producer.get(target, target)
        stage, slash, id = target.partition("/")
        if name not in self.instances and slash:
            spellings = (
                (f"{stage}@{id}", f"{stage}-{id}") if id.strip("_") else (stage,)
            )
            name = next((n for n in spellings if n in self.instances), name)
        elif name not in self.instances:
            name = next((n for n in reversed(self._named(target))), name)
        return self[name]

    def matching(self, target: str) -> list[str]:
        """Names of the instances that `find` finds, or that a pattern matches.

        Args:
            target: as for `find`, or with *, ? or [...] in stage/id.

        Raises:
            UserError: there is none.
        """
        if not any(sign in target for sign in "*?["):
            return [self.find(target).name]
        found = [
            n for n, one in self.instances.items() if fnmatchcase(one.key_name, target)
        ]
        return found or [self[target].name]

    def _like(self, text: str) -> str:
        """A hint at instances that may have been meant, or ""."""
        word = text.strip("*").lower()
        paths = {one.key_name: one for one in self.instances.values()}
        found = get_close_matches(text, paths, 3)
        found += [path for path in paths if word and word in path]
        found = list(dict.fromkeys(found))
        more = f" and {len(found) - 3} more" if len(found) > 3 else ""
        return f"; like it: {', '.join(found[:3])}{more}" if found else ""

    def _named(self, id: str) -> list[str]:
        return [name for name, instance in self.instances.items() if instance.id == id]

    def ancestry(self, names: Iterable[str]) -> set[str]:
        """Return instances and all that they rest on."""
        found: set[str] = set()
        todo = list(names)
        while todo:
            name = todo.pop()
            if name not in found:
                found.add(name)
                deps = self.instances[name].deps
                todo += [self.producer[dep] for dep in deps if dep in self.producer]
        return found
