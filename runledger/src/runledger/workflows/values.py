"""What a rule says, as values that a recipe keeps: params, names of files, command."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

from runledger.errors import UserError
from runledger.workflows.refusals import where

# what is filled in for each job: kept as it is written, for its value is recorded
# beside it, or cannot change results
_PER_JOB = (
    "input",
    "output",
    "params",
    "wildcards",
    "threads",
    "resources",
    "log",
    "jobid",
    "rule",
    "bench_iteration",
)


def names_of(items: Any) -> Iterator[tuple[str, Any]]:
    """Yield (name or number, value) of what Snakemake lists for a rule."""
    for number, (name, value) in enumerate(items._allitems()):
        yield name or str(number), value


def plain(value: Any, what: str, rule: Any) -> Any:
    """Return a value as JSON has it.

    Raises:
        UserError: it cannot be written down, so that no record could tell it again.
    """
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str | os.PathLike):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): plain(one, what, rule) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one, what, rule) for one in value]
    if isinstance(value, set | frozenset):
        return sorted((plain(one, what, rule) for one in value), key=repr)
    if hasattr(value, "tolist"):  # of numpy and pandas
        return plain(value.tolist(), what, rule)
    raise UserError(
        f"{what} is a {type(value).__name__}, which cannot be kept in a record",
        where(rule),
        "give text, numbers, lists or mappings of them",
    )


class _Kept:
    """Formats to what it is called, in braces."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __getattr__(self, name: str) -> _Kept:
        return _Kept(f"{self._text}.{name}")

    def __getitem__(self, key: Any) -> _Kept:
        return _Kept(f"{self._text}[{key}]")

    def __format__(self, specification: str) -> str:
        return "{" + self._text + (f":{specification}" if specification else "") + "}"


def command_text(rule: Any, names: Mapping[str, Any]) -> str:
    """Return a shell command with what the Snakefile's own names stand for.

    Args:
        rule: Snakemake's, with a shell command.
        names: the globals of its Snakefile.

    Raises:
        UserError: the command names something that is not defined.
    """
    from snakemake.utils import QuotedFormatter

    given = {**names, **{name: _Kept(name) for name in _PER_JOB}}
    try:
        return QuotedFormatter().vformat(rule.shellcmd, (), given)
    except Exception as error:
        raise UserError(
            f"its shell command cannot be filled in: {error!r}",
            where(rule),
            "correct the name in braces, or double braces that are meant literally",
        ) from error
