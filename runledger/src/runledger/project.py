"""How a checkout says what its instances are: [tool.runledger] in pyproject.toml."""

from __future__ import annotations

import importlib
import sys
import tomllib
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from runledger.canonical import read_text
from runledger.errors import UserError

if TYPE_CHECKING:
    from runledger.pipeline import Pipeline

SETTINGS = "runledger.toml"
PROGRAM = "stages/{stage}.py"  # where no setting says else


@lru_cache(maxsize=4)
def settings(root: Path) -> dict[str, Any]:
    """Return the settings: runledger.toml, else [tool.runledger] of pyproject.toml.

    Keys: ``snakefile``; ``rules`` ("all": every rule of it is recorded); ``folder`` of
    records, recipes, logs and state ("results"); ``params``, ``optional``; what records
    tell: ``variables``, ``libraries``, and ``sources`` (folders and files in which
    uncommitted changes count); what the audit takes for repetitions: ``replicates``
    (fields of identities, such as a seed) and ``follows`` (fields that follow from
    others); ``progress`` (values that are shown of what runs).

    ``roots``: folders where imports are looked for (["src"]).

    With ``rules = "all"`` also ``code`` ({rule: patterns of files}) and ``unrecorded``
    (rules that are left alone); else ``program``, the path of a stage's program
    ("stages/{stage}.py"; imports are looked for in its folder, too).
    """
    own = _table(Path(root) / SETTINGS)
    if own is not None:
        return own
    project = _table(Path(root) / "pyproject.toml") or {}
    return project.get("tool", {}).get("runledger", {})


def ledger_folder(root: Path) -> str:
    """Return the folder of records, recipes, logs and state, relative to the root."""
    return settings(Path(root)).get("folder", "results")


def ledger_path(root: Path, *parts: str) -> Path:
    """Return a path in that folder."""
    return Path(root).joinpath(ledger_folder(root), *parts)


def source_roots(root: Path) -> tuple[str, ...]:
    """Return the folders where imports are looked for: the setting ``roots``."""
    return tuple(settings(Path(root)).get("roots", ("src",)))


def program_of(root: Path, stage: str) -> str:
    """Return the path of a stage's program, relative to the root.

    Raises:
        UserError: the setting ``program`` is no path of a Python file for each stage.
    """
    pattern = settings(Path(root)).get("program", PROGRAM)
    path = PurePosixPath(str(pattern).replace("{stage}", stage))
    one_each = isinstance(pattern, str) and pattern.count("{stage}") == 1
    inside = not path.is_absolute() and ".." not in path.parts
    if not (one_each and inside and path.suffix == ".py" and _folder(pattern)):
        raise UserError(
            f"program = {pattern!r} is no path of a stage's program",
            "the settings of runledger",
            f"write a path in a folder of this checkout, such as {PROGRAM}",
        )
    return str(path)


def code_folders(root: Path) -> tuple[str, ...]:
    """Return the folders that stages' code is in: the roots, and their programs'."""
    program_of(root, "any")
    own = _folder(settings(Path(root)).get("program", PROGRAM))
    return tuple(dict.fromkeys((*source_roots(root), own)))


def _folder(program: str) -> str:
    """Return the folder that all stages' programs are in; "" if that is the root."""
    before = program.partition("{stage}")[0]
    return PurePosixPath(before.rpartition("/")[0]).as_posix().removeprefix(".")


def _table(path: Path) -> dict[str, Any] | None:
    if not path.is_file():
        return None
    try:
        return tomllib.loads(read_text(path))
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"not valid TOML: {error}", str(path), "correct it") from None


def _named(root: Path, entry: str) -> Any:
    """Import a "module:name" of the settings, from the checkout's roots."""
    for source in [str(root / folder) for folder in reversed(source_roots(root))]:
        if source not in sys.path:
            sys.path.insert(0, source)
    module, _, name = entry.partition(":")
    return getattr(importlib.import_module(module), name)


def optional(root: Path) -> dict[str, Callable[[Path], str | None]]:
    """Return {stage: function} of the stages that not every machine can run.

    It is the table ``optional`` of the settings, stage = "module:function". Called with
    the root, the function says why the stage cannot run here, and what to do; or None.
    """
    table = settings(root).get("optional", {})
    return {stage: _named(Path(root), entry) for stage, entry in table.items()}


def load_pipeline(root: Path) -> Pipeline:
    """Return today's instances of the checkout.

    With ``rules = "all"`` in the settings, as Snakemake itself reads the Snakefile.
    With ``snakefile`` alone, as its rules declare them, with the params that
    ``params = "module:function"`` reads. Else as a dvc.yaml written by hand does.

    Raises:
        UserError: not a checkout, or its files cannot be used.
    """
    root = Path(root)
    if "snakefile" not in settings(root):
        return read_dvc(root)
    if settings(root).get("rules") == "all":
        from runledger.workflows.hooks import read

        return read(root, _snakefile(root))
    entry = settings(root).get("params")
    read = _named(root, entry) if entry else _plain_params
    return read_rules(root, read(root))


def _plain_params(root: Path) -> dict[str, Any]:
    from runledger.yamlfile import load_yaml

    return load_yaml(root / "params.yaml") or {}


def read_rules(root: Path, params: Mapping[str, Any]) -> Pipeline:
    """Return the instances that the Snakefile's rules declare, with these params."""
    from runledger.snakefile import Reader

    return Reader(_snakefile(root), params, Path(root)).pipeline()


def _snakefile(root: Path) -> Path:
    path = Path(root) / settings(root)["snakefile"]
    if not path.is_file():
        raise UserError(
            "there is no Snakefile here", str(path), "run from the repository's root"
        )
    return path


def read_dvc(root: Path, params: Mapping[str, Any] | None = None) -> Pipeline:
    """Return the instances of the dvc.yaml that is there; params None: as written."""
    from runledger.dialect import variable_files
    from runledger.dvcyaml import pipeline_of
    from runledger.yamlfile import load_yaml

    path = Path(root) / "dvc.yaml"
    if not path.is_file():
        raise UserError(
            "there is no dvc.yaml here", str(root), "run from the repository's root"
        )
    dvc, variables = load_yaml(path), {}
    params = _plain_params(root) if params is None else params
    for name in variable_files(dvc):
        values = load_yaml(root / name) if name != "params.yaml" else {}
        for key in values.keys() & {**params, **variables}.keys():
            what = (
                f"{key} is in {name} and in another file of `vars`, or in params.yaml"
            )
            raise UserError(what, str(path), "give one of them another name")
        variables.update(values)
    return pipeline_of(dvc, params, variables)
