"""What a rule may not say if its results are to be recorded, refused by name."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

from runledger.errors import UserError

# flags of Snakemake's outputs and inputs, and why records do not go with them
OUTPUT_FLAGS = {
    "temp": "a record keeps every output, and its bytes come back from the cache",
    "protected": "records notice a changed output, and replace it",
    "pipe": "a pipe has no bytes to keep",
    "service": "a service has no bytes to keep",
    "nodelocal": "other jobs and clones could not read it",
    "storage_object": "DVC's remote is where bytes are shared",
    "update": "what it makes depends on what was there before",
}
INPUT_FLAGS = {
    "ancient": "records compare content and no dates, so it would have no effect",
    "storage_object": "DVC's remote is where bytes are shared",
    "from_queue": "which files there are is known only while the workflow runs",
    "checkpoint_target": "which files there are is known only while the workflow runs",
}


def where(rule: Any) -> str:
    """Return file and line of a rule."""
    path = os.path.relpath(str(rule.snakefile))
    return f"rule {rule.name}, {path}, line {rule.lineno}"


def check_rule(rule: Any) -> None:
    """Refuse what a rule declares and records cannot keep.

    Args:
        rule: Snakemake's, with a command.

    Raises:
        UserError: names the rule, the declaration and what to do.
    """
    if rule.name[:1].isdigit():
        raise UserError(
            "a rule has no name, and records are kept by name", where(rule), "name it"
        )
    if rule.is_checkpoint:
        raise UserError(
            "checkpoints cannot be recorded: which jobs follow is known only while "
            "the workflow runs",
            where(rule),
            "make it a rule whose output is a directory(), or list what it will make "
            "in the config",
        )
    if not rule.output:
        raise UserError(
            "the rule has a command and no output, so that nothing says what it made",
            where(rule),
            "give it an output (touch() makes an empty one), or name the rule in "
            "`unrecorded` of runledger.toml",
        )
    if rule.norun:
        raise UserError(
            "the rule has outputs and no command that makes them",
            where(rule),
            'give it a command, such as shell: "touch {output}"',
        )
    if rule.shadow_depth:
        raise _declared(rule, "shadow", "outputs are checked where they are made")
    if rule.ruleinfo.cache:
        raise _declared(rule, "cache", "the records and DVC's cache do what it does")
    if rule.cwl:
        raise _declared(rule, "cwl", "its command is not known to Snakemake")
    check_flags(rule, "output", rule.output, OUTPUT_FLAGS)
    check_flags(rule, "input", rule.input, INPUT_FLAGS)
    for path in map(str, rule.output):
        if os.path.isabs(path) or path.startswith(".."):
            raise UserError(
                f"output {path} is outside the checkout",
                where(rule),
                "write it below the folder where snakemake runs",
            )


def check_flags(
    rule: Any, directive: str, items: Iterable[Any], refused: dict[str, str]
) -> None:
    """Refuse inputs or outputs by the flags that Snakemake put on them."""
    from snakemake.io import is_flagged

    for item in items:
        for flag, reason in refused.items():
            if is_flagged(item, flag):
                name = "storage" if flag == "storage_object" else flag
                raise UserError(
                    f"{directive} {item} is {name}(): {reason}",
                    where(rule),
                    f"take {name}() away",
                )


def _declared(rule: Any, directive: str, reason: str) -> UserError:
    return UserError(
        f"the rule declares {directive}: {reason}",
        where(rule),
        f"take `{directive}:` away",
    )
