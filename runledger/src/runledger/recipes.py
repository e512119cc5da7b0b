"""Frozen recipes and the verdicts handed to jobs: what a job reads instead of params.

Both are content-addressed files that the head writes while it plans. Editing
params.yaml while jobs are queued changes nothing they do and nothing they record.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runledger.canonical import digest, pretty, read_named, write_once
from runledger.fingerprint import Fingerprinter
from runledger.pipeline import CODE_STAGE, Instance, Output, Pipeline
from runledger.project import ledger_folder, ledger_path
from runledger.records import Record
from runledger.sources import outside

if TYPE_CHECKING:
    from runledger.judge import Verdict

OWN = "runledger/src"  # where a checkout has a copy of runledger, if it does


@dataclass(frozen=True)
class Recipe:
    """What one job is to make: the frozen part, inputs, outputs, sources' md5.

    ``uncounted`` has values that the job reads and that are part of no key.
    """

    instance: Instance
    frozen: Mapping[str, Any]
    frozen_digest: str
    producers: Mapping[str, str]
    sources: Mapping[str, str]
    uncounted: Mapping[str, Any] = field(default_factory=dict)

    @property
    def outside(self) -> dict[str, str]:
        """{dependency: name} of inputs that params place."""
        deps = [dep for dep in self.instance.deps if dep not in self.producers]
        return outside(deps, self.uncounted)

    def made(self, record: Record) -> bool:
        """Whether a record is of this recipe and of what its sources are."""
        names = self.outside
        sources = {names.get(dep, dep): md5 for dep, md5 in self.sources.items()}
        same = digest(record.recipe) == self.frozen_digest
        return same and sources.items() <= record.inputs.items()

    def content(self) -> dict[str, Any]:
        """Return the recipe as it is written to its file."""
        content = {
            "name": self.instance.name,
            "frozen": dict(self.frozen),
            "deps": list(self.instance.deps),
            "outs": {out.path: out.cached for out in self.instance.outs},
            "producers": dict(self.producers),
            "sources": dict(self.sources),
            "uncounted": dict(self.uncounted),
        }
        read = self.instance.modules
        return content if read is None else {**content, "modules": dict(read)}


def of_verdict(verdict: Verdict, pipeline: Pipeline) -> Recipe:
    """Freeze the recipe of an instance as it was judged."""
    instance = verdict.instance
    producers = {
        dep: pipeline.producer[dep] for dep in instance.deps if dep in pipeline.producer
    }
    return Recipe(
        instance,
        verdict.frozen,
        verdict.frozen_digest,
        producers,
        {dep: content.md5 for dep, content in verdict.sources.items()},
        pipeline.uncounted(instance),
    )


def write_recipe(root: Path, recipe: Recipe) -> str:
    """Write a recipe once and return its path."""
    name = f"{digest(recipe.content())}.json"
    path = f"{ledger_folder(root)}/recipes/{recipe.instance.key_name}/{name}"
    write_once(Path(root) / path, pretty(recipe.content()))
    return path


def read_recipe(path: Path) -> Recipe:
    """Read a recipe and check that it is what its name says.

    Raises:
        UserError: missing or changed.
    """
    content = read_named(path, "a frozen recipe")
    frozen = content["frozen"]
    instance = Instance(
        name=content["name"],
        stage=frozen["stage"],
        id=frozen["id"],
        cmd=frozen["cmd"],
        deps=tuple(content["deps"]),
        params=tuple(frozen["params"]),
        outs=tuple(Output(path, cached) for path, cached in content["outs"].items()),
        item=frozen["item"],
        uncounted=tuple(content["uncounted"]),
        modules=content.get("modules"),
    )
    return Recipe(
        instance,
        frozen,
        digest(frozen),
        content["producers"],
        content["sources"],
        content["uncounted"],
    )


def known_of(verdicts: Mapping[str, Verdict]) -> dict[str, dict[str, Any]]:
    """Return what jobs must know of all instances.

    Lost bytes that are made again may differ, so they are as unknown as stale ones.
    """
    lost = {path for v in verdicts.values() if v.lost for path in v.outputs}
    return {
        name: {
            "valid": verdict.valid and not verdict.lost,
            "key": verdict.key,
            "frozen": verdict.frozen_digest,
            "inputs": {  # as far as known
                path: md5
                for path, md5 in verdict.inputs.items()
                if not verdict.valid and path not in lost
            },
            "outputs": {p: out.md5 for p, out in verdict.outputs.items()},
        }
        for name, verdict in verdicts.items()
        if verdict.instance.stage != CODE_STAGE
    }


def write_verdicts(
    root: Path, verdicts: Mapping[str, Verdict], run: Mapping[str, Any]
) -> str:
    """Write what jobs must know of all instances; returns the path."""
    content = {"run": dict(run), "instances": known_of(verdicts)}
    path = f"{ledger_folder(root)}/.state/verdicts/{digest(content)}.json"
    write_once(Path(root) / path, json.dumps(content, sort_keys=True))
    return path


def snapshot_code(root: Path, fingerprinter: Fingerprinter) -> str:
    """Copy the code to a folder named by its content; returns its path.

    Jobs run from there, so an edit while they are queued does not reach them. A copy of
    runledger that the checkout has goes along.
    """
    root = Path(root)
    files = sorted(
        path
        for top in (*fingerprinter.roots, OWN)
        for path in (root / top).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    )
    texts = {path.relative_to(root).as_posix(): path.read_bytes() for path in files}
    name = digest({path: text.hex() for path, text in texts.items()})
    target = ledger_path(root, ".state", "code", name)
    for path, text in texts.items():  # one that is there may be cut short by a crash
        write_once(target / path, text)
    return target.relative_to(root).as_posix()
