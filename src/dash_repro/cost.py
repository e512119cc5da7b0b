"""What a run of some params costs in GPU-hours: one count, printed in several places.

The work is counted (convolutions and matrix products, 2 FLOP a multiply-add). Its speed
in half precision was measured on an H100, part by part, with `launch: compile`
(bench/results/h100-2026-11-26*). In single precision it is assumed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from runledger import CODE_STAGE, Instance, Pipeline, Work

PACK = 8  # students of a teacher in one job, as in README and in Slurm's profile
# TFLOP/s that one H100 reached in half precision: the teacher's step (21.1 ms); a DASH
# step of 16 students side by side (138 ms; one alone 142, four 125); sampling with a
# student, which was timed eagerly alone (15.0 s; the teacher 111).
H100 = {"train_teacher": 113.0, "train_student": 107.1, "generate_samples": 57.4}
H100["distill_steps"] = 53.6  # half of that of students side by side; assumed
SINGLE = 20.0  # a third of what its vector units reach in single precision; assumed
PARTS = {
    "train_teacher": "teachers",
    "train_student": f"students, {PACK} of a teacher side by side",
    "distill_steps": "students of fewer steps",
    "generate_samples": "sampling",
}
REST = "gaps, features and the rest"


@dataclass
class Cost:
    """One line of the table.

    Attributes:
        part: what is done.
        runs: instances.
        flop: counted operations, by precision.
        rate: TFLOP/s in half precision.
    """

    part: str
    runs: int
    flop: dict[str, float]
    rate: float

    @property
    def hours(self) -> float:
        """GPU-hours on one H100."""
        rates = {"fp16": self.rate, "fp32": SINGLE}
        return sum(work / (rates[name] * 3.6e15) for name, work in self.flop.items())


def hours(stage: str, work: Work) -> float:
    """Hours of one job on one H100."""
    rate = H100.get(stage, SINGLE)
    return Cost(stage, 1, {work.numerics: work.flop}, rate).hours


def costs(pipeline: Pipeline, pack: int = PACK) -> list[Cost]:
    """The work of everything that runs on a GPU, part by part.

    Args:
        pipeline: all of its instances count, made or not.
        pack: students that share a job, and their teacher's forward pass.
    """
    found: dict[str, Cost] = {}
    for stage, runs, work in _jobs(pipeline, pack):
        part = PARTS.get(stage, REST)
        rate = H100.get(stage, SINGLE)
        cost = found.setdefault(part, Cost(part, 0, defaultdict(float), rate))
        cost.runs += runs
        cost.flop[work.numerics] += work.flop
    order = [*PARTS.values(), REST]
    return sorted(found.values(), key=lambda cost: order.index(cost.part))


def _jobs(pipeline: Pipeline, pack: int) -> Iterator[tuple[str, int, Work]]:
    """(stage, instances, work) of jobs that ask for a GPU."""
    together: dict[tuple, list[Instance]] = defaultdict(list)
    for name in pipeline.instances:
        instance = pipeline[name]
        if instance.stage == CODE_STAGE:
            continue
        asks = pipeline.stages[instance.stage].asks
        if asks.gpu and asks.together:
            shared = tuple(instance.item[field] for field in asks.by)
            together[instance.stage, shared].append(instance)
        elif asks.gpu:
            yield instance.stage, 1, asks.work(instance.item)
    for (stage, _), group in together.items():
        for start in range(0, len(group), pack):
            items = [one.item for one in group[start : start + pack]]
            yield stage, len(items), pipeline.stages[stage].asks.of_bundle(items)


def line(pipeline: Pipeline) -> str:
    """All of it in one line, for a report."""
    total = sum(cost.hours for cost in costs(pipeline))
    return (
        f"  all of params.yaml on one H100, {PACK} students a job, at the speeds "
        f"measured with launch: compile: {total:.1f} hours"
    )


def table(pipeline: Pipeline) -> list[str]:
    """The costs as lines of a Markdown table, with their sum."""
    found = costs(pipeline)
    lines = ["| part | runs | precision | EFLOP | TFLOP/s | H100-hours |"]
    lines.append("|---|---|---|---|---|---|")
    for cost in found:
        kinds = " and ".join(sorted(name for name, n in cost.flop.items() if n))
        total = sum(cost.flop.values()) / 1e18
        rate = f"{cost.rate:g}" + (", assumed" if cost.part == REST else "")
        lines.append(
            f"| {cost.part} | {cost.runs} | {kinds} | {total:.1f} | {rate} "
            f"| {cost.hours:.1f} |"
        )
    total = sum(sum(cost.flop.values()) for cost in found) / 1e18
    spent = sum(cost.hours for cost in found)
    runs = sum(cost.runs for cost in found)
    lines.append(f"| together | {runs} | | {total:.1f} | | {spent:.1f} |")
    return lines
