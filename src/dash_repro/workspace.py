"""A workspace: a checkout with its own params.yaml, such as the demo's.

The workspace is a git clone of this checkout with its uncommitted files laid over, so
that its records name a commit and say whether anything was uncommitted. Its params.yaml
is complete, for DVC reads it by itself: an overlay is merged with its base. From then
on it is the workspace's own: it is written anew until somebody edits it.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from dash_repro.params import load_params
from dash_repro.params.overlay import Layers
from dash_repro.params.text import complete
from runledger import Judge, Verdict, failure, load_pipeline, optional, read_text, renew
from runledger.errors import UserError
from runledger.git import GitError, git

PAGE = "results/report.html"
PDF = "build_paper"
PARTS = {  # stage: what it makes, and where
    "make_table": ("tables", "results/tables/*.tex (and .json)"),
    "plot_figure": ("figures", "results/figures/*.pdf (and .png)"),
}
MOST = 5  # failures told by name
# the workspace's commits are nobody's: no signature is asked for, no hook runs
NOBODY = {"user.name": "workspace", "user.email": "workspace@local"}
PLAIN = ("-c", "commit.gpgsign=false", "-c", "core.hooksPath=/dev/null")
PLAIN += tuple(word for pair in NOBODY.items() for word in ("-c", "=".join(pair)))
PARAMS = "params.yaml"
WRITTEN = "refs/workspace/params"  # the params.yaml that was written last, a blob
HEAD = """\
# Written from {name} over {base}: the settings of this workspace.
# Edit them here, and your file stays as it is; delete it to have it written anew.
# docs/params.md lists every key with its range, and so does `dash-repro params`.
"""


def _git(root: Path, *arguments: str) -> str:
    try:
        return os.fsdecode(git(root, *arguments))
    except GitError as error:
        raise UserError(
            f"git {arguments[0]} failed: {error}",
            str(root),
            "repair the checkout, or delete the workspace folder and try again",
        ) from None


def _overlay(source: Path, target: Path) -> None:
    """Copy what git tracks or does not ignore, and drop what is gone.

    Results and params.yaml are the workspace's own.
    """
    listed = _git(source, "ls-files", "-z", "-co", "--exclude-standard").split("\0")
    names = {name for name in listed if name and (source / name).is_file()}
    names = {name for name in names if not _is_own(name) and not _is_published(name)}
    for name in _git(target, "ls-files", "-z").split("\0"):
        if name and name not in names and not _is_own(name):
            (target / name).unlink(missing_ok=True)
    for name in sorted(names):
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source / name, target / name)


def _is_own(name: str) -> bool:
    return name == PARAMS or name.startswith("results/")


def _is_published(name: str) -> bool:
    """Another run and its bytes, which a workspace has no use for."""
    return name.startswith("study/")


def _complete(params: Path) -> str:
    """The text of a complete params.yaml: an overlay is merged, others are copied."""
    values, layers = load_params(params), Layers.read(params)
    if not layers.overlaid:
        return read_text(params)
    names = [os.path.relpath(file) for file, _ in layers.documents]
    head = HEAD.format(name=names[0], base=", ".join(names[1:]))
    return complete(layers, values, head)


def _is_edited(target: Path) -> bool:
    """Whether params.yaml is there and not as it was written last."""
    written = _git(target, "for-each-ref", "--format=%(objectname)", WRITTEN).strip()
    if not written or not (target / PARAMS).exists():
        return False
    return _git(target, "hash-object", "--no-filters", PARAMS).strip() != written


def _give_params(target: Path, text: str, params: Path) -> None:
    if _is_edited(target):
        if read_text(PARAMS, target) != text:
            says = f"{target / PARAMS} was edited, and stays as it is"
            print(f"{says}; delete it to have it written from {params}")
        return
    (target / PARAMS).write_text(text, encoding="utf-8")
    blob = _git(target, "hash-object", "--no-filters", "-w", PARAMS).strip()
    _git(target, "update-ref", WRITTEN, blob)


def make_workspace(source: Path, target: Path, params: Path) -> Path:
    """Make or renew a workspace; results that are there already stay.

    Args:
        source: the checkout.
        target: folder of the workspace.
        params: the params file it gets, complete or over a base.

    Raises:
        UserError: git fails, or the params are not valid.
    """
    source, target = Path(source).resolve(), Path(target).resolve()
    text = _complete(params)
    if not (target / ".git").exists():
        _git(source, "clone", "-q", "--no-hardlinks", str(source), str(target))
    _overlay(source, target)
    if (source / ".venv").exists() and not (target / ".venv").exists():
        (target / ".venv").unlink(missing_ok=True)
        (target / ".venv").symlink_to(source / ".venv")  # for make in the workspace
    _give_params(target, text, params)
    renew(target, load_pipeline(target))
    for key, value in NOBODY.items():
        if not _git(target, "config", "--default", "", key).strip():
            _git(target, "config", key, value)
    _git(target, "add", "-A")
    if _git(target, "status", "--porcelain").strip():
        commit(target, f"workspace with {params.name}")
    return target


def commit(root: Path, message: str) -> None:
    """Commit what is added, at the time of the last commit: equal content, equal name.

    So a workspace that is made again elsewhere has the commits that records name.
    """
    date = _git(root, "show", "-s", "--format=%cI").strip()
    dates = {"GIT_AUTHOR_DATE": date, "GIT_COMMITTER_DATE": date}
    git(root, *PLAIN, "commit", "-q", "-m", message, variables=dates)


def summary(root: Path) -> str:
    """Say what a workspace holds, where to look first, and what is missing and why.

    It is true at any time: after a whole run, a failed one, an interrupted one.
    """
    verdicts = Judge(root, load_pipeline(root)).judge()
    here = {name for name, verdict in verdicts.items() if _is_here(root, verdict)}
    why = _why_not(root, PDF) if PDF not in here else None
    left_out = {PDF} if why else set()
    absent = f"not made. {why}" if why else "not made yet"
    pdf = root / verdicts[PDF].instance.outs[0].path if PDF in here else absent
    page = root / PAGE if (root / PAGE).exists() else "not made yet"
    lines = [f"{'look first at':20s}{page}", f"{'the same as a PDF':20s}{pdf}"]
    for stage, (what, where) in PARTS.items():
        names = {n for n, v in verdicts.items() if v.instance.stage == stage}
        count = f"{len(names & here)} of {len(names)} {what}"
        lines.append(f"{count:20s}{root}/{where}")
    reasons = {n: failure(root, n, v.frozen_digest) for n, v in verdicts.items()}
    failed = {n: why for n, why in reasons.items() if why and n not in left_out}
    lines += [f"failed: {name}: {why}" for name, why in failed.items()][:MOST]
    if len(failed) > MOST:
        lines.append(f"failed: {len(failed) - MOST} more, in {root}/results/logs")
    if set(verdicts) - here - left_out:
        lines.append("The same command goes on from here.")
    return "\n".join(lines)


def _why_not(root: Path, stage: str) -> str | None:
    functions = optional(root)
    return functions[stage](root) if stage in functions else None


def _is_here(root: Path, verdict: Verdict) -> bool:
    outs = verdict.instance.outs
    return verdict.valid and all((root / out.path).exists() for out in outs)


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
