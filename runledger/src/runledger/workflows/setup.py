"""`runledger init`: what a Snakemake workflow needs for its rules to be recorded."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from runledger.canonical import read_text, write_atomic
from runledger.errors import UserError
from runledger.git import GitError, git
from runledger.pipeline import Pipeline
from runledger.project import SETTINGS, settings
from runledger.projection import HEADS, renew
from runledger.workflows.hooks import read

_SNAKEFILES = ("Snakefile", "snakefile", "workflow/Snakefile", "workflow/snakefile")
_INCLUDE = "import runledger\n\ninclude: runledger.rules()\n"
_PROFILE = {  # why: docs/lineage.md
    "rerun-triggers": "[mtime]",
    "max-checksum-file-size": "0",
    "ignore-incomplete": "true",
    "nolock": "true",
}
_DVC_IGNORES = ("__pycache__", ".snakemake_timestamp")
_FOLDER = ".runledger"
_OWN = "/*\n!/.gitignore\n!/records/\n"  # the rest is of this machine


def set_up(root: Path, snakefile: str | None = None) -> list[str]:
    """Register a workflow; everything is read and checked before anything is written.

    Args:
        root: the checkout, where snakemake runs.
        snakefile: its path; None: where Snakemake looks for it.

    Returns:
        Lines saying what was done, and what to do next.

    Raises:
        UserError: no Snakefile, no git, a rule that cannot be recorded, an output that
            is in git, or a dvc.yaml that somebody wrote.
    """
    root = Path(root)
    path = _find(root, snakefile)
    try:
        listed = git(root, "ls-files", "-z").decode("utf-8", "surrogateescape")
    except GitError as error:
        raise UserError(
            f"records are kept in git, and there is none: {error}",
            str(root),
            "git init, and commit the workflow",
        ) from None
    _refuse_dvc(root)
    tracked = set(listed.split("\0"))
    fresh = not (root / _FOLDER).exists()
    steps = _add(root / SETTINGS, _settings(path))
    settings.cache_clear()
    try:
        pipeline = _readable(root, path, tracked)
    except UserError:
        if steps:  # nothing is left of an attempt
            (root / SETTINGS).unlink()
        if fresh:
            shutil.rmtree(root / _FOLDER, ignore_errors=True)
        raise
    if not (root / ".dvc").is_dir():
        top = git(root, "rev-parse", "--show-toplevel").decode().strip()
        more = [] if Path(top) == root.resolve() else ["--subdir"]
        _dvc(root, "init", "-q", *more)
        steps.append("dvc init")
    write_atomic(root / _FOLDER / ".gitignore", _OWN)
    text = read_text(root / path)
    if "runledger.rules()" not in text:
        write_atomic(root / path, f"{text.rstrip()}\n\n\n{_INCLUDE}")
        steps.append(f"{path}: includes runledger.rules() as its last line")
    steps += _add(root / _profile(root, path), _missing_of_profile(root, path))
    ignored = ["/.snakemake/", *_folders(pipeline, tracked)]
    steps += _add(root / ".gitignore", [p for p in ignored if not _is_ignored(root, p)])
    steps += _add(root / ".dvcignore", _DVC_IGNORES)
    steps += filter(None, [renew(root, pipeline)])
    count = len(pipeline.instances)
    rules = len({instance.stage for instance in pipeline.instances.values()})
    steps.append(f"{count} instances of {rules} rules are registered")
    steps.append("next: git add -A, git commit, and run snakemake as ever")
    return steps


def _readable(root: Path, snakefile: str, tracked: set[str]) -> Pipeline:
    """Return the instances of a workflow that can be recorded as it is."""
    pipeline = read(root, root / snakefile)
    for out, name in pipeline.producer.items():
        if out in tracked or any(one.startswith(f"{out}/") for one in tracked):
            raise UserError(
                f"{out}, an output of {name}, is in git",
                str(root),
                f"git rm -r --cached {out}; its record and DVC keep it from now on",
            )
    return pipeline


def _settings(snakefile: str) -> list[str]:
    return [f'snakefile = "{snakefile}"', 'rules = "all"', f'folder = "{_FOLDER}"']


def _find(root: Path, given: str | None) -> str:
    for name in [given] if given else _SNAKEFILES:
        if (root / name).is_file():
            return name
    raise UserError(
        "there is no Snakefile here",
        str(root / given) if given else str(root),
        "run where you run snakemake, or say --snakefile FILE",
    )


def _refuse_dvc(root: Path) -> None:
    path = root / "dvc.yaml"
    if path.is_file() and not read_text(path).startswith(HEADS):
        raise UserError(
            "a dvc.yaml is here that was not made from rules, and would be replaced",
            str(path),
            "move its stages to rules of the Snakefile, or to another folder",
        )


def _dvc(root: Path, *words: str) -> None:
    command = [sys.executable, "-m", "dvc", *words]
    done = subprocess.run(command, cwd=root, capture_output=True, encoding="utf-8")
    if done.returncode:
        raise UserError(
            f"dvc {' '.join(words)} failed: {done.stderr.strip()}",
            str(root),
            "mend that first",
        )


def _profile(root: Path, snakefile: str) -> str:
    """Return the profile that Snakemake loads by itself in this folder."""
    beside = PurePosixPath(snakefile).parent / "profiles" / "default"
    for folder in (PurePosixPath("profiles/default"), beside):
        for name in ("config.yaml", "profile.yaml"):
            if (root / folder / name).is_file():
                return str(folder / name)
    return str(beside / "config.yaml")


def _missing_of_profile(root: Path, snakefile: str) -> list[str]:
    from runledger.yamlfile import load_yaml

    path = root / _profile(root, snakefile)
    there = (load_yaml(path) or {}) if path.is_file() else {}
    return [f"{key}: {value}" for key, value in _PROFILE.items() if key not in there]


def _folders(pipeline: Pipeline, tracked: Iterable[str]) -> list[str]:
    """Return what git is to ignore: folders of outputs that have nothing of git's."""
    used = {str(above) for path in tracked for above in PurePosixPath(path).parents}
    found = set()
    for path in (*pipeline.producer, *pipeline.logs):
        above = [str(one) for one in reversed(PurePosixPath(path).parents)][1:]
        free = next((one for one in above if one not in used), None)
        found.add(f"/{free}/" if free else f"/{path}")
    return sorted(found)


def _is_ignored(root: Path, pattern: str) -> bool:
    """Whether git ignores all that a line of .gitignore would name."""
    try:
        return bool(git(root, "check-ignore", "--no-index", "--", pattern.lstrip("/")))
    except GitError:  # its way to say no
        return False


def _add(path: Path, lines: Iterable[str]) -> list[str]:
    """Add the lines that a file lacks; returns a line saying so, or nothing."""
    text = read_text(path) if path.is_file() else ""
    new = [line for line in lines if line not in text.splitlines()]
    if not new:
        return []
    if text and not text.endswith("\n"):
        text += "\n"
    write_atomic(path, text + "".join(f"{line}\n" for line in new))
    return [f"{path.name}: {', '.join(new)}"]
