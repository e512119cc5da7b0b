"""What a stage is, as its Snakemake rule declares it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from runledger.pipeline import CODE_STAGE, Output
from runledger.resources import Asks

IN_GIT, METRIC, CURVES = "in_git", "metric", "curves"  # flags of outputs in a rule
_WILDCARD = re.compile(r"\{(\w+)\}")


class Wildcards(dict):
    """Values of a rule's wildcards, as Snakemake gives them to input functions."""

    __getattr__ = dict.__getitem__


def id_of(path: str) -> str:
    """Return what of an output's pattern is the instance's id: first to last wildcard.

    ``results/train/{data}-s{seed}/model.pt`` gives ``{data}-s{seed}``.
    """
    return path[path.find("{") : path.rfind("}") + 1] if "{" in path else ""


@dataclass(frozen=True)
class Curves:
    """What `dvc plots` shows of a file of columns.

    Attributes:
        path: pattern of the file.
        x, y: names of columns; a plot for each of y.
        by: fields of the identity; instances that agree in them share a plot.
    """

    path: str
    x: str
    y: tuple[str, ...]
    by: tuple[str, ...]


@dataclass(frozen=True)
class Stage:
    """A rule that makes recorded instances.

    Attributes:
        name: of the rule; also of its program, its folder of records, its section.
        inputs: {keyword: pattern, list of patterns, or function of the wildcards}.
        outputs: (pattern, flag): the flag is "", IN_GIT or METRIC.
        counted: params (dotted keys, patterns), or a function of the wildcards.
        uncounted: likewise, of those that are read and cannot change bytes.
        fields: function giving what of an instance's identity no wildcard says.
        each: the stage to each of whose instances this one is applied; "": an instance
            is made because something reads it.
        asks: what it asks of a machine.
        constraints: {wildcard: regular expression}.
        curves: outputs that are plotted.
    """

    name: str
    inputs: Mapping[str, Any]
    outputs: tuple[tuple[str, str], ...]
    counted: Any = ()
    uncounted: Any = ()
    fields: Callable[[Any], dict[str, Any]] | None = None
    each: str = ""
    asks: Asks = field(default_factory=Asks)
    constraints: Mapping[str, str] = field(default_factory=dict)
    curves: tuple[Curves, ...] = ()

    @property
    def id(self) -> str:
        """Pattern of the ids of instances."""
        return id_of(self.outputs[0][0])

    @property
    def listed(self) -> bool:
        """Whether each instance has inputs or params of its own, by a function."""
        return any(map(callable, [*self.inputs.values(), self.counted, self.uncounted]))

    def instance_name(self, id: str) -> str:
        """Name an instance as DVC does: stage@id of foreach stages, else stage-id."""
        if not id:
            return self.name
        return f"{self.name}-{id}" if self.listed else f"{self.name}@{id}"

    @cached_property
    def patterns(self) -> list[tuple[str, re.Pattern[str]]]:
        """(what a path starts with, expression of the whole path) of the outputs."""
        return [
            (path.partition("{")[0], self._expression(path)) for path, _ in self.outputs
        ]

    def _expression(self, pattern: str) -> re.Pattern[str]:
        seen: set[str] = set()
        parts = _WILDCARD.split(pattern)
        text = re.escape(parts[0])
        for name, literal in zip(parts[1::2], parts[2::2], strict=True):
            wanted = self.constraints.get(name, ".+")
            text += f"(?P={name})" if name in seen else f"(?P<{name}>{wanted})"
            text += re.escape(literal)
            seen.add(name)
        return re.compile(text)

    def identity(self, wildcards: Wildcards) -> dict[str, Any]:
        """Return the identity of an instance; numbers as numbers."""
        if self.name == CODE_STAGE:
            return {}
        typed = {
            name: int(value) if self.constraints.get(name) == r"\d+" else value
            for name, value in wildcards.items()
        }
        return {**typed, **(self.fields(wildcards) if self.fields else {})}

    def outs(self, wildcards: Mapping[str, Any]) -> tuple[Output, ...]:
        """Return the outputs of an instance."""
        return tuple(
            Output(path.format_map(wildcards), not flag) for path, flag in self.outputs
        )


def filled(value: Any, wildcards: Wildcards, scope: Mapping[str, Any]) -> list[str]:
    """Return what a pattern, a list of them, or a function stands for.

    Args:
        value: of an input, or of params.
        wildcards: for functions.
        scope: the wildcards and the fields of the identity, for patterns.
    """
    if callable(value):
        found = value(wildcards)
        return [found] if isinstance(found, str) else list(found)
    if isinstance(value, str):
        return [value.format_map(scope)]
    return [entry.format_map(scope) for entry in value]
