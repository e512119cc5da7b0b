"""git that cannot say what runs: never taken as clean, told before, listed after."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from toy import Toy

from runledger.audit.chain import Chain
from runledger.audit.history import check_git
from runledger.environment import UNKNOWN, commit, provenance, warning
from runledger.records import Records

ANOTHERS = {"GIT_TEST_ASSUME_DIFFERENT_OWNER": "1"}  # git's own way to test this


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A small repository with what the records ask git about."""
    root = tmp_path / "repository"
    (root / "src").mkdir(parents=True)
    for name in ("params.yaml", "dvc.yaml", "src/one.py"):
        (root / name).write_text("x: 1\n", encoding="utf-8")
    (root / ".gitignore").write_text("__pycache__\n", encoding="utf-8")
    git(root, "init", "-q", "-b", "main")
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "first")
    return root


def git(root: Path, *arguments: str) -> str:
    command = ["git"]
    for setting in ("user.name=test", "user.email=t@t", "protocol.file.allow=always"):
        command += ["-c", setting]
    command += arguments
    return subprocess.run(
        command, cwd=root, check=True, capture_output=True, encoding="utf-8"
    ).stdout.strip()


def head(root: Path) -> str:
    return git(root, "rev-parse", "HEAD")


def test_a_clean_checkout_is_its_commit(repository: Path) -> None:
    assert commit(repository) == {"commit": head(repository), "uncommitted": None}
    assert warning(commit(repository)) is None


@pytest.mark.parametrize(
    "name, content",
    [
        ("src/one.py", b"x: 2\n"),
        ("src/new.py", b"x = 1\n"),
        ("src/latin.py", "x = 'ü'\n".encode("latin-1")),
        ("src/one.py", "x: ü\n".encode("latin-1")),
    ],
)
def test_changes_and_new_files_are_uncommitted(
    repository: Path, name: str, content: bytes
) -> None:
    (repository / name).write_bytes(content)
    first = commit(repository)
    assert first["commit"] == head(repository)
    assert first["uncommitted"] not in (None, UNKNOWN)
    (repository / name).write_bytes(content + b"\n# more\n")
    assert commit(repository)["uncommitted"] != first["uncommitted"]


def test_a_file_name_that_is_not_utf8(repository: Path) -> None:
    Path(os.fsdecode(os.fsencode(repository) + b"/src/\xfc.py")).write_bytes(b"")
    assert commit(repository)["uncommitted"] not in (None, UNKNOWN)


def test_ignored_files_are_no_change(repository: Path) -> None:
    (repository / "src/__pycache__").mkdir()
    (repository / "src/__pycache__/one.pyc").write_bytes(b"\0")
    assert commit(repository)["uncommitted"] is None


def test_settings_cannot_hide_a_change(repository: Path) -> None:
    git(repository, "config", "diff.external", "true")
    (repository / "src/one.py").write_text("x: 2\n", encoding="utf-8")
    assert commit(repository)["uncommitted"] not in (None, UNKNOWN)


