"""Frozen recipes and the verdicts handed to jobs: what a job reads instead of params.

Both are content-addressed files that the head writes while it plans. Editing
params.yaml while jobs are queued changes nothing they do and nothing they record.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runledger.canonical import digest, pretty, read_named, write_once
from runledger.fingerprint import Fingerprinter
from runledger.judge import Verdict
from runledger.pipeline import CODE_STAGE, Instance, Output, Pipeline


@dataclass(frozen=True)
class Recipe:
    """What one job is to make: the frozen part, inputs, outputs, sources' md5."""

    instance: Instance
    frozen: Mapping[str, Any]
    frozen_digest: str
    producers: Mapping[str, str]
    sources: Mapping[str, str]

    def content(self) -> dict[str, Any]:
        """Return the recipe as it is written to its file."""
        return {
            "name": self.instance.name,
            "frozen": dict(self.frozen),
            "deps": list(self.instance.deps),
            "outs": {out.path: out.cached for out in self.instance.outs},
            "producers": dict(self.producers),
            "sources": dict(self.sources),
        }


def of_verdict(verdict: Verdict, pipeline: Pipeline) -> Recipe:
    """Freeze the recipe of an instance as it was judged."""
    instance = verdict.instance
    producers = {
        dep: pipeline.producer[dep] for dep in instance.deps if dep in pipeline.producer
    }
    return Recipe(
        instance, verdict.frozen, verdict.frozen_digest, producers, verdict.sources
    )


def recipe_path(recipe: Recipe) -> str:
    """Return where a recipe is kept, relative to the root."""
    name = digest(recipe.content())
    return f"results/recipes/{recipe.instance.key_name}/{name}.json"


def write_recipe(root: Path, recipe: Recipe) -> str:
    """Write a recipe once and return its path."""
    path = recipe_path(recipe)
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
    )
    return Recipe(
        instance, frozen, digest(frozen), content["producers"], content["sources"]
    )


def write_verdicts(
    root: Path, verdicts: Mapping[str, Verdict], run: Mapping[str, Any]
) -> str:
    """Write what jobs must know of all instances; returns the path."""
    content = {
        "run": dict(run),
        "instances": {
            name: {
                "valid": verdict.valid,
                "key": verdict.key,
                "frozen": verdict.frozen_digest,
                "outputs": {p: out.md5 for p, out in verdict.outputs.items()},
            }
            for name, verdict in verdicts.items()
            if verdict.instance.stage != CODE_STAGE
        },
    }
    path = f"results/.state/verdicts/{digest(content)}.json"
    write_once(Path(root) / path, json.dumps(content, sort_keys=True))
    return path


def snapshot_code(root: Path, fingerprinter: Fingerprinter) -> str:
    """Copy src/ and stages/ to a folder named by their content; returns its path.

    Jobs run from there, so an edit while they are queued does not reach them.
    """
    root = Path(root)
    files = sorted(
        path
        for top in fingerprinter.roots
        for path in (root / top).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    )
    texts = {path.relative_to(root).as_posix(): path.read_bytes() for path in files}
    name = digest({path: text.hex() for path, text in texts.items()})
    target = root / "results" / ".state" / "code" / name
    for path, text in texts.items():  # one that is there may be cut short by a crash
        write_once(target / path, text)
    return target.relative_to(root).as_posix()
