"""What the Snakefile sets up: the ledger, target rules, how instances are bundled."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dash_repro.paper.items import ITEMS
from runledger.errors import UserError
from runledger.smk import Ledger

DEFAULTS = {"bundle": 1, "pack": 1, "spread": 1}
BUNDLED = (
    "export_tirt",
    "generate_samples",
    "extract_reference",
    "compute_metrics",
    "measure_calibration",
    "profile_model",
    "rank_pairs",
    "collect_results",
    "collect_images",
    "make_table",
    "plot_figure",
    "fingerprint_code",
)
GROUPS = {"train_student": ("dataset", "teacher", "seed")}
ALIASES: dict[str, tuple[tuple[str, ...], str | None]] = {
    "all": (("make_table", "plot_figure", "build_paper", "build_page"), None),
    "tables": (("make_table",), None),
    "figures": (("plot_figure",), None),
    "page": (("build_page",), None),
    "paper": (("build_paper",), None),
    "students": (("train_student",), None),
    "teachers": (("train_teacher", "export_tirt"), None),
    "metrics": (("compute_metrics", "measure_calibration"), None),
}


def setting(config: Mapping[str, Any], name: str) -> int:
    """Return a scheduling setting of the profile (``config:``), or its default.

    Raises:
        UserError: not a positive whole number.
    """
    value = config.get(name, DEFAULTS[name])
    if not isinstance(value, int) or value < 1:
        raise UserError(
            f"config {name}={value!r} is not a positive whole number",
            "the profile's config, or --config",
            f"for example --config {name}=8",
        )
    return value


def open_ledger(workflow: Any, config: Mapping[str, Any]) -> Ledger:
    """Judge every instance (or, in a cluster job, read the head's verdicts).

    Raises:
        WorkflowError: bad params, or settings under which records would not decide.
    """
    from snakemake.exceptions import WorkflowError

    try:
        sizes = {stage: setting(config, "bundle") for stage in BUNDLED}
        sizes["train_student"] = setting(config, "pack")
        main = workflow.is_main_process
        spread = setting(config, "spread")
        ledger = Ledger(Path.cwd(), main, _aliases(), sizes, GROUPS, spread)
    except UserError as error:
        raise WorkflowError(str(error)) from None
    return ledger


def _aliases() -> dict[str, tuple[tuple[str, ...], str | None]]:
    stages = ("make_table", "plot_figure")
    return {**ALIASES, **{item: (stages, item) for item in ITEMS}}
