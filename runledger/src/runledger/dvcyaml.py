"""The instances that a dvc.yaml written by hand stands for.

Read without DVC, for a Snakefile must be cheap to parse. Understood are plain stages,
``foreach``/``do`` and ``matrix``, with ``${...}`` from params.yaml, ``vars`` files and
the item; what else DVC knows is refused (dialect.py). A plain stage named ``stage-id``
is an instance of ``stage`` too.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping
from typing import Any

from runledger import dialect
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
        return lookup(scope, _dotted(whole[1]))
    return _HOLE.sub(
        lambda hole: dialect.text(lookup(scope, _dotted(hole[1]))), template
    )


def _dotted(key: str) -> str:
    """Spell a[0].b as a.0.b."""
    return key.replace("[", ".").replace("]", "")


def _outputs(stage: Mapping[str, Any]) -> Iterator[Output]:
    for kind in ("outs", "metrics", "plots"):
        for entry in stage.get(kind) or []:
            if isinstance(entry, str):
                yield Output(entry)
            else:
                ((path, options),) = entry.items()
                yield Output(path, bool((options or {}).get("cache", True)))


def _instance(name: str, stage: str, id: str, spec: Mapping, item: Any) -> Instance:
    dialect.check_filled(name, spec)
    return Instance(
        name=name,
        stage=stage,
        id=id,
        cmd=spec["cmd"],
        deps=tuple(spec.get("deps") or ()),
        params=tuple(spec.get("params") or ()),
        outs=tuple(_outputs(spec)),
        item=item if isinstance(item, Mapping) else {},
        uncounted=uncounted_keys(name, spec),
    )


def _expand(name: str, spec: Mapping, scope: Mapping) -> Iterator[Instance]:
    if "foreach" in spec:
        data = fill(spec["foreach"], scope)
        for key, item in dialect.choices(data, name).items():
            own = {"key": key} if isinstance(data, Mapping) else {}
            filled = fill(spec["do"], {**scope, **own, "item": item})
            yield _instance(f"{name}@{key}", name, key, filled, item)
    elif "matrix" in spec:
        axes = {
            axis: dialect.plain(fill(values, scope), name, f"matrix.{axis}")
            for axis, values in dialect.mapping(
                spec["matrix"], "`matrix`", name
            ).items()
        }
        body = {key: value for key, value in spec.items() if key != "matrix"}
        for values in itertools.product(*axes.values()):
            item = dict(zip(axes, values, strict=True))
            key = "-".join(map(dialect.text, values))
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
    for name, spec in dialect.check_file(dvc).items():
        try:
            found += _expand(name, spec, scope)
        except KeyError as error:
            raise UserError(
                f"stage {name} names a key that params.yaml lacks: {error.args[0]}",
                "dvc.yaml",
                "correct the key, or add it to params.yaml",
            ) from None
    return Pipeline(found, params)
