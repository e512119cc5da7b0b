"""What to know before anything is submitted: `make preflight` (docs/cluster.md).

Looks only: submits nothing, downloads nothing, writes nothing.
"""

from __future__ import annotations

import shutil
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import yaml

from dash_repro import cost, wallclock
from dash_repro.paper.pdf import unusable
from dash_repro.slurm_checks import (
    FAIL,
    OK,
    WARN,
    Answer,
    check_executor,
    check_partitions,
    check_slurm,
    output_of,
)
from runledger import (
    CODE_STAGE,
    Judge,
    Pipeline,
    Site,
    Store,
    Verdict,
    Work,
    commit,
    load_pipeline,
    provenance,
    warning,
)
from runledger.errors import UserError

SHARED = ("nfs", "nfs4", "lustre", "gpfs", "beegfs", "ceph", "fuse.", "wekafs", "panfs")


@dataclass
class StagePlan:
    """Jobs of one stage that are to run."""

    instances: int = 0
    gpu_hours: float = 0.0
    disk_mb: float = 0.0
    states_mb: list[float] = field(default_factory=list)  # one an instance
    longest: float = 0.0  # minutes of one instance, starting included


def plan_of(pipeline: Pipeline, stale: set[str], site: Site) -> dict[str, StagePlan]:
    """Count the stale instances' work, stage by stage, one instance a job."""
    plans: dict[str, StagePlan] = defaultdict(StagePlan)
    for name in pipeline.instances:
        instance = pipeline[name]
        if name not in stale or instance.stage == CODE_STAGE:
            continue
        asks, plan = pipeline.stages[instance.stage].asks, plans[instance.stage]
        work = asks.work(instance.item)
        rate = site[f"tflops_{work.numerics}"] * 1e12
        plan.instances += 1
        plan.disk_mb += work.disk_mb
        plan.states_mb.append(work.state_mb)
        plan.longest = max(plan.longest, site.minutes(work))
        if asks.gpu:
            plan.gpu_hours += work.flop / rate / 3600
    return dict(plans)


def packed_hours(pipeline: Pipeline, stale: set[str], site: Site, pack: int) -> float:
    """GPU-hours of the stale students, trained `pack` at a time."""
    asks, groups = pipeline.stages["train_student"].asks, defaultdict(list)
    for name in sorted(stale):
        instance = pipeline[name]
        if instance.stage == "train_student":
            item = instance.item
            groups[tuple(item[field] for field in asks.by)].append(item)
    total = 0.0
    for items in groups.values():
        for start in range(0, len(items), pack):
            work = asks.of_bundle(items[start : start + pack])
            total += work.flop / (site[f"tflops_{work.numerics}"] * 1e12) / 3600
    return total


def disk_of(plans: Mapping[str, StagePlan], at_once: int) -> tuple[float, float]:
    """Megabytes: outputs with their copy in DVC's cache, and the most resume state.

    Args:
        plans: what is to run.
        at_once: instances in work at the same time, at most.
    """
    # the cache holds all once more where the file system cannot share blocks
    kept = 2 * sum(plan.disk_mb for plan in plans.values())
    states = sorted(mb for plan in plans.values() for mb in plan.states_mb)
    return kept, sum(states[-at_once:])


def check_disk(root: Path, kept_mb: float, state_mb: float) -> Iterator[Answer]:
    """The file system: shared with the nodes, large enough."""
    kind = (output_of("stat", "-f", "-c", "%T", str(root)) or "?").strip()
    nodes = len(set((output_of("sinfo", "-h", "-N", "-o", "%N") or "").split()))
    shared = kind.startswith(SHARED) or nodes <= 1
    text = f"file system {kind}, {nodes} nodes"
    if not shared:
        text += ": is this folder on the nodes, too? It does not look shared"
    yield Answer(OK if shared else WARN, "shared", text)
    free = shutil.disk_usage(root).free / 1e6
    needed = kept_mb + state_mb
    text = f"needs {needed / 1000:.1f} GB ({kept_mb / 1000:.1f} results and their cache"
    text += f", {state_mb / 1000:.1f} of resume states at most), free {free / 1000:.1f}"
    yield Answer(OK if free > needed else FAIL, "disk", text)


def check_remote(root: Path) -> Iterator[Answer]:
    """Check that the DVC remote answers and has objects."""
    from runledger import find_remote

    try:
        remote = find_remote(root)
        there = remote is not None and remote.is_there()
    except UserError as error:
        yield Answer(FAIL, "remote", error.what)
        return
    if remote is None:
        yield Answer(WARN, "remote", "none is configured: results stay here")
    elif there:
        yield Answer(OK, "remote", f"{remote.where} answers")
    else:
        text = f"{remote.where} has no objects: is it new, or is its disk not mounted?"
        yield Answer(WARN, "remote", text)


def check_cache(root: Path) -> Iterator[Answer]:
    """DVC's cache can be written; how much room it has on a disk of its own."""
    try:
        store = Store(root)
        store.prepare()
    except UserError as error:
        yield Answer(FAIL, "cache", str(error))
        return
    text, folder = f"{store.config.folder} can be written", store.objects
    if folder.stat().st_dev != root.stat().st_dev:
        free = shutil.disk_usage(folder).free / 1e9
        text += f"; on another disk, of which {free:.1f} GB are free"
    yield Answer(OK, "cache", text)


