"""How long a run of some params takes on several GPUs, from the same count as its cost.

No schedule is shorter than the whole work shared out evenly, nor than the longest chain
of instances that need each other; the longer of both is reported.
"""

from __future__ import annotations

from dash_repro.cost import costs, hours
from runledger import CODE_STAGE, Pipeline

GPUS = (1, 4, 8)


def longest_chain(pipeline: Pipeline) -> float:
    """Hours of the slowest chain: teacher, student, samples, metrics."""
    until: dict[str, float] = {}
    for name, instance in pipeline.instances.items():  # producers come first
        own = 0.0
        if instance.stage != CODE_STAGE:
            asks = pipeline.stages[instance.stage].asks
            own = hours(instance.stage, asks.work(instance.item)) if asks.gpu else 0.0
        makers = [pipeline.producer[d] for d in instance.deps if d in pipeline.producer]
        until[name] = own + max((until[maker] for maker in makers), default=0.0)
    return max(until.values(), default=0.0)


def line(pipeline: Pipeline) -> str:
    """Hours on 1, 4 and 8 GPUs in one line, for a report."""
    total, chain = sum(cost.hours for cost in costs(pipeline)), longest_chain(pipeline)
    each = ", ".join(f"{max(total / n, chain):.1f} on {n}" for n in GPUS)
    return f"  hours by the clock, at best: {each} (the longest chain: {chain:.1f})"
