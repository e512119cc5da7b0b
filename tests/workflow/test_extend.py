"""Each diff in docs/extend.md is all that its section's thing takes.

A section of the page is a heading and a block of `diff`. It is applied to a copy of the
project, from which the smallest workspace is made; both tools are asked there.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from paper_workspace import BIN, ROOT, Workspace, make

PAGE = (ROOT / "docs" / "extend.md").read_text(encoding="utf-8")
SECTION = re.compile(r"^## (.+)\n(?:(?!## ).*\n)*?```diff\n((?:.*\n)*?)```$", re.M)
DIFFS = dict(SECTION.findall(PAGE))
GENERATED = {"dvc.yaml", "docs/params.md"}


def extended(heading: str, folder: Path) -> tuple[Path, Workspace]:
    """(copy of the project with a section's diff, the smallest workspace of it)."""
    copy = make(folder / "project", ROOT / "params.yaml")
    subprocess.run(
        ["git", "apply", "--verbose", "-"],
        cwd=copy.root,
        input=DIFFS[heading].encode(),
        check=True,
    )
    python = str(BIN / "python")
    copy.run(python, "-m", "runledger", "plan")
    copy.run(python, "-m", "dash_repro", "params", "--page", "-o", "docs/params.md")
    tiny = "tests/workflow/tiny.params.yaml"
    copy.run(python, "-m", "dash_repro.workspace", "../small", tiny)
    return copy.root, Workspace(folder / "small")


def changed(root: Path) -> set[str]:
    """The files that differ from those that are committed."""
    command = ["git", "status", "--porcelain", "-z", "--untracked-files=all"]
    out = subprocess.run(command, cwd=root, check=True, capture_output=True, text=True)
    return {entry[3:] for entry in out.stdout.split("\0") if entry}


def planned(workspace: Workspace) -> tuple[str, str]:
    """(what `snakemake -n` says, what `dvc stage list` says)."""
    out = workspace.snakemake("-n", "--config", "bundle=1", "pack=1", "spread=1")
    return out, workspace.run(str(BIN / "dvc"), "stage", "list", "--name-only")


def test_every_section_has_one_diff() -> None:
    assert list(DIFFS) == re.findall(r"^## (.+)$", PAGE, re.M)
    assert PAGE.count("```diff") == len(DIFFS)


@pytest.mark.parametrize("heading", DIFFS)
def test_both_tools_take_the_diff_and_nothing_else_changes(
    heading: str, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setenv("VERBOSE", "1")  # every job is listed
    root, workspace = extended(heading, tmp_path)
    named = set(re.findall(r"^\+\+\+ b/(.+)$", DIFFS[heading], re.M))
    assert named <= changed(root) <= named | GENERATED
    snakemake, dvc = planned(workspace)
    assert "train_teacher@digits-tirt-s42" in dvc.split()
    workspace.run(str(BIN / "dvc"), "status")
    assert "Job stats:" in snakemake
    if check := CHECKS.get(heading):
        check(root, snakemake, dvc.split())


# what a section adds, in the copy and as both tools see it


def a_student(root: Path, snakemake: str, dvc: list[str]) -> None:
    name = "digits-dash_smallnull-w4-s42"
    assert f"train_student@{name}" in dvc
    assert f"results/train_student/{name}/model.safetensors" in snakemake
    assert not [one for one in dvc if "dash_smallnull-w8" in one], "of Table 3 alone"


def a_param(root: Path, snakemake: str, dvc: list[str]) -> None:
    page = (root / "docs" / "params.md").read_text(encoding="utf-8")
    row = "| `line_width` | `1.5` points | number > 0 | width of curves | choice |"
    assert row in page
    workspace = root.parent / "small" / "params.yaml"
    assert "  line_width: 1.5  # width of curves" in workspace.read_text()


CHECKS = {"A student with a known objective": a_student, "A param": a_param}
