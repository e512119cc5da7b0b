"""Asking git about a checkout, and nothing else than git about that checkout."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from runledger.errors import UserError

__all__ = ["GitError", "git", "run_git"]

# git obeys these before the folder it is asked about (set by hooks, among others)
_ELSEWHERE = (
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_COMMON_DIR",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_NAMESPACE",
    "GIT_PREFIX",
    "GIT_EXTERNAL_DIFF",
)


class GitError(Exception):
    """git failed; the message is its own first line."""


def git(
    root: Path | str,
    *arguments: str,
    stdin: bytes = b"",
    variables: Mapping[str, str] | None = None,
) -> bytes:
    """Return the output of a git command about the checkout in a folder.

    Raises:
        GitError: there is no git, or it failed; says why.
    """
    environment = {k: v for k, v in os.environ.items() if k not in _ELSEWHERE}
    environment |= {"GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"} | dict(variables or {})
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments],
            input=stdin,
            capture_output=True,
            env=environment,
        )
    except OSError as error:
        raise GitError(f"git cannot be started ({error.strerror})") from None
    if done.returncode:
        lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
        first = lines[0] if lines else f"git {arguments[0]} failed"
        raise GitError(first.removeprefix("fatal: ").removeprefix("error: "))
    return done.stdout


def run_git(root: Path, *arguments: str) -> str:
    """Return the output of a git command that has to succeed, as text.

    Raises:
        UserError: there is no git, or it failed.
    """
    try:
        return os.fsdecode(git(root, *arguments)).rstrip("\n")
    except GitError as error:
        raise UserError(
            f"git {arguments[0]} failed: {error}",
            str(root),
            "repair the checkout; a workspace can be deleted and made again",
        ) from None
