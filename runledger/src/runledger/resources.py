"""What a job asks of a cluster, spelled as the site wants it.

A rule says what its stage asks (``RESOURCES.of``): whether it needs a GPU, how its work
is counted, how many instances may share a process. The profile's ``config:`` says what
the site is like.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from runledger.errors import UserError

if TYPE_CHECKING:
    from runledger.bundles import Bundle
    from runledger.smk import Ledger

Item = Mapping[str, Any]
_HOST_MB = 6000  # Python, torch and a CUDA context
COUNTED = ("runtime", "mem_mb", "disk_mb", "work")  # resources that follow the work


@dataclass(frozen=True)
class Work:
    """What an instance takes.

    Attributes:
        flop: counted operations.
        memory_mb: of the host, beyond what every process needs.
        disk_mb: outputs.
        numerics: "fp32" or "fp16".
        state_mb: resume state on disk, gone once the instance is made.
    """

    flop: float = 0.0
    memory_mb: float = 0.0
    disk_mb: float = 1.0
    numerics: str = "fp32"
    state_mb: float = 0.0


def little(_item: Item) -> Work:
    """The work of an instance that takes little."""
    return Work()


@dataclass(frozen=True)
class Asks:
    """What a stage asks of a machine, as its rule says.

    Attributes:
        work: what an instance takes, as a function of its identity.
        gpu: whether it runs on one.
        kind: work that runs at one speed, for estimates of the time left; "": its own.
        bundle: setting of the profile that says how many instances share a process; "":
            each has its own.
        by: fields of the identity that instances sharing a process have in common.
        together: what instances take that run at the same time in one process; None:
            they run one after the other.
        shards: setting of the profile that says how many jobs share one instance.
    """

    work: Callable[[Item], Work] = little
    gpu: bool = False
    kind: str = ""
    bundle: str = ""
    by: tuple[str, ...] = ()
    together: Callable[[list[Item]], Work] | None = None
    shards: str = ""

    def of_bundle(self, items: Iterable[Item]) -> Work:
        """Return what instances that share a process take."""
        items = list(items)
        if self.together:
            return self.together(items)
        works = [self.work(item) for item in items]
        return Work(
            sum(work.flop for work in works),
            max(work.memory_mb for work in works),
            sum(work.disk_mb for work in works),
            works[0].numerics,
        )


SITE: dict[str, tuple[Any, str]] = {  # default, and what it must be
    "scheduler": ("", "'', slurm or lsf"),
    "partition": ("", "a name, or '' for the cluster's default"),
    "cpu_partition": ("", "a name, or '' for the cluster's default"),
    "account": ("", "a name, or ''"),
    "gpu_model": ("", "a name as the cluster spells it, or '' for any"),
    "gpu_request": ("gpu", "gpu or gres"),
    "cpus": (1, "a positive number"),
    "tflops_fp32": (10.0, "a positive number"),
    "tflops_fp16": (40.0, "a positive number"),
    "margin": (1.5, "a positive number"),
    "startup_minutes": (10.0, "a positive number"),
    "max_minutes": (1440, "a positive number"),
    "warning_seconds": (120, "a positive number"),
    "memory_mb": (_HOST_MB, "a positive number"),
    "extra": ("", "more options of sbatch, or ''"),
}


@dataclass(frozen=True)
class Site:
    """A cluster as the profile's ``config:`` describes it; keys as in SITE."""

    values: Mapping[str, Any]

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Site:
        """Read the profile's settings.

        Raises:
            UserError: a value of the wrong kind.
        """
        values = {}
        for name, (default, wanted) in SITE.items():
            value = config.get(name, default)
            if isinstance(default, str):
                value, good = str(value), True
            else:
                number = isinstance(value, int | float)
                good = number and not isinstance(value, bool) and value > 0
            if name == "gpu_request":
                good = value in ("gpu", "gres")
            if name == "scheduler":
                good = value in ("", "slurm", "lsf")
            if not good:
                raise UserError(
                    f"config {name}={value!r} is not {wanted}",
                    "the profile's config, or --config",
                    f"for example --config {name}={default}",
                )
            values[name] = value
        return cls(values)

    def __getitem__(self, name: str) -> Any:
        return self.values[name]

    def minutes(self, work: Work, processes: int = 1) -> float:
        """How long a GPU may take for it, starting included (computed)."""
        rate = self[f"tflops_{work.numerics}"] * 1e12
        return self["startup_minutes"] + self["margin"] * work.flop / rate / 60

    def resources(self, stage: str, asks: Asks, work: Work) -> dict[str, Any]:
        """Return the Snakemake resources of a job."""
        least = math.ceil(self["warning_seconds"] / 60 + 1)  # or the warning kills it
        minutes = max(math.ceil(self.minutes(work)), least)
        minutes = min(minutes, int(self["max_minutes"]))
        memory = self["memory_mb"] if asks.gpu else self["memory_mb"] / 2
        found = {
            "runtime": minutes,
            "mem_mb": math.ceil(memory + work.memory_mb),
            "disk_mb": math.ceil(work.disk_mb + work.state_mb),
            # for the display; they ask for nothing
            "work": math.ceil(work.flop / 1e6),
            "work_kind": asks.kind or stage,
            **self._gpu(asks.gpu),
        }
        if self["account"]:
            found["slurm_account"] = self["account"]
        return found

    def _gpu(self, wanted: bool) -> dict[str, Any]:
        """The GPU, spelled as the cluster wants it, or none; partition and CPUs."""
        if not wanted:
            named = {"slurm_partition": self["cpu_partition"]}
            return {"gpu": 0, **{k: v for k, v in named.items() if v}}
        if self["scheduler"] == "lsf":
            minutes = math.ceil(self["warning_seconds"] / 60)
            return {"gpu": 1, "lsf_extra": f"-gpu num=1 -wa USR1 -wt {minutes}"}
        model = self["gpu_model"]
        if self["gpu_request"] == "gres":
            found = {"gpu": 0, "gres": f"gpu:{model}:1" if model else "gpu:1"}
        else:
            found = {"gpu": 1, **({"gpu_model": model} if model else {})}
        found["cpus_per_task"] = int(self["cpus"])
        if self["partition"]:
            found["slurm_partition"] = self["partition"]
        return found


