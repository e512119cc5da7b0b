"""Workspaces whose snakemake goes through the slurm profile, to the tests' Slurm."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import yaml
from paper_workspace import BIN, TINY, Workspace, make

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

    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "PYTHONPATH": f"{HERE / 'slow'}:{self.root / 'src'}",
            "PATH": f"{self.shims or BIN}:{BIN}:{os.environ['PATH']}",
            "OMP_NUM_THREADS": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
            "RUNLEDGER_HEARTBEAT": "1",
            "RUNLEDGER_POLL": "1",
            "DASH_SAVE_SECONDS": "1",
            "DASH_LOG_SECONDS": "1",
            "DASH_TEST_SLOW": str(self.root / "slow"),
        }

    def command(self, *targets: str, **site: object) -> list[str]:
        settings = [f"{k}={v}" for k, v in {**SITE, **site}.items()]
        return [str(BIN / "snakemake"), *targets, *FAST, "--config", *settings]

    def start(self, *targets: str, **site: object) -> subprocess.Popen:
        """Start a head; its output is in head.log, appended."""
        with open(self.root / "head.log", "ab") as log:
            return subprocess.Popen(
                self.command(*targets, **site),
                cwd=self.root,
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def head(self, *targets: str, ok: bool = True, **site: object) -> str:
        """Run a head to its end; returns what it printed."""
        done = subprocess.run(
            self.command(*targets, **site),
            cwd=self.root,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=600,
        )
        if ok != (done.returncode == 0):
            raise AssertionError(f"exit {done.returncode}:\n{done.stdout[-6000:]}")
        return done.stdout

    def read(self, name: str) -> str:
        path = self.root / name
        return path.read_text(errors="replace") if path.exists() else ""

    def bytes_of(self, *stages: str) -> dict[str, bytes]:
        """Return the results of stages, less what is allowed to differ (costs)."""
        return {
            path.relative_to(self.root).as_posix(): path.read_bytes()
            for stage in stages
            for path in sorted((self.root / "results" / stage).rglob("*"))
            if path.is_file() and path.name != "cost.json"
        }


def small_params(**changes: object) -> dict:
    """The smallest params, of one dataset, one seed and three students."""
    params = yaml.safe_load(TINY.read_text())
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
    """Make a workspace with these params."""
    file = folder.with_suffix(".yaml")
    file.write_text(yaml.safe_dump(params, sort_keys=False))
    return ClusterWorkspace(make(folder, file).root)
