"""A workspace: a checkout with its own params.yaml, such as the demo's.

The workspace is a git clone of this checkout with its uncommitted files laid over, so
that its records name a commit and say whether anything was uncommitted.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from dash_repro.project import refresh
from runledger.errors import UserError
from runledger.git import GitError, git

# the workspace's commits are nobody's: no signature is asked for, no hook runs
PLAIN = ("-c", "commit.gpgsign=false", "-c", "core.hooksPath=/dev/null")


def _git(root: Path, *arguments: str) -> str:
    try:
        return os.fsdecode(git(root, *arguments))
    except GitError as error:
        raise UserError(
            f"git {arguments[0]} failed: {error}",
            str(root),
            "mend the checkout, or delete the workspace folder and try again",
        ) from None


def _overlay(source: Path, target: Path) -> None:
    """Copy what git tracks or does not ignore, and drop what is gone."""
    listed = _git(source, "ls-files", "-z", "-co", "--exclude-standard").split("\0")
    names = {name for name in listed if name and (source / name).is_file()}
    names = {name for name in names if not name.startswith("results/")}
    for name in _git(target, "ls-files", "-z").split("\0"):
        if name and name not in names and not name.startswith("results/"):
            (target / name).unlink(missing_ok=True)
    for name in sorted(names):
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source / name, target / name)


def make_workspace(source: Path, target: Path, params: Path) -> Path:
    """Make or renew a workspace; results that are there already stay.

    Args:
        source: the checkout.
        target: folder of the workspace.
        params: the params.yaml it gets.

    Raises:
        UserError: git fails, or the params are not valid.
    """
    source, target = Path(source).resolve(), Path(target).resolve()
    if not (target / ".git").exists():
        _git(source, "clone", "-q", "--no-hardlinks", str(source), str(target))
    _overlay(source, target)
    shutil.copyfile(params, target / "params.yaml")
    refresh(target)
    for key, value in (("user.name", "workspace"), ("user.email", "workspace@local")):
        if not _git(target, "config", "--default", "", key).strip():
            _git(target, "config", key, value)
    _git(target, "add", "-A")
    if _git(target, "status", "--porcelain").strip():
        _git(target, *PLAIN, "commit", "-q", "-m", f"workspace with {params.name}")
    return target


def summary(root: Path) -> str:
    """Name what a finished workspace made."""
    tables = sorted((root / "results" / "tables").glob("*.tex"))
    figures = sorted((root / "results" / "figures").glob("*.pdf"))
    lines = [
        f"{len(tables)} tables   {root}/results/tables/*.tex",
        f"{len(figures)} figures  {root}/results/figures/*.pdf (and .png)",
    ]
    for name, what in (("index.html", "page"), ("main.pdf", "PDF")):
        path = root / "results" / "paper" / name
        if path.exists():
            lines.append(f"all on one {what}: {path}")
    return "\n".join(lines)


def main(arguments: list[str]) -> int:
    """``workspace TARGET PARAMS`` or, inside one, ``workspace --summary``."""
    try:
        if arguments == ["--summary"]:
            print(summary(Path.cwd()))
        else:
            target, params = map(Path, arguments)
            print("workspace:", make_workspace(Path.cwd(), target, params))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
