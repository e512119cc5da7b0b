"""The README's first command on a machine with the least it asks for, and more told.

The environment is what a caller may have set: nothing of it may decide.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from paper_workspace import ROOT, TINY, Workspace, few_processes

from dash_repro.workspace import commit, make_workspace
from runledger.git import git

ODD = """it's a "test" {dir} $x ü"""
NEEDED = ("sh", "bash", "which", "git", "make", "grep", "sed", "expand", "tr", "mkdir")
HOSTILE = {
    "HOME": "/sys",  # nothing can be written there; no git identity either
    "TMPDIR": "/nonexistent",
    "LC_ALL": "POSIX",
    "HTTPS_PROXY": "http://127.0.0.1:1",  # no network
    "HTTP_PROXY": "http://127.0.0.1:1",
    "GIT_DIR": "/nonexistent",  # as in a hook of another repository
    "PYTHONHOME": "/nonexistent",
    "PYTHONSAFEPATH": "1",
    "MPLBACKEND": "module://nowhere",
    "SNAKEMAKE_PROFILE": "nowhere",
    "TARGET": "nothing",  # names of the Makefile's own variables
    "DIR": "nowhere",
}


def link_environment(root: Path) -> None:
    """Give a checkout the environment that runs, as if it had set it up itself."""
    venv = root / ".venv"
    venv.unlink(missing_ok=True)  # a workspace's leads to the checkout's
    venv.mkdir()
    for name in ("bin", "lib", "pyvenv.cfg"):
        (venv / name).symlink_to(Path(sys.prefix) / name)
    os.utime(root / "requirements.lock", (0, 0))
    (venv / ".ready").touch()


class BareMachine:
    """A clone in a folder of an odd name, whose demo has the smallest size.

    Args:
        folder: of the test; empty, or that of an earlier one.
    """

    def __init__(self, folder: Path) -> None:
        self.root, self.programs = folder / ODD / "my repo", folder / "programs"
        self.demo = self.root / "demo"
        self.said_path = folder / "said.json"
        strays = {"CDPATH": str(folder / "elsewhere"), "BASH_ENV": f"{folder}/noise.sh"}
        path = {"PATH": str(self.programs)}
        self.environment = {**HOSTILE, **strays, **path, "OMP_NUM_THREADS": "1"}

    def prepare(self, folder: Path) -> None:
        """Make the machine, and give the demo a try as somebody might."""
        self.programs.mkdir()
        for name in NEEDED:
            (self.programs / name).symlink_to(shutil.which(name))
        (folder / "elsewhere" / "demo").mkdir(parents=True)
        (folder / "noise.sh").write_text("echo noise; cd /\n")
        make_workspace(ROOT, self.root, ROOT / "params.yaml")
        tiny = TINY.read_text().replace("base: ../../params", "base: ../params")
        (self.root / "config" / "demo.params.yaml").write_text(tiny)
        few_processes(self.root)
        git(self.root, "add", "-A")
        commit(self.root, "the smallest demo")
        link_environment(self.root)
        target = "TARGET=results/prepare_data/digits/images.npz"
        said: dict[str, Any] = {"target": self.run("make", "demo", target)}
        page = self.demo / "results" / "report.html"
        page.unlink()
        (page / "in the way").mkdir(parents=True)
        said["page"] = self.run("make", "demo", target)
        shutil.rmtree(page)
        said["interrupted"] = self.interrupt("make", "demo")
        said["whole"] = self.run("make", "demo")
        said["paper"] = self.run("make", "demo", "TARGET=paper")
        demo = Workspace(self.demo)
        said["dvc"] = demo.run("dvc", "status", "--json")
        demo.commit()
        said["audit"] = self.run("make", "audit", "DIR=demo")
        if shutil.which("latexmk"):  # as after its installation
            self.environment |= {"PATH": f"{self.programs}:{os.environ['PATH']}"}
            said["pdf"] = self.run("make", "demo")
            demo.commit()
        self.said_path.write_text(json.dumps(said))

    def start(self, *command: str) -> subprocess.Popen[str]:
        """Start a command in the clone, with output and errors in its stdout."""
        return subprocess.Popen(
            command,
            cwd=self.root,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            umask=0o077,
            start_new_session=True,
        )

    def run(self, *command: str) -> tuple[int, str]:
        """Run a command to its end; returns its exit status and what it printed."""
        process = self.start(*command)
        out, _ = process.communicate(timeout=1500)
        return process.returncode, out

    def interrupt(self, *command: str) -> tuple[int, str]:
        """Press Ctrl-C when the first jobs are done."""
        process = self.start(*command)
        done = "results/records/prepare_data/glyphs/*.json"
        while not list(self.demo.glob(done)):
            assert process.poll() is None, process.stdout.read()
            time.sleep(0.2)
        os.killpg(process.pid, signal.SIGINT)
        out, _ = process.communicate(timeout=600)
        return process.returncode, out

    def said(self, what: str) -> Any:
        """What a command of `prepare` did: (exit status, output), or its output."""
        return json.loads(self.said_path.read_text())[what]
