"""Where a run is published: its folder, its commits, and workspaces made from them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from dash_repro.install import PACKAGES
from dash_repro.workspace import commit
from runledger.errors import UserError
from runledger.git import GitError, git, run_git

# large, and made again where something needs it: images, samples and their features
NOT_KEPT = (
    "results/prepare_data/*",
    "results/generate_samples/*",
    "results/compute_metrics/*",
    "results/figures/*",
    "results/paper/*",
)
LIMIT = 30 * 2**20  # bytes of a store: it lies in git
RUN, NOTHING = "run", "from-nothing"  # workspaces, which git ignores


@dataclass(frozen=True)
class Publication:
    """Where a run is published.

    Attributes:
        root: the checkout.
        name: of the folder in it, and of the params file in config.
    """

    root: Path
    name: str

    @property
    def folder(self) -> Path:
        return self.root / self.name

    @property
    def store(self) -> Path:
        return self.folder / "store"

    @property
    def history(self) -> Path:
        return self.store / "history.bundle"

    @property
    def not_kept(self) -> list[str]:
        """Patterns of the outputs that the store does not hold."""
        return (self.folder / "not_kept").read_text(encoding="utf-8").split()

    def stored(self) -> Iterator[Path]:
        """The files of the store."""
        return (path for path in self.store.rglob("*") if path.is_file())

    @property
    def is_there(self) -> bool:
        """Whether something is published."""
        return (self.folder / "code").exists()

    @property
    def code(self) -> list[str]:
        """The commits by whose code it was made, one after the other.

        Raises:
            UserError: nothing is published, or this clone lacks a commit.
        """
        if not self.is_there:
            raise UserError(
                "no run is published here",
                str(self.folder),
                f"make one: python -m dash_repro.publication run {self.name}",
            )
        commits = (self.folder / "code").read_text(encoding="utf-8").split()
        for code in commits:
            if not has(self.root, code):
                raise UserError(
                    f"this clone lacks the commit {code[:12]}, which made the run",
                    str(self.folder / "code"),
                    "bring the whole history: git fetch --unshallow",
                )
        return commits

    def begin(self, target: Path, code: str) -> None:
        """Make a workspace with nothing in it by the code of a commit."""
        with TemporaryDirectory() as folder:
            clone = Path(folder) / "checkout"
            run_git(self.root, "clone", "-q", "-n", str(self.root), str(clone))
            run_git(clone, "checkout", "-q", "--detach", code)
            params = f"config/{self.name}.params.yaml"
            run_module(clone, "dash_repro.workspace", str(target), params)
        run_git(target, "remote", "set-url", "origin", str(self.root))
        self.use_store(target)

    def restore(self, target: Path) -> None:
        """Make the workspace of what is published, without its bytes.

        Raises:
            UserError: nothing is published, this clone lacks a commit, or the texts
                here are not those of the run's last commit.
        """
        assert self.code  # this clone has them
        run_git(self.root, "clone", "-q", "-n", str(self.root), str(target))
        run_git(target, "fetch", "-q", str(self.history), "HEAD")
        run_git(target, "checkout", "-q", "-B", "published", "FETCH_HEAD")
        self.use_store(target)
        shutil.rmtree(target / "results", ignore_errors=True)
        shutil.copytree(self.folder / "results", target / "results")
        changed = run_git(target, "status", "--porcelain")
        if changed:
            raise UserError(
                "results are not as they were committed when the run was published:\n"
                + changed,
                str(self.folder),
                "git checkout this folder, or publish the run again",
            )

    def use_store(self, target: Path) -> None:
        """Let a workspace's default DVC remote be the store."""
        add = ("remote", "add", "-q", "--local", "-d", "-f", "store", str(self.store))
        run_module(target, "dvc", *add)


def has(root: Path, code: str) -> bool:
    """Whether a repository has a commit."""
    try:
        git(root, "cat-file", "-e", f"{code}^{{commit}}")
    except GitError:
        return False
    return True


def start(root: Path, module: str, *arguments: str, **options: Any) -> Any:
    """Run a module of a workspace's own code, in the workspace."""
    paths = [str(root / name) for name in PACKAGES]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
    command = [sys.executable, "-m", module, *arguments]
    return subprocess.run(command, cwd=root, env=environment, **options)


