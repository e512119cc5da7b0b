"""What is to run, in GPU-hours and disk, counted before anything is submitted."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from runledger.pipeline import CODE_STAGE, Pipeline
from runledger.resources import Site, Work


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


def packed_hours(
    pipeline: Pipeline, stale: set[str], site: Site, stage: str, pack: int
) -> float:
    """GPU-hours of a stage's stale instances if `pack` of them share a job."""
    asks, groups = pipeline.stages[stage].asks, defaultdict(list)
    for name in sorted(stale):
        instance = pipeline[name]
        if instance.stage == stage:
            item = instance.item
            groups[tuple(item[field] for field in asks.by)].append(item)
    total = 0.0
    for items in groups.values():
        for start in range(0, len(items), pack):
            work = asks.of_bundle(items[start : start + pack])
            total += work.flop / (site[f"tflops_{work.numerics}"] * 1e12) / 3600
    return total


def longest_jobs(
    pipeline: Pipeline, plans: Mapping[str, StagePlan], site: Site
) -> dict[bool, float]:
    """Minutes of the longest planned instance, {True: with GPU, False: without}."""
    return {
        gpu: max(
            (p.longest for s, p in plans.items() if pipeline.stages[s].asks.gpu == gpu),
            default=site.minutes(Work()),
        )
        for gpu in (True, False)
    }


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


def plan_text(
    plans: Mapping[str, StagePlan],
    site: Site,
    packed: Mapping[str, tuple[int, float]],
    file: str = "the site's settings",
) -> str:
    """Lay out the plan; its hours are computed from counted work, not measured.

    Args:
        plans: what is to run, by stage.
        site: whose speed counts.
        packed: {stage: (instances side by side in a job, GPU-hours then)}.
        file: where the site's settings are.
    """
    if not plans:
        return "plan: nothing to do, everything is valid"
    lines = ["plan (computed from counted work and the site's speed, not measured):"]
    lines.append(f"  {'stage':22s}{'instances':>10s}{'GPU-hours':>11s}{'disk GB':>9s}")
    total = 0.0
    for stage, plan in plans.items():
        pack, hours = packed.get(stage, (1, plan.gpu_hours))
        total += hours
        mark = f"  packed {pack}" if pack > 1 else ""
        lines.append(
            f"  {stage:22s}{plan.instances:10d}{hours:11.1f}"
            f"{plan.disk_mb / 1000:9.2f}{mark}"
        )
    disk = sum(plan.disk_mb for plan in plans.values()) / 1000
    count = sum(plan.instances for plan in plans.values())
    lines.append(f"  {'all':22s}{count:10d}{total:11.1f}{disk:9.2f}")
    speeds = f"fp32 {site['tflops_fp32']} fp16 {site['tflops_fp16']} TFLOP/s"
    lines.append(f"  at {speeds} ({file})")
    return "\n".join(lines)