@pytest.mark.parametrize("name", ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"])
def test_variables_that_point_elsewhere_do_not_count(
    repository: Path, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other"
    git(tmp_path, "clone", "-q", str(repository), str(other))
    git(other, "commit", "-q", "--allow-empty", "-m", "second")
    places = {"GIT_DIR": ".git", "GIT_WORK_TREE": "", "GIT_INDEX_FILE": "no-index"}
    expected = {"commit": head(repository), "uncommitted": None}
    monkeypatch.setenv(name, str(other / places[name]))
    assert commit(repository) == expected


def test_worktrees_submodules_and_shallow_clones_are_known(
    repository: Path, tmp_path: Path
) -> None:
    clean = {"commit": head(repository), "uncommitted": None}
    git(repository, "worktree", "add", "-q", "--detach", str(tmp_path / "tree"))
    git(tmp_path, "clone", "-q", "--depth", "1", f"file://{repository}", "shallow")
    outer = tmp_path / "outer"
    git(tmp_path, "init", "-q", str(outer))
    git(outer, "submodule", "add", "-q", str(repository), "inner")
    for place in (tmp_path / "tree", tmp_path / "shallow", outer / "inner"):
        assert commit(place) == clean, place


@pytest.mark.parametrize(
    "case", ["owner", "no git", "tarball", "inside another", "unborn", "broken"]
)
def test_what_git_cannot_say_is_unknown_and_never_clean(
    case: str, repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reasons = {
        "owner": "dubious ownership",
        "no git": "cannot be started",
        "tarball": "not a git repository",
        "inside another": "did not match any file",
        "unborn": "Needed a single revision",
        "broken": "",
    }
    if case == "owner":
        monkeypatch.setenv(*next(iter(ANOTHERS.items())))
    elif case == "no git":
        monkeypatch.setenv("PATH", str(tmp_path))
    elif case == "broken":
        for path in repository.glob(".git/objects/[0-9a-f]*/*"):
            if path.parent.name + path.name != head(repository):
                path.unlink()
    else:
        (repository / ".git").rename(tmp_path / "gone")
        monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
        if case == "inside another":
            git(tmp_path, "init", "-q")
            git(tmp_path, "commit", "-q", "--allow-empty", "-m", "another project")
        if case == "unborn":
            git(repository, "init", "-q")
    run = commit(repository)
    assert (run["commit"], run["uncommitted"]) == (UNKNOWN, UNKNOWN)
    assert reasons[case] in run["git"]
    assert "clean" not in provenance(run)
    assert run["git"] in warning(run)


def test_unknown_is_told_before_the_run_recorded_and_listed(
    toy: Toy, monkeypatch: pytest.MonkeyPatch
) -> None:
    toy.edit("params.yaml", "title: numbers", "title: unknown")
    assert "git cannot say" not in toy.snakemake("-n")
    monkeypatch.setenv(*next(iter(ANOTHERS.items())))
    out = toy.snakemake()
    told = out.index("git cannot say which commit this is: detected dubious ownership")
    assert told < out.index("start report")
    monkeypatch.undo()
    record = Records(toy.root).history("report", "")[-1]
    assert record.recipe["params"]["report"]["title"] == "unknown"
    assert (record.run["commit"], record.run["uncommitted"]) == (UNKNOWN, UNKNOWN)
    toy.commit()
    findings = [f for f in check_git(Chain(toy.root)) if f.kind == "unknown commit"]
    (finding,) = findings
    assert finding.instances == ("report",)
    assert "dubious ownership" in finding.detail


def test_a_program_run_by_hand_says_it_too(toy: Toy) -> None:
    (toy.root / ".git").rename(toy.root.parent / "gone")
    toy.edit("params.yaml", "title: numbers", "title: alone")
    out = toy.run("python", "stages/report.py")
    assert "warning: git cannot say which commit this is: not a git repository" in out
    assert "alone" in toy.read("results/report/_/report.txt")


def test_a_project_in_a_folder_of_a_repository_is_audited(toy: Toy) -> None:
    """Paths at a commit are counted from the repository's root."""
    outer = toy.root.parent / "outer"
    outer.mkdir()
    (toy.root / ".git").rename(toy.root.parent / "gone")
    toy.root.rename(outer / "inner")
    inner = Toy(outer / "inner")
    git(outer, "init", "-q")
    git(outer, "add", "-A")
    git(outer, "commit", "-q", "-m", "all")
    inner.edit("params.yaml", "title: numbers", "title: inner")
    git(outer, "commit", "-qam", "title")
    inner.run("python", "stages/report.py")
    kinds = {(f.kind, f.instances) for f in check_git(Chain(inner.root))}
    assert ("not the commit's", ("report",)) not in kinds
    assert ("uncommitted", ("report",)) not in kinds
    assert ("record not git's", ("report",)) not in kinds
    assert all("report" not in names for kind, names in kinds if kind != "not in git")
