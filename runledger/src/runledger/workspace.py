"""A workspace: a checkout that has a params.yaml of its own.

The workspace is a git clone of a checkout with its uncommitted files laid over, so that
its records name a commit and say whether anything was uncommitted. Its params.yaml is
complete, for DVC reads it by itself. From then on it is the workspace's own: it is
written anew until somebody edits it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from runledger.canonical import read_text
from runledger.errors import UserError
from runledger.git import git, run_git
from runledger.project import ledger_folder, load_pipeline
from runledger.projection import renew

__all__ = ["commit", "make_workspace"]

PARAMS = "params.yaml"
# the workspace's commits are nobody's: no signature is asked for, no hook runs
NOBODY = {"user.name": "workspace", "user.email": "workspace@local"}
PLAIN = ("-c", "commit.gpgsign=false", "-c", "core.hooksPath=/dev/null")
PLAIN += tuple(word for pair in NOBODY.items() for word in ("-c", "=".join(pair)))
WRITTEN = "refs/workspace/params"  # the params.yaml that was written last, a blob


def _overlay(source: Path, target: Path, without: Iterable[str]) -> None:
    """Copy what git tracks or does not ignore, and drop what is gone.

    Results and params.yaml are the workspace's own.
    """
    own, left = f"{ledger_folder(source)}/", tuple(f"{one}/" for one in without)

    def is_own(name: str) -> bool:
        return name == PARAMS or name.startswith(own)

    listed = run_git(source, "ls-files", "-z", "-co", "--exclude-standard").split("\0")
    names = {name for name in listed if name and (source / name).is_file()}
    names = {name for name in names if not is_own(name) and not name.startswith(left)}
    for name in run_git(target, "ls-files", "-z").split("\0"):
        if name and name not in names and not is_own(name):
            (target / name).unlink(missing_ok=True)
    for name in sorted(names):
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source / name, target / name)


def _is_edited(target: Path) -> bool:
    """Whether params.yaml is there and not as it was written last."""
    written = run_git(target, "for-each-ref", "--format=%(objectname)", WRITTEN)
    if not written or not (target / PARAMS).exists():
        return False
    return run_git(target, "hash-object", "--no-filters", PARAMS) != written


def _give_params(target: Path, text: str, origin: str) -> None:
    if _is_edited(target):
        if read_text(PARAMS, target) != text:
            says = f"{target / PARAMS} was edited, and stays as it is"
            print(f"{says}; delete it to have it written from {origin}")
        return
    (target / PARAMS).write_text(text, encoding="utf-8")
    blob = run_git(target, "hash-object", "--no-filters", "-w", PARAMS)
    run_git(target, "update-ref", WRITTEN, blob)


def make_workspace(
    source: Path, target: Path, params: str, origin: str, without: Iterable[str] = ()
) -> Path:
    """Make or renew a workspace; results that are there already stay.

    Where somebody edited its params.yaml, that stays, too, and a line says so.

    Args:
        source: the checkout.
        target: folder of the workspace.
        params: the text of its params.yaml.
        origin: what that was written from, as people call it.
        without: folders of the checkout that a workspace has no use for.

    Returns:
        The folder, absolute.

    Raises:
        UserError: git fails, the checkout has no params.yaml, or the params are not
            valid.
    """
    source, target = Path(source).resolve(), Path(target).resolve()
    if not (source / PARAMS).is_file():
        raise UserError(
            f"this checkout has no {PARAMS} to put another in the place of",
            str(source),
            "run from the root of one that has, or clone it and edit its config",
        )
    if not (target / ".git").exists():
        run_git(source, "clone", "-q", "--no-hardlinks", str(source), str(target))
    run_git(target, "fetch", "-q", "--update-shallow", str(source), "HEAD")
    newer = run_git(target, "rev-list", "-1", "HEAD..FETCH_HEAD").split()
    _overlay(source, target, without)
    if (source / ".venv").exists() and not (target / ".venv").exists():
        (target / ".venv").unlink(missing_ok=True)
        (target / ".venv").symlink_to(source / ".venv")  # for make in the workspace
    _give_params(target, params, origin)
    renew(target, load_pipeline(target))
    for key, value in NOBODY.items():
        if not run_git(target, "config", "--default", "", key):
            run_git(target, "config", key, value)
    # results are no part of it, for then its name would tell when it was renewed
    results = f":(exclude){ledger_folder(target)}"
    run_git(target, "add", "-A", "--", ".", results)
    if newer or run_git(target, "diff", "--cached", "--name-only"):
        commit(target, f"workspace with {Path(origin).name}", *newer)
    return target


def commit(root: Path, message: str, *merged: str) -> None:
    """Commit what is added, at the time of the last commit: equal content, equal name.

    So a workspace that is made again elsewhere has the commits that records name.

    Args:
        root: of the workspace.
        message: of the commit.
        merged: commits whose content has been added, further parents.
    """
    date = run_git(root, "show", "-s", "--format=%cI")
    dates = {"GIT_AUTHOR_DATE": date, "GIT_COMMITTER_DATE": date}
    tree = run_git(root, "write-tree")
    parents = [word for one in ("HEAD", *merged) for word in ("-p", one)]
    made = git(
        *(root, *PLAIN, "commit-tree", tree, *parents, "-m", message), variables=dates
    )
    run_git(root, "update-ref", "-m", "workspace", "HEAD", os.fsdecode(made).strip())
