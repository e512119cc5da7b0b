"""The instances that a dvc.yaml written by hand stands for.

Read without DVC, for a Snakefile must be cheap to parse. Understood are plain stages,
``foreach``/``do`` and ``matrix``, with ``${...}`` from params.yaml, ``vars`` files and
the item. A plain stage named ``stage-id`` is an instance of ``stage`` too.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping
from typing import Any

from runledger.errors import UserError
from runledger.pipeline import Instance, Output, Pipeline, lookup, split_name
from runledger.sources import uncounted_keys

_HOLE = re.compile(r"\$\{\s*([^}\s]+)\s*\}")


def fill(template: Any, scope: Mapping[str, Any]) -> Any:
    """Replace every ${...}; a text that is only one hole takes the value's type."""
    if isinstance(template, Mapping):
        return {fill(k, scope): fill(v, scope) for k, v in template.items()}
    if isinstance(template, list):
        return [fill(entry, scope) for entry in template]
    if not isinstance(template, str) or "${" not in template:
        return template
    whole = _HOLE.fullmatch(template)
    if whole:
        return lookup(scope, whole[1])
    return _HOLE.sub(lambda hole: _text(lookup(scope, hole[1])), template)


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _outputs(stage: Mapping[str, Any]) -> Iterator[Output]:
    for kind in ("outs", "metrics", "plots"):
        for entry in stage.get(kind, []):
            if isinstance(entry, str):
                yield Output(entry)
            else:
                ((path, options),) = entry.items()
                yield Output(path, bool((options or {}).get("cache", True)))


def _instance(name: str, stage: str, id: str, spec: Mapping, item: Any) -> Instance:
    params = spec.get("params", [])
    if any(not isinstance(entry, str) for entry in params):
        raise UserError(
            "params of other files than params.yaml are not supported",
            f"dvc.yaml, stage {name}",
            "list dotted keys of params.yaml",
        )
    return Instance(
        name=name,
        stage=stage,
        id=id,
        cmd=" ".join(spec["cmd"].split()),
        deps=tuple(spec.get("deps", [])),
        params=tuple(params),
        outs=tuple(_outputs(spec)),
        item=item if isinstance(item, Mapping) else {},
        uncounted=uncounted_keys(name, spec),
    )


def _expand(name: str, spec: Mapping, scope: Mapping) -> Iterator[Instance]:
    if "foreach" in spec:
        data = fill(spec["foreach"], scope)
        pairs = (
            data.items() if isinstance(data, Mapping) else ((_text(v), v) for v in data)
        )
        for key, item in pairs:
            filled = fill(spec["do"], {**scope, "item": item, "key": key})
            yield _instance(f"{name}@{key}", name, str(key), filled, item)
    elif "matrix" in spec:
        axes = {axis: fill(v, scope) for axis, v in spec["matrix"].items()}
        body = {key: value for key, value in spec.items() if key != "matrix"}
        for values in itertools.product(*axes.values()):
            item = dict(zip(axes, values, strict=True))
            key = "-".join(_text(value) for value in values)
            filled = fill(body, {**scope, "item": item, "key": key})
            yield _instance(f"{name}@{key}", name, key, filled, item)
    else:
        stage, id = split_name(name)
        yield _instance(name, stage, id, fill(spec, scope), {})


def pipeline_of(
    dvc: Mapping[str, Any],
    params: Mapping[str, Any],
    variables: Mapping[str, Any] | None = None,
) -> Pipeline:
    """Return the instances of a parsed dvc.yaml.

    Args:
        dvc: the parsed dvc.yaml.
        params: the parsed params.yaml.
        variables: values of the files named under ``vars``.
    """
    scope = {**params, **(variables or {})}
    found: list[Instance] = []
    for name, spec in dvc.get("stages", {}).items():
        try:
            found += _expand(name, spec, scope)
        except KeyError as error:
            raise UserError(
                f"stage {name} names a key that params.yaml lacks: {error.args[0]}",
                "dvc.yaml",
                "correct the key, or add it to params.yaml",
            ) from None
    return Pipeline(found, params)