def check_files(
    root: Path, params: Mapping[str, Any], verdicts: Mapping[str, Verdict]
) -> Iterator[Answer]:
    """Data that are to be read and cannot be, or that nodes could not download."""
    for verdict in verdicts.values():
        for error in verdict.unread.values() if not verdict.valid else ():
            yield Answer(FAIL, "data", f"{error.what} ({error.where}): {error.remedy}")
    for name, block in params["prepare_data"].items():
        here = (root / block["path"]).exists()
        if not block["path"] or (block["source"] == "folder" and not here):
            continue
        text = f"{name}: {block['path']} {'is here' if here else 'is absent'}"
        if not here:
            text += "; nodes without internet cannot fetch it: see docs/cluster.md"
        yield Answer(OK if here else WARN, "data", text)
    path = params["extractor"]["weights_path"]
    if path:
        here = (root / path).exists()
        text = f"{path} {'is here' if here else 'is absent (downloaded at first use)'}"
        yield Answer(OK if here else WARN, "weights", text)


def check_git(root: Path) -> Iterator[Answer]:
    """Whether records of a run could name the commit they ran at."""
    run = commit(root)
    yield Answer(WARN if warning(run) else OK, "git", provenance(run))


def check_pdf(root: Path) -> Iterator[Answer]:
    """LaTeX of this machine: the head builds the PDF, or leaves it out."""
    reason = unusable(root)
    text = f"left out. {reason}" if reason else "LaTeX works here, on the head"
    yield Answer(WARN if reason else OK, "pdf", text)


def report(root: Path, profile: Path) -> tuple[list[Answer], str]:
    """Return one answer a line of the report, and the plan as text."""
    settings = yaml.safe_load(profile.read_text(encoding="utf-8"))
    config = yaml.safe_load((root / settings["configfile"]).read_text("utf-8"))
    site, pipeline = Site.from_config(config), load_pipeline(root)
    verdicts = Judge(root, pipeline).judge()
    stale = {name for name, verdict in verdicts.items() if not verdict.valid}
    plans = plan_of(pipeline, stale, site)
    longest = {
        gpu: max(
            (p.longest for s, p in plans.items() if pipeline.stages[s].asks.gpu == gpu),
            default=site.minutes(Work()),
        )
        for gpu in (True, False)
    }
    pack = int(config.get("pack", 1))
    at_once = pack * int(settings.get("jobs", 1))
    answers = [
        *check_git(root),
        *check_executor(),
        *check_slurm(settings),
        *check_partitions(site, longest),
        *check_disk(root, *disk_of(plans, at_once)),
        *check_cache(root),
        *check_remote(root),
        *check_files(root, pipeline.params, verdicts),
        *check_pdf(root),
    ]
    hours = packed_hours(pipeline, stale, site, pack)
    text = plan_text(plans, site, hours, pack)
    return answers, f"{text}\n{cost.line(pipeline)}\n{wallclock.line(pipeline)}"


def plan_text(
    plans: Mapping[str, StagePlan], site: Site, packed: float, pack: int
) -> str:
    """Lay out the plan; its hours are computed from counted work, not measured."""
    if not plans:
        return "plan: nothing to do, everything is valid"
    lines = ["plan (computed from counted work and the site's speed, not measured):"]
    lines.append(f"  {'stage':22s}{'instances':>10s}{'GPU-hours':>11s}{'disk GB':>9s}")
    total = 0.0
    for stage, plan in plans.items():
        hours = packed if stage == "train_student" else plan.gpu_hours
        total += hours
        mark = f"  packed {pack}" if stage == "train_student" and pack > 1 else ""
        lines.append(
            f"  {stage:22s}{plan.instances:10d}{hours:11.1f}"
            f"{plan.disk_mb / 1000:9.2f}{mark}"
        )
    disk = sum(plan.disk_mb for plan in plans.values()) / 1000
    count = sum(plan.instances for plan in plans.values())
    lines.append(f"  {'all':22s}{count:10d}{total:11.1f}{disk:9.2f}")
    speeds = f"fp32 {site['tflops_fp32']} fp16 {site['tflops_fp16']} TFLOP/s"
    lines.append(f"  at {speeds} (slurm/site.yaml)")
    return "\n".join(lines)


@click.command(help=__doc__)
@click.option(
    "--profile",
    type=click.Path(path_type=Path),
    default=Path("slurm/config.v9+.yaml"),
    show_default=True,
    help="The profile that jobs are submitted with.",
)
def main(profile: Path) -> None:
    """Print the report; exit status 1 if something would fail."""
    try:
        answers, plan = report(Path.cwd(), profile)
    except (UserError, OSError) as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(1)
    for answer in answers:
        click.echo(f"{answer.level:4s}  {answer.subject:14s} {answer.text}")
    click.echo(plan)
    sys.exit(1 if any(answer.level == FAIL for answer in answers) else 0)


if __name__ == "__main__":
    main(prog_name="make preflight")
