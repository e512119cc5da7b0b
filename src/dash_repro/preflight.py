"""What to know before anything is submitted: `make preflight` (docs/cluster.md).

Looks only: submits nothing, downloads nothing, writes nothing.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import click
import yaml

from dash_repro import cost, wallclock
from dash_repro.paper.pdf import unusable
from runledger import environment
from runledger.errors import UserError
from runledger.judge import Judge, Verdict
from runledger.pipeline import CODE_STAGE, Pipeline
from runledger.project import load_pipeline
from runledger.resources import Site, Work
from runledger.store import Store

EXECUTOR = "snakemake-executor-plugin-slurm"
LEAST = (2, 7, 1)  # earlier ones ran GPU jobs twice
LOOKS = 240  # s: it looks at the queue every 180 s at the latest, and squeue takes time
SHARED = ("nfs", "nfs4", "lustre", "gpfs", "beegfs", "ceph", "fuse.", "wekafs", "panfs")
OK, WARN, FAIL = "ok", "warn", "FAIL"


@dataclass(frozen=True)
class Finding:
    """One line of the report: how bad, what about, what was found and to do."""

    level: str
    subject: str
    text: str


@dataclass
class StagePlan:
    """Jobs of one stage that are to run."""

    instances: int = 0
    gpu_hours: float = 0.0
    disk_mb: float = 0.0
    states_mb: list[float] = field(default_factory=list)  # one an instance
    longest: float = 0.0  # minutes of one instance, starting included


def output_of(*command: str) -> str | None:
    """Return a command's output; None if it is not there or fails."""
    try:
        done = subprocess.run(command, capture_output=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return os.fsdecode(done.stdout) if done.returncode == 0 else None


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


def check_executor() -> Iterator[Finding]:
    """Snakemake's executor for Slurm."""
    try:
        version = metadata.version(EXECUTOR)
    except metadata.PackageNotFoundError:
        yield Finding(FAIL, "executor", f"{EXECUTOR} is not installed: make setup")
        return
    numbers = tuple(int(n) for n in re.findall(r"\d+", version)[:3])
    good = numbers >= LEAST
    text = f"{EXECUTOR} {version}"
    yield Finding(
        OK if good else FAIL, "executor", text if good else f"{text}: < 2.7.1"
    )


def check_slurm(profile: Mapping[str, Any]) -> Iterator[Finding]:
    """Controller, accounting, and the status command that goes with it."""
    config = output_of("scontrol", "show", "config")
    if config is None:
        yield Finding(FAIL, "slurm", "scontrol does not answer: not a login node?")
        return
    values = dict(re.findall(r"^(\S+)\s+=\s+(.*)$", config, re.M))
    yield Finding(OK, "slurm", f"version {values.get('SLURM_VERSION', '?')}")
    accounting = "none" not in values.get("AccountingStorageType", "none")
    chosen = profile.get("slurm-status-command", "sacct")
    wanted = "sacct" if accounting else "squeue"
    text = f"accounting {'on' if accounting else 'off'}; slurm-status-command: {chosen}"
    if chosen == "sacct" and not accounting:
        text += ": set it to squeue in slurm/config.v9+.yaml, or the head waits forever"
    yield Finding(OK if chosen == wanted or accounting else FAIL, "status", text)
    age = int(re.findall(r"\d+", values.get("MinJobAge", "0"))[0])
    if chosen == "squeue" and age < LOOKS:
        text = f"squeue forgets ended jobs after {age} s (MinJobAge): one that "
        text += f"the head misses is waited for without end; ask for {LOOKS} or more"
        yield Finding(WARN, "status", text)
    if values.get("JobRequeue") == "0":
        text = "JobRequeue=0; the profile asks with --requeue, which usually suffices"
        yield Finding(WARN, "requeue", text)


def check_partitions(site: Site, longest: Mapping[bool, float]) -> Iterator[Finding]:
    """Partitions, their limits and GPUs against what jobs ask.

    Args:
        longest: minutes of the longest job, {True: with GPU, False: without}.
    """
    text = output_of("sinfo", "-h", "-o", "%P|%l|%G|%D|%a")
    if text is None:
        yield Finding(FAIL, "partitions", "sinfo does not answer")
        return
    rows = [line.split("|") for line in text.splitlines()]
    for gpu, key in ((True, "partition"), (False, "cpu_partition")):
        wanted = site[key]
        mine = [
            row
            for row in rows
            if row[0].rstrip("*") == wanted or (not wanted and row[0].endswith("*"))
        ]
        what = f"{key} {wanted or '(default)'}"
        if not mine:
            names = ", ".join(sorted({row[0].rstrip("*") for row in rows}))
            yield Finding(FAIL, key, f"{what} does not exist; there are {names}")
            continue
        yield from _limits(site, what, key, mine, gpu, longest.get(gpu, 0.0))


def _limits(
    site: Site, what: str, key: str, mine: list, gpu: bool, longest: float
) -> Iterator[Finding]:
    limit = max(minutes(row[1]) for row in mine)
    asked = min(longest, site["max_minutes"])
    text = f"{what}: limit {limit:.0f} min, longest job asks {asked:.0f} min"
    if asked > limit:
        text += (
            f"; set max_minutes: {limit:.0f} in slurm/site.yaml (jobs go on in legs)"
        )
    yield Finding(FAIL if asked > limit else OK, key, text)
    if longest > asked:
        legs = longest / max(asked - site["warning_seconds"] / 60, 1)
        yield Finding(OK, "legs", f"longest training: about {legs:.0f} legs")
    if not gpu:
        return
    found = sorted({row[2] for row in mine if "gpu" in row[2]})
    if not found:
        yield Finding(FAIL, "gpu", f"{what} has no GPUs that Slurm knows of (gres)")
    elif site["gpu_model"] and not any(site["gpu_model"] in row for row in found):
        text = f"no {site['gpu_model']} in {what}; there are {', '.join(found)}"
        yield Finding(FAIL, "gpu", text)
    else:
        yield Finding(OK, "gpu", f"{what}: {', '.join(found)}")


def minutes(limit: str) -> float:
    """Minutes of a Slurm time limit ("1-00:00:00", "30:00", "infinite")."""
    if not limit[:1].isdigit():
        return float("inf")
    days, _, rest = limit.rpartition("-")
    parts = [int(part) for part in rest.split(":")]
    hours, mins, secs = ([0] * (3 - len(parts)) + parts)[:3]
    return int(days or 0) * 1440 + hours * 60 + mins + secs / 60


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


def check_disk(root: Path, kept_mb: float, state_mb: float) -> Iterator[Finding]:
    """The file system: shared with the nodes, large enough."""
    kind = (output_of("stat", "-f", "-c", "%T", str(root)) or "?").strip()
    nodes = len(set((output_of("sinfo", "-h", "-N", "-o", "%N") or "").split()))
    shared = kind.startswith(SHARED) or nodes <= 1
    text = f"file system {kind}, {nodes} nodes"
    if not shared:
        text += ": is this folder on the nodes, too? It does not look shared"
    yield Finding(OK if shared else WARN, "shared", text)
    free = shutil.disk_usage(root).free / 1e6
    needed = kept_mb + state_mb
    text = f"needs {needed / 1000:.1f} GB ({kept_mb / 1000:.1f} results and their cache"
    text += f", {state_mb / 1000:.1f} of resume states at most), free {free / 1000:.1f}"
    yield Finding(OK if free > needed else FAIL, "disk", text)


def check_remote(root: Path) -> Iterator[Finding]:
    """The DVC remote answers, and has objects."""
    from runledger.remote import find_remote

    try:
        remote = find_remote(root)
        there = remote is not None and remote.is_there()
    except UserError as error:
        yield Finding(FAIL, "remote", error.what)
        return
    if remote is None:
        yield Finding(WARN, "remote", "none is configured: results stay here")
    elif there:
        yield Finding(OK, "remote", f"{remote.where} answers")
    else:
        text = f"{remote.where} has no objects: is it new, or is its disk not mounted?"
        yield Finding(WARN, "remote", text)


def check_cache(root: Path) -> Iterator[Finding]:
    """DVC's cache can be written; how much room it has on a disk of its own."""
    try:
        store = Store(root)
        store.prepare()
    except UserError as error:
        yield Finding(FAIL, "cache", str(error))
        return
    text, folder = f"{store.config.folder} can be written", store.objects
    if folder.stat().st_dev != root.stat().st_dev:
        free = shutil.disk_usage(folder).free / 1e9
        text += f"; on another disk, of which {free:.1f} GB are free"
    yield Finding(OK, "cache", text)


def check_files(
    root: Path, params: Mapping[str, Any], verdicts: Mapping[str, Verdict]
) -> Iterator[Finding]:
    """Data that are to be read and cannot be, or that nodes could not download."""
    for verdict in verdicts.values():
        for error in verdict.unread.values() if not verdict.valid else ():
            yield Finding(FAIL, "data", f"{error.what} ({error.where}): {error.remedy}")
    for name, block in params["prepare_data"].items():
        here = (root / block["path"]).exists()
        if not block["path"] or (block["source"] == "folder" and not here):
            continue
        text = f"{name}: {block['path']} {'is here' if here else 'is absent'}"
        if not here:
            text += "; nodes without internet cannot fetch it: see docs/cluster.md"
        yield Finding(OK if here else WARN, "data", text)
    path = params["extractor"]["weights_path"]
    if path:
        here = (root / path).exists()
        text = f"{path} {'is here' if here else 'is absent (downloaded at first use)'}"
        yield Finding(OK if here else WARN, "weights", text)


def check_git(root: Path) -> Iterator[Finding]:
    """Whether records of a run could name the commit they ran at."""
    run = environment.commit(root)
    yield Finding(
        WARN if environment.warning(run) else OK, "git", environment.provenance(run)
    )


def check_pdf(root: Path) -> Iterator[Finding]:
    """LaTeX of this machine: the head builds the PDF, or leaves it out."""
    reason = unusable(root)
    text = f"left out. {reason}" if reason else "LaTeX works here, on the head"
    yield Finding(WARN if reason else OK, "pdf", text)


def report(root: Path, profile: Path) -> tuple[list[Finding], str]:
    """Return all findings, and the plan as text."""
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
    findings = [
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
    return findings, f"{text}\n{cost.line(pipeline)}\n{wallclock.line(pipeline)}"


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
        findings, plan = report(Path.cwd(), profile)
    except (UserError, OSError) as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(1)
    for finding in findings:
        click.echo(f"{finding.level:4s}  {finding.subject:14s} {finding.text}")
    click.echo(plan)
    sys.exit(1 if any(finding.level == FAIL for finding in findings) else 0)


if __name__ == "__main__":
    main(prog_name="make preflight")