class JobResources:
    """What each rule asks of the cluster, as Snakemake resources.

    Args:
        ledger: the records, or what stands in for them while the rules are read.
        config: of the profile.
        defaults: what rules ask for if they do not say otherwise.
    """

    def __init__(
        self, ledger: Ledger, config: Mapping[str, Any], **defaults: Any
    ) -> None:
        self.defaults = defaults
        self.ledger, self.site = ledger, Site.from_config(config)
        self._last: tuple[Any, dict[str, Any]] = ((), {})

    def of(
        self,
        stage: str,
        work: Callable[[Item], Work] = little,
        *,
        share: bool = False,
        **asks: Any,
    ) -> dict[str, Any]:
        """Resources of a rule: functions of its wildcards where params decide.

        Args:
            stage: the rule's, or whose work it does a share of.
            work, asks: as for Asks.
            share: the rule does one share (wildcard parts) of an instance's work.
        """
        if stage not in self.ledger.stages:  # the rules are only read
            return {"asks": Asks(work, **{**self.defaults, **asks})}
        declared = self.ledger.stages[stage].asks
        fixed = self.site.resources(stage, declared, Work())
        counted = () if declared.work is little else COUNTED
        found = fixed | {key: self._later(stage, key, share) for key in counted}
        if self.site["scheduler"] == "slurm":
            label = self.ledger.label(stage)
            found["slurm_extra"] = lambda wildcards: self._extra(
                "" if share else label(wildcards)
            )
        return found

    def _later(self, stage: str, key: str, share: bool) -> Callable[[Any], Any]:
        return lambda wildcards: self._resources(stage, share, wildcards)[key]

    def _resources(self, stage: str, share: bool, wildcards: Any) -> dict[str, Any]:
        """Count once what Snakemake asks for key by key, job after job."""
        known = (stage, share, *wildcards)
        if self._last[0] != known:
            self._last = known, self._count(stage, share, wildcards)
        return self._last[1]

    def _count(self, stage: str, share: bool, wildcards: Any) -> dict[str, Any]:
        asks = self.ledger.stages[stage].asks
        work = asks.work(self.ledger.instance(stage, wildcards).item)
        if share:
            work = replace(work, flop=work.flop / int(wildcards.parts))
        elif self.ledger.shares.get(stage, 1) > 1:
            work = replace(work, flop=0.0)  # joins what the shares have made
        return self.site.resources(stage, asks, work)

    def of_bundle(self, bundle: Bundle) -> dict[str, Any]:
        """Resources of a rule that makes several instances in one process."""
        asks = self.ledger.stages[bundle.stage].asks
        items = [self.ledger.pipeline[name].item for name in bundle.instances]
        found = self.site.resources(bundle.stage, asks, asks.of_bundle(items))
        if self.site["scheduler"] == "slurm":
            found["slurm_extra"] = self._extra(self.ledger.label_of(bundle))
        return found

    def _extra(self, label: str) -> str:
        """Options of sbatch: a warning before the time limit, logs that are kept."""
        words = [f"--signal=USR1@{int(self.site['warning_seconds'])}"]
        words += ["--open-mode=append", self.site["extra"]]
        words += [f"--input={label}"] if label else []
        return " ".join(word for word in words if word)
