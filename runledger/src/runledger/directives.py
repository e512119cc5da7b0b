"""What a Snakefile begins with: the ledger, and what its rules say things with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from snakemake.io import flag

from runledger.bundles import Sizes
from runledger.errors import UserError
from runledger.project import load_pipeline
from runledger.resources import Site
from runledger.smk import Ledger
from runledger.snakefile import Reader, Reading
from runledger.stages import CURVES, IN_GIT, METRIC


def verbatim(text: str) -> str | Callable[[Any], str]:
    """Return a param of a rule whose braces are not taken for wildcards.

    A function only where there are some, for Snakemake calls it for each job.
    """
    return (lambda wildcards: text) if "{" in text else text


def literal(path: str) -> str:
    """Return a path for where Snakemake takes no function, but fills in wildcards."""
    return path.replace("{", "{{").replace("}", "}}")


def in_git(path: str) -> Any:
    """Mark an output as small text that lives in git, and in its record."""
    return flag(path, IN_GIT)


def metric(path: str) -> Any:
    """Mark an output as one in git that `dvc metrics` shows."""
    return flag(path, METRIC)


def curves(path: str, x: str, y: tuple[str, ...], by: tuple[str, ...]) -> Any:
    """Mark an output as a file of columns that `dvc plots` shows; see Curves."""
    return flag(path, CURVES, {"x": x, "y": y, "by": by})


def setting(config: Mapping[str, Any], name: str) -> int:
    """Return a scheduling setting of the profile (``config:``); 1 if it has none.

    Raises:
        UserError: not a positive whole number.
    """
    value = config.get(name, 1)
    if type(value) is not int or value < 1:  # True is 1, too
        raise UserError(
            f"config {name}={value!r} is not a positive whole number",
            "the profile's config, or --config",
            f"for example --config {name}=8",
        )
    return value


def open_ledger(workflow: Any, config: Mapping[str, Any]) -> Ledger | Reading:
    """Judge every instance (or, in a cluster job, read the head's verdicts).

    While the rules are only read (snakefile.py), nothing is judged.

    Args:
        workflow: Snakemake's.
        config: of the profile: settings that rules name in ``bundle`` and ``shards``,
            ``spread`` (cores to use), and what Site reads.

    Raises:
        WorkflowError: bad params, or settings under which records would not decide.
    """
    if isinstance(workflow, Reader):
        return workflow.reading
    from snakemake.exceptions import WorkflowError

    try:
        root = Path.cwd()
        pipeline = load_pipeline(root)
        asked = {name: stage.asks for name, stage in pipeline.stages.items()}
        sizes = Sizes(
            {n: setting(config, a.bundle) for n, a in asked.items() if a.bundle},
            {name: asks.by for name, asks in asked.items()},
            setting(config, "spread"),
        )
        shares = {n: setting(config, a.shards) for n, a in asked.items() if a.shards}
        return Ledger(
            root,
            workflow.is_main_process,
            pipeline.targets,
            sizes,
            shares,
            Site.from_config(config)["scheduler"],
            pipeline,
        )
    except UserError as error:
        raise WorkflowError(str(error)) from None
