"""In the head: what the jobs of Snakemake's DAG stand for, for the display."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from runledger.display.run import Run, Task, members
from runledger.display.words import count, describe

if TYPE_CHECKING:
    from runledger.planning import Plan

# resources in which a rule says how much counted work its job is, and what work runs
# at the same speed
WORK, KIND = "work", "work_kind"


def announce(plan: Plan, workflow: Any) -> None:
    """Log what is going to run; the record carries the Run for the display."""
    from snakemake.logging import logger

    run = read_run(plan, workflow)
    tasks = [task for task in run.tasks.values() if task.shown]
    order = list(dict.fromkeys(i.stage for i in plan.pipeline.instances.values()))
    tasks.sort(key=lambda t: order.index(t.stage) if t.stage in order else -1)
    made: dict[str, set] = {}
    for number, task in enumerate(tasks):
        names = [member.name for member in task.members]
        made.setdefault(task.stage, set()).update(names or [number])
    listed = ", ".join(f"{len(names)} {stage}" for stage, names in made.items())
    logger.info(f"{count(run.count, 'job')} for {listed}", extra={"runledger": run})


def read_run(plan: Plan, workflow: Any) -> Run:
    """Return the jobs that Snakemake is about to run."""
    dag = workflow.dag
    needed = [job for job in dag.jobs if dag.needrun(job)]
    most = {
        name: amount
        for name, amount in workflow.scheduler.global_resources.items()
        if amount < sys.maxsize
    }
    by_recipe = {path: name for name, path in plan.recipes.items()}
    tasks = {}
    for job in needed:
        names = [by_recipe[p] for p in map(str, job.input) if p in by_recipe]
        task = _task(plan, job, names)
        task.needs = frozenset(
            other.jobid for other in dag.dependencies[job] if dag.needrun(other)
        )
        asked = job.scheduler_resources
        task.uses = {name: asked[name] for name in most if asked.get(name)}
        tasks[job.jobid] = task
    return Run(tasks, most, remote=not workflow.local_exec)


def _task(plan: Plan, job: Any, names: list[str]) -> Task:
    rule, wildcards = job.rule.name, job.wildcards_dict
    part = "{part}/{parts}".format(**wildcards) if "parts" in wildcards else ""
    stage, label = rule, " ".join([rule, *map(str, wildcards.values())])
    if names:
        instances = [plan.pipeline[name] for name in names]
        stage, label = instances[0].stage, describe(instances)
        label += f" part {part}" if part else ""
    for waiting in plan.waiting:
        if waiting.name == rule:
            stage, label = "await", f"waits for job {waiting.job}: {label}"
    work = float(job.resources.get(WORK, 0))
    kind = str(job.resources.get(KIND, stage))
    found = members(plan.root, names, part)
    log = "" if job.output else " ".join(map(str, job.log))
    shown = bool(job.output or log)
    return Task(label, stage, found, work, kind, shown=shown, log=log)
