"""Workspaces of the real project: made from this checkout, run with real snakemake."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import warm
import yaml
from places import python_path
from warm import BIN

ROOT = Path(__file__).resolve().parents[2]
TINY = ROOT / "tests" / "workflow" / "tiny.params.yaml"


class Workspace:
    """A checkout with a params.yaml of its own."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def run(self, *command: str, check: bool = True, timeout: float = 1500) -> str:
        environment = {
            **os.environ,
            "PYTHONPATH": python_path(self.root),
            "PATH": f"{BIN}:{os.environ['PATH']}",
            "OMP_NUM_THREADS": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        done = warm.run(command, self.root, environment, timeout)
        self.code = done.returncode
        if check and done.returncode:
            tail = done.stdout[-6000:]
            raise AssertionError(f"{command} exited {done.returncode}:\n{tail}")
        return done.stdout

    def snakemake(self, *arguments: str, check: bool = True) -> str:
        profile = ("--profile", "workflow/profiles/demo")
        program = str(BIN / "snakemake")
        return self.run(program, *profile, *arguments, check=check)

    def plan(self, *arguments: str) -> dict[str, int]:
        """Dry run, nothing bundled: {rule: jobs}, without target rules."""
        single = ("--config", "bundle=1", "pack=1", "spread=1")
        out = self.snakemake(*arguments, "-n", "--quiet", "rules", *single)
        if "Nothing to be done" in out:
            return {}
        table = out.split("Job stats:")[-1].split("total")[0].splitlines()[3:]
        rows = (line.split() for line in table if line.strip())
        counts = {name: int(count) for name, count in rows}
        counts.pop("all", None)
        return counts

    def stale(self) -> set[str]:
        """Names of the instances that are not valid."""
        return self.instances("stale")

    def instances(self, verdict: str) -> set[str]:
        """Names of the instances, less code fingerprints, that have this verdict."""
        text = self.run(str(BIN / "python"), "-m", "runledger", "status", "--json")
        rows = json.loads(text)
        return {row["instance"] for row in rows if row["verdict"] == verdict}

    def edit_params(self, dotted: str, value: object) -> None:
        """Set one key of params.yaml (the file is written anew, anchors resolved)."""
        path = self.root / "params.yaml"
        params = yaml.safe_load(path.read_text())
        node = params
        *parents, leaf = dotted.split(".")
        for part in parents:
            node = node[part]
        node[leaf] = value
        path.write_text(yaml.safe_dump(params, sort_keys=False))

    def edit(self, name: str, old: str, new: str) -> None:
        path = self.root / name
        text = path.read_text()
        assert old in text, f"{old!r} is not in {name}"
        path.write_text(text.replace(old, new, 1))

    def git(self, *arguments: str) -> str:
        return self.run("git", *arguments)

    def commit(self) -> None:
        """Commit all that git does not ignore."""
        self.git("add", "-A")
        self.git("commit", "-q", "-m", "results")

    def restore(self) -> None:
        """Undo edits of tracked files outside results/."""
        self.git(
            "checkout", "-q", "HEAD", "--", "params.yaml", "src", "runledger", "stages"
        )
        self.git("checkout", "-q", "HEAD", "--", "dvc.yaml", "workflow", "paper")


def few_processes(root: Path) -> None:
    """Let the demo's profile start as few processes as it can.

    The work of a small run is less than their start, and the other cores have tests.
    """
    path = root / "workflow" / "profiles" / "demo" / "config.yaml"
    text = path.read_text()
    for setting, value in {"bundle": 100, "pack": 16, "spread": 1}.items():
        pattern = re.compile(rf"^  {setting}: \d+", re.M)
        text, count = pattern.subn(f"  {setting}: {value}", text)
        assert count == 1, setting
    path.write_text(text)


def make(target: Path, params: Path) -> Workspace:
    """Make a workspace of this checkout."""
    from dash_repro.workspace import make_workspace

    make_workspace(ROOT, target, params)
    workspace = Workspace(target)
    workspace.git("config", "user.name", "test")
    workspace.git("config", "user.email", "test@example.com")
    return workspace
