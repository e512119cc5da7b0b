"""The tools: how a project is begun, run, shared and cloned with each."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

from workflow import (
    CACHED,
    DATALAD,
    DVC,
    NAMES,
    PARAMS,
    SCRIPT,
    SCRIPTS,
    SIZE,
    SNAKEFILE,
    WITHOUT_CODE,
)

ADD_REMOTE = ("dvc", "remote", "add", "-q", "-d", "lab", "{remote}")


class Tool(ABC):
    """A project in a folder, and its remote beside it."""

    name = ""
    programs = Path(sys.executable).parent
    asks = True  # whether it has a command that finds what is out of date
    files: ClassVar[dict[str, str]] = {}
    setup: ClassVar[tuple[tuple[str, ...], ...]] = ()  # commands that it needs once
    sending: ClassVar[tuple[str, ...]] = ()  # the command that sends bytes
    ignored = "results/\n.snakemake/\n__pycache__/\n"

    def __init__(self, folder: Path, root: Path | None = None) -> None:
        self.folder, self.root = folder, root or folder / "project"
        self.remote, self.counted = folder / "remote", folder / "runs"
        self.fetched: str | None = None  # what was said while a clone got its bytes

    def environment(self) -> dict[str, str]:
        """Variables of every command: nothing of the user's own settings decides."""
        return {
            **os.environ,
            "PATH": f"{self.programs}:{os.environ['PATH']}",
            "HOME": str(self.folder),
            "RUNS": str(self.counted),
            "DVC_NO_ANALYTICS": "1",
            "GIT_AUTHOR_NAME": "x",
            "GIT_AUTHOR_EMAIL": "x@x",
            "GIT_COMMITTER_NAME": "x",
            "GIT_COMMITTER_EMAIL": "x@x",
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": "init.defaultBranch",
            "GIT_CONFIG_VALUE_0": "main",
        }

    def start(self, *command: str) -> subprocess.Popen[str]:
        """Start a command in the project."""
        return subprocess.Popen(
            command,
            cwd=self.root,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def call(self, *command: str, check: bool = True) -> str:
        """Run a command in the project; returns what it printed."""
        process = self.start(*command)
        text, _ = process.communicate()
        self.status = process.returncode
        if check and process.returncode:
            raise RuntimeError(f"{' '.join(command)}:\n{text}")
        return text

    def create(self) -> None:
        """Write the project and commit it."""
        files = {f"scripts/{n}.py": SCRIPT + text for n, text in SCRIPTS.items()}
        files |= {f"data/{name}.txt": name * (SIZE + ord(name)) for name in NAMES}
        files |= {"params.yaml": PARAMS, ".gitignore": self.ignored, **self.files}
        for name, text in files.items():
            (self.root / name).parent.mkdir(parents=True, exist_ok=True)
            (self.root / name).write_text(text)
        self.call("git", "init", "-q")
        for words in self.setup:
            self.call(*(word.format(remote=self.remote) for word in words))
        self.commit()

    @abstractmethod
    def command(self) -> tuple[str, ...]:
        """The command that brings everything up to date."""

    def run(self, check: bool = True) -> str:
        """Bring everything up to date."""
        return self.call(*self.command(), check=check)

    def commit(self) -> None:
        """Commit what is there."""
        self.call("git", "add", "-A")
        self.call("git", "commit", "-q", "--allow-empty", "-m", "x")

    def push(self) -> None:
        """Send the bytes to the remote, if the tool has such a command."""
        if self.sending:
            self.call(*self.sending)

    def clone(self, fetch: bool = True) -> Tool:
        """Clone the repository, and bring the bytes as the tool does that."""
        target = self.folder / "clone"
        self.call("git", "clone", "-q", str(self.root), str(target))
        other = type(self)(self.folder, target)
        if fetch:
            other.fetched = other.fetch()
        return other

    def fetch(self) -> str:
        """Bring the bytes into a clone; returns what was said."""
        return ""

    def lose(self) -> None:
        """Lose what the remote has of results/double/b.txt."""
        lost = (self.root / "results/double/b.txt").read_bytes()
        for path in self.remote.rglob("*"):
            if path.is_file() and path.read_bytes() == lost:
                path.chmod(0o644)
                path.unlink()
        assert self.remote.exists()

    def edit(self, name: str, old: str, new: str) -> None:
        """Replace text of a file."""
        text = (self.root / name).read_text()
        assert old in text
        (self.root / name).write_text(text.replace(old, new))

    def runs(self) -> int:
        """How many jobs have run so far."""
        return self.counted.read_text().count("\n") if self.counted.exists() else 0


class Snakemake(Tool):
    """Plain Snakemake; results are copied, for it has no transfer of its own."""

    name = "Snakemake"
    files: ClassVar = {"Snakefile": SNAKEFILE}

    def command(self) -> tuple[str, ...]:
        return ("snakemake", "--cores", "2", "--quiet", "all")

    def fetch(self) -> str:
        shutil.copytree(self.folder / "project" / "results", self.root / "results")
        return ""

    def lose(self) -> None:
        (self.folder / "project" / "results/double/b.txt").unlink()


class SnakemakeCache(Snakemake):
    """Snakemake with its between-workflow cache, a folder that all checkouts share."""

    name = "Snakemake, `--cache`"
    files: ClassVar = {"Snakefile": CACHED}

    def environment(self) -> dict[str, str]:
        self.remote.mkdir(exist_ok=True)
        return {**super().environment(), "SNAKEMAKE_OUTPUT_CACHE": str(self.remote)}

    def command(self) -> tuple[str, ...]:
        return ("snakemake", "--cores", "2", "--quiet", "all", "--cache", "--", "all")

    def fetch(self) -> str:
        return ""  # the cache is there

    def lose(self) -> None:
        Tool.lose(self)


class Dvc(Tool):
    """Plain DVC."""

    name = "DVC"
    files: ClassVar = {"dvc.yaml": DVC}
    setup = (("dvc", "init", "-q"), ADD_REMOTE)
    sending = ("dvc", "push", "-q")

    def command(self) -> tuple[str, ...]:
        bare = self.root.name == "clone" and self.fetched is None
        return ("dvc", "repro", *(("--pull", "--allow-missing") if bare else ()))

    def fetch(self) -> str:
        return self.call("dvc", "pull", check=False)


class Runledger(Snakemake):
    """The same Snakefile after `runledger init`, which finds the scripts by itself."""

    name = "runledger"
    files: ClassVar = {"Snakefile": WITHOUT_CODE}
    setup = (("runledger", "init"), ADD_REMOTE)
    sending = ("runledger", "push")

    def fetch(self) -> str:
        return self.call("runledger", "pull", check=False)

    def lose(self) -> None:
        Tool.lose(self)


class Datalad(Tool):
    """`datalad run` for each job, from a script: it has no rules, so all of it runs."""

    name = "datalad run"
    ignored = "__pycache__/\n"
    programs = Path()  # of an environment of its own: compare.py makes it
    asks = False
    setup = (("datalad", "-l", "error", "create", "--force", "."),)
    files: ClassVar = {
        ".gitattributes": "* annex.largefiles=nothing\n"
        "results/** annex.largefiles=anything\n",
        "run.sh": DATALAD,
    }

    def command(self) -> tuple[str, ...]:
        return ("bash", "run.sh")

    def fetch(self) -> str:
        return self.call("datalad", "get", ".", check=False)

    def lose(self) -> None:
        self.remote = self.folder / "project" / ".git" / "annex" / "objects"
        for path in self.remote.rglob("*"):
            path.chmod(0o755 if path.is_dir() else 0o644)
        super().lose()
