"""What a job reads and no stage makes, and what it reads that does not count.

A value that cannot change bytes (where a folder lies, the address of a mirror) is
*uncounted*: ``meta: {uncounted: [key]}`` of a stage in dvc.yaml. The job gets it,
frozen in its recipe, and the record keeps it; it is part of no key. A dependency that
lies where an uncounted value says goes by that value's name in recipes and records
("${prepare_data.a.path}/train"): what lies there is an input, where it lies is not.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from runledger.canonical import canonical, leaves
from runledger.errors import UserError


def uncounted_keys(stage: str, spec: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the params that a stage of dvc.yaml reads and does not count.

    Raises:
        UserError: the stage counts one of them, too, in a section that holds it.
    """
    keys = (spec.get("meta") or {}).get("uncounted", [])
    for key in keys:
        for param in spec.get("params", []):
            if f"{key}.".startswith(f"{param}."):
                raise UserError(
                    f"{key} is listed as uncounted, but {param} counts it",
                    f"dvc.yaml, stage {stage}",
                    f"list under params the keys of {param} that count",
                )
    return tuple(keys)


def outside(deps: Iterable[str], uncounted: Mapping[str, Any]) -> dict[str, str]:
    """Return {dependency: its name} of those that lie where an uncounted value says.

    Args:
        deps: dependencies that no stage makes.
        uncounted: {dotted key: value}.
    """
    found: dict[str, str] = {}
    for key, value in uncounted.items():
        place = PurePosixPath(value) if isinstance(value, str) and value else None
        for dep in deps if place else ():
            if PurePosixPath(dep).is_relative_to(place):
                below = PurePosixPath(dep).relative_to(place)
                found.setdefault(dep, str(PurePosixPath("${" + key + "}") / below))
    return found


def counted(recipe: Mapping[str, Any], uncounted: Iterable[str]) -> str:
    """Spell what counts of a frozen recipe, however its params are listed.

    Params named by section and params named key by key are the same; a recipe of before
    a value was declared uncounted is that of after.
    """
    params = leaves(recipe["params"])
    for key in uncounted:
        params.pop(key, None)
    return canonical({**recipe, "params": params})


def absent(instance: str, dep: str, name: str) -> UserError:
    """The error for an input that a stage needs, that no stage makes, and is not there.

    Args:
        instance: which needs it.
        dep, name: its path, and what it goes by in recipes.
    """
    key = name.partition("}")[0].removeprefix("${")
    return UserError(
        f"{instance} has to run and reads {dep}, which does not exist",
        f"{key} in params.yaml",
        "put the data there, or correct the path",
    )


def lock_path(root: Path, dep: str) -> str:
    """Spell a dependency as DVC does in dvc.lock: relative if it is in the checkout."""
    top = os.path.abspath(root)
    inside = os.path.isabs(dep) and Path(dep).is_relative_to(top)
    return os.path.relpath(dep, top) if inside else dep
