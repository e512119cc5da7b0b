"""What the Snakefile sets up: the ledger, target rules, how instances are bundled."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from dash_repro.launch import VARIABLE, require_launch
from dash_repro.paper.items import ITEMS
from dash_repro.resources import Counter, Site, Work
from runledger.bundles import Bundle, Sizes
from runledger.errors import UserError
from runledger.smk import Ledger

DEFAULTS = {"bundle": 1, "pack": 1, "spread": 1, "shards": 1}
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
    if type(value) is not int or value < 1:  # True is 1, too
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
        if "launch" in config:
            # jobs get it by the environment, Slurm's too
            where = "launch in the profile's config"
            os.environ[VARIABLE] = require_launch(config["launch"], where)
        if "log_seconds" in config:  # how often a training says how far it is
            os.environ.setdefault("DASH_LOG_SECONDS", str(config["log_seconds"]))
        most = {stage: setting(config, "bundle") for stage in BUNDLED}
        most["train_student"] = setting(config, "pack")
        main = workflow.is_main_process
        sizes = Sizes(most, GROUPS, setting(config, "spread"))
        parts = {"generate_samples": setting(config, "shards")}
        scheduler = Site.from_config(config)["scheduler"]
        ledger = Ledger(Path.cwd(), main, _aliases(), sizes, parts, scheduler)
    except UserError as error:
        raise WorkflowError(str(error)) from None
    return ledger


class Asked:
    """What each rule asks of the cluster, as Snakemake resources."""

    def __init__(self, ledger: Ledger, config: Mapping[str, Any]) -> None:
        self.ledger, self.site = ledger, Site.from_config(config)
        self.counter = Counter(ledger.pipeline.params)

    def of(self, stage: str, id: str, share: bool = False) -> dict[str, Any]:
        """Resources of a rule: functions of its wildcards where params decide.

        Args:
            stage, id: the rule's instance; the id is a pattern of wildcards.
            share: the rule does one share (wildcard parts) of the instance's work.
        """
        label = self.ledger.label(stage, id)

        def asked(wildcards: Any) -> dict[str, Any]:
            instance = self.ledger.pipeline.find(f"{stage}/{id.format(**wildcards)}")
            work = self.counter.work(stage, instance.item)
            if share:
                work = replace(work, flop=work.flop / int(wildcards.parts))
            elif self.ledger.shares.get(stage, 1) > 1:
                work = replace(work, flop=0.0)  # joins what the shares have made
            return self.site.ask(stage, work)

        keys = self.site.ask(stage, Work())
        found = {key: _later(asked, key) for key in keys}
        if self.site["scheduler"] == "slurm":
            found["slurm_extra"] = lambda wildcards: self._extra(
                "" if share else label(wildcards)
            )
        return found

    def of_bundle(self, bundle: Bundle) -> dict[str, Any]:
        """Resources of a rule that makes several instances, one after the other."""
        items = [self.ledger.pipeline[name].item for name in bundle.instances]
        if bundle.stage == "train_student":
            work = self.counter.packed(items)
        else:
            works = [self.counter.work(bundle.stage, item) for item in items]
            flop, disk = sum(w.flop for w in works), sum(w.disk_mb for w in works)
            memory = max(w.memory_mb for w in works)
            work = Work(flop, memory, disk, works[0].numerics)
        found = self.site.ask(bundle.stage, work)
        if self.site["scheduler"] == "slurm":
            found["slurm_extra"] = self._extra(self.ledger.label_of(bundle))
        return found

    def _extra(self, label: str) -> str:
        """Options of sbatch: a warning before the time limit, logs that are kept."""
        words = [f"--signal=USR1@{int(self.site['warning_seconds'])}"]
        words += ["--open-mode=append", self.site["extra"]]
        words += [f"--input={label}"] if label else []
        return " ".join(word for word in words if word)


def _later(asked: Callable[[Any], dict[str, Any]], key: str) -> Callable[[Any], Any]:
    return lambda wildcards: asked(wildcards)[key]


def _aliases() -> dict[str, tuple[tuple[str, ...], str | None]]:
    stages = ("make_table", "plot_figure")
    return {**ALIASES, **{item: (stages, item) for item in ITEMS}}


def of_teacher(ledger: Ledger, student: str, path: str) -> Callable[[Any], str]:
    """Return an input function: a file of the teacher that a student names.

    Args:
        ledger: the records.
        student: the instance ids of students, as a pattern of wildcards.
        path: of the teacher's file, with {dataset}, {teacher} and {seed}.
    """
    name = ledger.item("train_student", student, "teacher")
    return lambda wildcards: path.format(
        dataset=wildcards.dataset, teacher=name(wildcards), seed=wildcards.seed
    )