def run_module(root: Path, module: str, *arguments: str) -> str:
    """The output of a module that must succeed.

    Raises:
        UserError: it failed; with its output.
    """
    done = start(root, module, *arguments, capture_output=True, encoding="utf-8")
    if done.returncode:
        output = (done.stdout + done.stderr).strip()
        raise UserError(
            f"{module} {' '.join(arguments)} failed:\n{output}",
            str(root),
            "see what it says",
        )
    return done.stdout


def run(publication: Publication, from_nothing: bool, arguments: list[str]) -> int:
    """Go on with a run, from what is published if this checkout never ran it.

    Args:
        publication: where it is published, or will be.
        from_nothing: without what is published; by its code, if something is.
        arguments: for snakemake.

    Returns:
        Snakemake's exit status.

    Raises:
        UserError: today's code is not committed, so no record could name it.
    """
    target = publication.folder / (NOTHING if from_nothing else RUN)
    if not target.exists():
        if not publication.is_there:
            publication.begin(target, _committed(publication))
        elif from_nothing:
            publication.begin(target, publication.code[-1])
        else:
            publication.restore(target)
    return start(target, "snakemake", *arguments).returncode


def _committed(publication: Publication) -> str:
    """The commit of the checkout, if that has all of its code."""
    ours = ("--", ".", f":!{publication.name}")
    if run_git(publication.root, "status", "--porcelain", *ours):
        raise UserError(
            "there are changes that no commit has, and a published run's records "
            "must name a commit that has its code",
            str(publication.root),
            "commit them first",
        )
    return run_git(publication.root, "rev-parse", "HEAD")


def publish(
    publication: Publication, leave_out: Collection[str] = (), limit: int = LIMIT
) -> str:
    """Commit a run's results in its workspace, copy them, and send bytes to the store.

    A run that is not finished can be published, too: it goes on from there elsewhere.

    Args:
        publication: where it is published.
        leave_out: patterns of outputs that are not kept, besides those that never are.
        limit: of the store, in bytes; above it nothing is published.

    Returns:
        What was published, in a sentence.

    Raises:
        UserError: there is no run, or its bytes are more than a store may hold.
    """
    source, folder = publication.folder / RUN, publication.folder
    if not source.exists():
        raise UserError("there is no run", str(source), "make one first")
    made_by = _bases(publication, source)
    not_kept = [*NOT_KEPT, *leave_out]
    publication.store.mkdir(parents=True, exist_ok=True)
    before = set(publication.stored())
    publication.use_store(source)
    run_git(source, "add", "-A")
    if run_git(source, "diff", "--cached", "--name-only"):
        commit(source, "what is published")
    without = [word for pattern in not_kept for word in ("--without", pattern)]
    run_module(source, "runledger", "push", "--new", *without)
    bases = [f"^{code}" for code in made_by]
    bundle = str(publication.history)
    run_git(source, "bundle", "create", "-q", bundle, "HEAD", *bases)
    size = sum(path.stat().st_size for path in publication.stored())
    if size > limit:
        for path in set(publication.stored()) - before:
            path.unlink()
        raise UserError(
            f"the store has {size / 2**20:.1f} MiB, and git should not hold more than "
            f"{limit / 2**20:.0f}",
            str(publication.store),
            "train fewer or smaller networks, or leave some out: --leave-out",
        )
    names = run_git(source, "ls-files", "-z", "--", "results").split("\0")
    shutil.rmtree(folder / "results", ignore_errors=True)
    for name in filter(None, names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source / name, folder / name)
    lines = "".join(f"{pattern}\n" for pattern in not_kept)
    (folder / "not_kept").write_text(lines, encoding="utf-8")
    (folder / "code").write_text("".join(f"{c}\n" for c in made_by), encoding="utf-8")
    return f"{len(names)} files and {size / 2**20:.1f} MiB, made by {made_by[-1][:12]}"


def _bases(publication: Publication, source: Path) -> list[str]:
    """The checkout's commits that a workspace was made and taken on by, in order."""
    found: list[str] = []
    listed = run_git(source, "rev-list", "--first-parent", "--parents", "HEAD")
    for code, *parents in map(str.split, listed.splitlines()):
        if has(publication.root, code):
            return [code, *reversed(found)]
        found += parents[1:]
    raise AssertionError("a workspace begins with a commit of its checkout")
