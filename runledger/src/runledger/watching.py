"""dvc.yaml and dvc.lock of a workflow that Snakemake read: what DVC can see of it.

Each instance is one stage, whose command carries the digest of its recipe. One more
stage depends on the files from which all that was read, so that `dvc status` names
them if they changed since, and `dvc repro` asks for a new plan.
"""

from __future__ import annotations

from typing import Any

from runledger.pipeline import Pipeline
from runledger.store import Store

WATCH = "runledger_plan"
_CHECK = "python -m runledger plan --check"


def body_of(pipeline: Pipeline) -> dict[str, Any]:
    """Return the content of dvc.yaml."""
    stages: dict[str, Any] = {WATCH: {"cmd": _CHECK, "deps": list(pipeline.watched)}}
    for name, instance in sorted(pipeline.instances.items()):
        body = {"cmd": instance.call, "deps": list(instance.deps)}
        stages[name] = {key: value for key, value in body.items() if value}
        stages[name]["outs"] = [out.path for out in instance.outs]
    return {"stages": stages}


def watch_entry(pipeline: Pipeline, store: Store) -> dict[str, Any]:
    """Return what dvc.lock says of the files from which the plan was read."""
    found = {path: store.current(store.root / path) for path in pipeline.watched}
    deps = [
        {"path": path, "hash": "md5", "md5": content.md5, "size": content.size}
        for path, content in sorted(found.items())
    ]
    return {WATCH: {"cmd": _CHECK, "deps": deps}}
