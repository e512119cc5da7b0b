"""Workspaces whose snakemake goes through the slurm profile, to the tests' Slurm."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import warm
import yaml
from once import copied
from paper_workspace import BIN, TINY, Workspace, make
from places import python_path
from shared import tiny_run

from dash_repro.params import load_params
from runledger.project import load_pipeline

HERE = Path(__file__).parent
FAST = (
    *("--profile", "slurm", "--slurm-status-command", "squeue"),
    *("--slurm-init-seconds-before-status-checks", "2"),
    *("--seconds-between-status-checks", "2", "--max-status-checks-per-second", "1"),
    *("--latency-wait", "5"),
)
SITE = {
    "bundle": 16,
    "pack": 1,
    "cpus": 1,
    "memory_mb": 1500,
    "startup_minutes": 20,
    "warning_seconds": 60,
}


class ClusterWorkspace(Workspace):
    """A workspace with commands for the cluster."""

    shims: Path | None = None  # a folder whose programs come before all others
    programs: Path | None = None  # the only others that there are; None: the machine's

    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "PYTHONPATH": f"{HERE / 'slow'}:{python_path(self.root)}",
            "PATH": f"{self.shims or BIN}:{BIN}:{self.programs or os.environ['PATH']}",
            "OMP_NUM_THREADS": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
            "RUNLEDGER_HEARTBEAT": "1",
            "RUNLEDGER_POLL": "1",
            "DASH_SAVE_SECONDS": "1",
            "DASH_LOG_SECONDS": "1",
            "DASH_TEST_SLOW": str(self.root / "slow"),
            "DASH_TEST_POLL": "2",
        }

    def command(self, *targets: str, **site: object) -> list[str]:
        settings = [f"{k}={v}" for k, v in {**SITE, **site}.items()]
        return ["snakemake", *targets, *FAST, "--config", *settings]

    def start(self, *targets: str, **site: object) -> warm.Program:
        """Start a head; its output is in head.log, appended."""
        with open(self.root / "head.log", "ab") as log:
            command = self.command(*targets, **site)
            return warm.start(command, self.root, self.environment(), log.fileno())

    def head(self, *targets: str, ok: bool = True, **site: object) -> str:
        """Run a head to its end; returns what it printed."""
        command = self.command(*targets, **site)
        done = warm.run(command, self.root, self.environment(), timeout=900)
        if ok != (done.returncode == 0):
            raise AssertionError(f"exit {done.returncode}:\n{done.stdout[-6000:]}")
        return done.stdout

    def read(self, name: str) -> str:
        path = self.root / name
        return path.read_text(errors="replace") if path.exists() else ""

    def bytes_of(self, *stages: str) -> dict[str, bytes]:
        """Return what the planned instances of stages made; costs may differ."""
        return {
            out.path: (self.root / out.path).read_bytes()
            for instance in load_pipeline(self.root).instances.values()
            if instance.stage in stages
            for out in instance.outs
            if not out.path.endswith("/cost.json")
        }


def small_params(**changes: object) -> dict:
    """The smallest params, of one dataset, one seed and three students."""
    params = load_params(TINY)
    for name in ("released", "stepwise"):  # what they add is not of the cluster
        del params["experiments"][name]
    for name, experiment in params["experiments"].items():
        if name != "sampling":
            experiment.update(datasets=["digits"], seeds=[42])
    experiments = params["experiments"]
    experiments["table3"]["students"] = ["scratch", "dash"]
    experiments["table4"]["students"] = ["scratch", "no_un", "dash"]
    experiments["anchor"]["students"] = ["dash"]
    experiments["tableC6"]["widths"] = [4]
    experiments["tableC5"]["steps"] = experiments["tableC5"]["steps"][:2]
    experiments["tableC7"]["guidance_scales"] = [4.0]
    for dotted, value in changes.items():
        section, key = dotted.split("__")
        params[section][key] = value
    return params


def workspace(folder: Path, params: dict) -> ClusterWorkspace:
    """Make a workspace with these params; one that is there keeps its results."""
    file = folder.with_suffix(".yaml")
    file.write_text(yaml.safe_dump(params, sort_keys=False))
    return ClusterWorkspace(make(folder, file).root)


def finished_workspace(
    factory: pytest.TempPathFactory, folder: Path
) -> ClusterWorkspace:
    """A workspace with the small params in which all but the tables has been made.

    Its networks, samples and metrics are those of the whole run at the smallest size,
    of which the small params name a part.
    """
    return workspace(copied(tiny_run(factory), folder), small_params())


def records(root: Path, stage: str) -> dict[str, dict]:
    """{instance: newest record} of a stage."""
    folder = root / "results/records" / stage
    found = {}
    for path in sorted(folder.rglob("*.json"), key=lambda p: p.stat().st_mtime):
        found[path.parent.name] = json.loads(path.read_text())
    return found
