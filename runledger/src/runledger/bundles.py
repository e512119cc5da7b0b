"""Bundles: how many stale instances share a process is a scheduling choice."""

from __future__ import annotations

import re
import sys
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from runledger.execution import failure
from runledger.judge import Verdict
from runledger.pipeline import Instance, Pipeline

Aliases = Mapping[str, tuple[Iterable[str], str | None]]


@dataclass(frozen=True)
class Bundle:
    """Stale instances of one stage that share a process."""

    name: str
    stage: str
    instances: tuple[str, ...]


@dataclass(frozen=True)
class Sizes:
    """How stale instances are bundled.

    Attributes:
        most: {stage: most instances a process}; stages not named are not bundled.
        groups: {stage: identity fields that members of a bundle share}.
        spread: cores to use: a group has so many bundles, or a multiple of that, if it
            has the members. An odd one would run alone while the other cores wait.
    """

    most: Mapping[str, int]
    groups: Mapping[str, Iterable[str]]
    spread: int = 1

    def split(self, stage: str, group: Iterable[str], members: list) -> list[Bundle]:
        """Split the members of a group evenly rather than leave a small rest.

        A bundle is named by stage, group and which part it is of how many, as in
        train_student_digits_tirt_s42_1of2.
        """
        size = self.most[stage]
        least = min(self.spread, len(members)) if size > 1 else 1
        rounds = -(-len(members) // (max(1, size) * least))
        count = min(rounds * least, len(members))
        parts = [tuple(members[start::count]) for start in range(count)]
        stem = rule_name(stage, *group)
        return [
            Bundle(f"{stem}_{number}of{count}", stage, part)
            for number, part in enumerate(parts, 1)
            if len(part) > 1
        ]


def rule_name(*words: str) -> str:
    """Join words to a name that Snakemake and file systems take; at most 120 letters.

    Different words can give one name: see `_unique`.
    """
    return re.sub(r"[^A-Za-z0-9]+", "_", "_".join(words))[:120].strip("_")


def _unique(found: list[Bundle]) -> list[Bundle]:
    """Number the second and later of bundles whose names are the same."""
    named: dict[str, Bundle] = {}
    for bundle in found:
        name, number = bundle.name, 1
        while name in named:
            number += 1
            name = f"{bundle.name}_{number}"
        named[name] = replace(bundle, name=name)
    return list(named.values())


def bundles(
    root: Path,
    pipeline: Pipeline,
    verdicts: Mapping[str, Verdict],
    stale: list[str],
    sizes: Sizes,
) -> list[Bundle]:
    """Bundle stale instances (producers first) by stage and group.

    Those that failed as planned now, and what rests on them, get bundles of their own,
    or they would hold up the others' again.
    """
    behind = _behind_failures(root, pipeline, verdicts, stale)
    found: list[Bundle] = []
    for stage in sizes.most:
        parts: dict[tuple, list[str]] = {}
        for name in stale:
            instance = pipeline[name]
            if instance.stage == stage:
                fields = sizes.groups.get(stage, ())
                words = [_word(field, instance.item[field]) for field in fields]
                words += ["again"] if name in behind else []
                parts.setdefault(tuple(words), []).append(name)
        for words, members in parts.items():
            found += sizes.split(stage, words, members)
    return _unique(found)


def _word(field: str, value: Any) -> str:
    """Spell a field of an identity: its value, a number with a letter before it."""
    return value if isinstance(value, str) else f"{field[0]}{value}"


def _behind_failures(
    root: Path, pipeline: Pipeline, verdicts: Mapping[str, Verdict], stale: list[str]
) -> set[str]:
    found: set[str] = set()
    for name in stale:
        verdict = verdicts[name]
        makers = {pipeline.producer.get(dep) for dep in verdict.instance.deps}
        if makers & found or failure(root, name, verdict.frozen_digest):
            found.add(name)
    return found


def is_target(instance: Instance, stages: Iterable[str], id: str | None) -> bool:
    """Tell whether a target rule's (stages, id) stands for an instance."""
    return instance.stage in stages and id in (None, instance.id)


def named_by(
    pipeline: Pipeline,
    rules: Mapping[str, Collection[str]],
    everything: Collection[str],
) -> list[str]:
    """Return the instances that the command line's targets name.

    The command line is all there is while the Snakefile is read; a target that is not
    recognised stands for everything, which only makes bundles larger than needed.

    Args:
        rules: {target rule: instances that it stands for}.
        everything: the instances that a run without targets stands for.
    """
    words = set(sys.argv[1:])
    chosen = {name for rule in words & rules.keys() for name in rules[rule]}
    paths = words & pipeline.producer.keys()
    chosen |= {pipeline.producer[path] for path in paths}
    return sorted(chosen or everything)
