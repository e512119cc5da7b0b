"""What runs cost, from their records."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from runledger.audit.chain import Chain
from runledger.records import Record
from runledger.times import span

_GPU = re.compile(r"nvidia|tesla|geforce|quadro|rtx|radeon|instinct|[ahv]100|h200|p100")


@dataclass(frozen=True)
class Cost:
    """Wall time of some runs, and what of it was on a GPU.

    Attributes:
        runs: how many.
        hours: wall time, shared out among runs of one process.
        gpu_hours: the part on a GPU.
        resumed: runs that took several legs (only the last is in the hours).
        devices: names, sorted.
    """

    runs: int = 0
    hours: float = 0.0
    gpu_hours: float = 0.0
    resumed: int = 0
    devices: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The cost as data for JSON, rounded."""
        return {
            "runs": self.runs,
            "hours": round(self.hours, 4),
            "gpu_hours": round(self.gpu_hours, 4),
            "resumed": self.resumed,
            "devices": list(self.devices),
        }

    @property
    def text(self) -> str:
        """In words: hours of wall time or of GPU, runs, devices."""
        what = "GPU" if self.gpu_hours else "CPU"
        number = self.gpu_hours or self.hours
        amount = (
            f"{number:.1f} {what} h" if number >= 1 else f"{number * 60:.1f} {what} min"
        )
        again = f", {self.resumed} resumed (last leg counted)" if self.resumed else ""
        return f"{amount}, {self.runs} runs, {', '.join(self.devices)}{again}"


def run_seconds(record: Record) -> float:
    """A run's own share of its process's wall time."""
    together = len((record.run.get("notes") or {}).get("packed") or [1])
    return float(record.run.get("seconds") or 0.0) / together


def on_gpu(run: Mapping[str, Any]) -> bool:
    """Whether a run's device is a GPU."""
    compute = (run.get("notes") or {}).get("compute") or {}
    return bool(compute.get("cuda") or _GPU.search(str(run.get("device")).lower()))


def cost(records: Iterable[Record]) -> Cost:
    """Seconds, GPU-hours and devices of several runs together."""
    known = list(records)
    hours = sum(run_seconds(record) for record in known) / 3600
    gpu = sum(run_seconds(record) for record in known if on_gpu(record.run)) / 3600
    devices = {str(record.run.get("device")) for record in known}
    resumed = sum(len(record.run.get("legs") or []) > 1 for record in known)
    return Cost(len(known), hours, gpu, resumed, tuple(sorted(devices)))


def costs_by_stage(chain: Chain) -> dict[str, Cost]:
    """{stage: what the records behind its instances cost}, in order; "all" is last."""
    found: dict[str, list[Record]] = {}
    for name in chain.instances:
        records = found.setdefault(chain.verdicts[name].instance.stage, [])
        if record := chain.record_of(name):
            records.append(record)
    found["all"] = [record for records in found.values() for record in records]
    return {stage: cost(records) for stage, records in found.items()}


def table(chain: Chain) -> str:
    """Runs, wall time, time on a GPU, resumed runs and devices: a line a stage."""
    spent = costs_by_stage(chain)
    heads = ("runs", "time", "on a GPU", "resumed")
    lines = [f"{'stage':22s}" + "".join(f"{head:>14s}" for head in heads) + "  device"]
    for stage, one in spent.items():
        times = span(3600 * one.hours), span(3600 * one.gpu_hours)
        numbers = "".join(f"{n!s:>14s}" for n in (one.runs, *times, one.resumed))
        lines.append(f"{stage:22s}{numbers}  {', '.join(one.devices)}")
    return "\n".join(lines)
