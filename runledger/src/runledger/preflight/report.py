"""The whole report: all checks that need nothing but the checkout and the profile."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import yaml

from runledger.judge import Judge
from runledger.preflight.answers import Answer
from runledger.preflight.machine import check_cache, check_disk, check_git, check_remote
from runledger.preflight.plan import (
    disk_of,
    longest_jobs,
    packed_hours,
    plan_of,
    plan_text,
)
from runledger.preflight.slurm import check_executor, check_partitions, check_slurm
from runledger.project import load_pipeline
from runledger.resources import Site


def report(root: Path, profile: Path, together: str = "") -> tuple[list[Answer], str]:
    """Look at what would fail, and say what is to run.

    Args:
        root: the checkout.
        profile: Snakemake's, with a ``configfile`` that names the site's partitions.
        together: a stage of which the config's ``pack`` instances share a job.

    Returns:
        One answer a line of the report, and the plan as text.

    Raises:
        UserError, OSError: a file of the checkout or the profile cannot be read.
    """
    settings = yaml.safe_load(profile.read_text(encoding="utf-8"))
    where = settings["configfile"]
    config = yaml.safe_load((root / where).read_text(encoding="utf-8"))
    site, pipeline = Site.from_config(config), load_pipeline(root)
    verdicts = Judge(root, pipeline).judge()
    stale = {name for name, verdict in verdicts.items() if not verdict.valid}
    plans = plan_of(pipeline, stale, site)
    pack = int(config.get("pack", 1)) if together else 1
    at_once = pack * int(settings.get("jobs", 1))

    def checks() -> Iterator[Answer]:
        yield from check_git(root)
        yield from check_executor()
        yield from check_slurm(settings, str(profile))
        yield from check_partitions(site, longest_jobs(pipeline, plans, site), where)
        yield from check_disk(root, *disk_of(plans, at_once))
        yield from check_cache(root)
        yield from check_remote(root)

    packed = {}
    if together:
        packed[together] = pack, packed_hours(pipeline, stale, site, together, pack)
    return list(checks()), plan_text(plans, site, packed, where)
