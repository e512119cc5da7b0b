"""What a run of some params costs in GPU-hours: one count, printed in several places.

The work is counted (convolutions and matrix products, 2 FLOP a multiply-add), and the
speed is assumed: nothing here is a measurement.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from runledger.pipeline import CODE_STAGE, Pipeline

# What one H100 is assumed to sustain, in TFLOP/s: 38 % of the 790 that its matrix
# units reach in half precision, and a third of its 60 in single precision.
H100 = {"fp16": 300.0, "fp32": 20.0}
PARTS = {
    "train_teacher": "teachers",
    "train_student": "students, each by itself",
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
    """

    part: str
    runs: int
    flop: dict[str, float]

    @property
    def hours(self) -> float:
        """GPU-hours on one H100."""
        seconds = sum(work / (H100[name] * 1e12) for name, work in self.flop.items())
        return seconds / 3600


def costs(pipeline: Pipeline) -> list[Cost]:
    """The work of everything that runs on a GPU, part by part."""
    found: dict[str, Cost] = {}
    for name in pipeline.instances:
        instance = pipeline[name]
        if instance.stage == CODE_STAGE:
            continue
        asks = pipeline.stages[instance.stage].asks
        if not asks.gpu:
            continue
        part = PARTS.get(instance.stage, REST)
        cost = found.setdefault(part, Cost(part, 0, defaultdict(float)))
        work = asks.work(instance.item)
        cost.runs += 1
        cost.flop[work.numerics] += work.flop
    order = [*PARTS.values(), REST]
    return sorted(found.values(), key=lambda cost: order.index(cost.part))


def line(pipeline: Pipeline) -> str:
    """All of it in one line, for a report."""
    hours = sum(cost.hours for cost in costs(pipeline))
    speeds = f"fp32 {H100['fp32']:g} fp16 {H100['fp16']:g} TFLOP/s, assumed"
    return f"  all of params.yaml, unpacked, on one H100 ({speeds}): {hours:.1f} hours"


def table(pipeline: Pipeline) -> list[str]:
    """The costs as lines of a Markdown table, with their sum."""
    found = costs(pipeline)
    lines = ["| part | runs | precision | EFLOP | H100-hours |"]
    lines.append("|---|---|---|---|---|")
    for cost in found:
        kinds = " and ".join(sorted(name for name, n in cost.flop.items() if n))
        total = sum(cost.flop.values()) / 1e18
        lines.append(
            f"| {cost.part} | {cost.runs} | {kinds} | {total:.1f} | {cost.hours:.1f} |"
        )
    total = sum(sum(cost.flop.values()) for cost in found) / 1e18
    hours = sum(cost.hours for cost in found)
    lines.append(f"| together | | | {total:.1f} | {hours:.1f} |")
    return lines
