"""The params.yaml of a workspace: written anew until somebody edits it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from dash_repro.params import load_params
from dash_repro.workspace import make_workspace
from runledger.errors import UserError

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
NEEDED = ("params.yaml", "dvc.yaml", "config/demo.params.yaml")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A small git repository with what workspaces are made from."""
    root = tmp_path / "checkout"
    for name in NEEDED:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text((ROOT / name).read_text())
    (root / "workflow").mkdir()
    for command in (
        ("init", "-q"),
        ("config", "user.name", "test"),
        ("config", "user.email", "test@example.com"),
        ("add", "-A"),
        ("commit", "-q", "-m", "all"),
    ):
        subprocess.run(["git", *command], cwd=root, check=True)
    return root


def made(checkout: Path, name: str = "config/demo.params.yaml") -> Path:
    """The params.yaml of the workspace, made or renewed."""
    target = checkout.parent / "demo"
    return make_workspace(checkout, target, checkout / name) / "params.yaml"


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_it_is_complete_and_names_what_it_was_written_from(checkout: Path) -> None:
    path = made(checkout)
    assert load_params(path) == load_params(checkout / "config" / "demo.params.yaml")
    head = path.read_text().splitlines()[0]
    assert "config/demo.params.yaml over " in head and "checkout/params.yaml" in head


def test_edits_of_the_overlay_and_its_base_are_followed(checkout: Path) -> None:
    made(checkout)
    edit(checkout / "config" / "demo.params.yaml", "samples: 100,", "samples: 90,")
    edit(checkout / "params.yaml", "dpi: 200 ", "dpi: 100 ")
    edit(checkout / "params.yaml", "num_samples: 50000 ", "num_samples: 60000 ")
    found = load_params(made(checkout))
    assert found["generate_samples"]["num_samples"] == 90
    assert found["plot_figure"]["dpi"] == 100


def test_an_edited_file_stays_and_this_is_said(checkout: Path, capsys) -> None:
    path = made(checkout)
    edit(path, "iterations: 1000 ", "iterations: 7 ")
    edit(checkout / "config" / "demo.params.yaml", "iterations: 450", "iterations: 8")
    capsys.readouterr()
    found = load_params(made(checkout))
    assert found["train_teacher"]["iterations"] == 7
    assert found["train_student"]["iterations"] == 450
    said = capsys.readouterr().out
    assert f"{path} was edited, and stays as it is; delete it" in said
    assert load_params(made(checkout))["train_teacher"]["iterations"] == 7
    path.unlink()
    found = load_params(made(checkout))
    assert found["train_teacher"]["iterations"] == 1000
    assert found["train_student"]["iterations"] == 8


def test_an_edit_that_is_undone_is_none(checkout: Path, capsys) -> None:
    path = made(checkout)
    edit(path, "iterations: 1000 ", "iterations: 7 ")
    made(checkout)
    edit(path, "iterations: 7 ", "iterations: 1000 ")
    edit(checkout / "config" / "demo.params.yaml", "iterations: 450", "iterations: 8")
    capsys.readouterr()
    assert load_params(made(checkout))["train_student"]["iterations"] == 8
    assert "edited" not in capsys.readouterr().out


def test_a_file_without_a_base_is_copied_as_it_is(checkout: Path) -> None:
    edit(checkout / "params.yaml", "# The settings.", "# My own settings.")
    assert (
        made(checkout, "params.yaml").read_text()
        == (checkout / "params.yaml").read_text()
    )


@pytest.mark.parametrize("name", ["config/demo.params.yaml", "params.yaml"])
def test_wrong_params_make_no_workspace(checkout: Path, name: str) -> None:
    edit(checkout / name, "pool: ", "pol: ")
    with pytest.raises(UserError, match=r"line \d+: rank_pairs.pol") as caught:
        made(checkout, name)
    assert caught.value.where == str(checkout / name)
    assert not (checkout.parent / "demo").exists()


def test_commits_are_the_same_wherever_a_workspace_goes_the_same_way(
    checkout: Path,
) -> None:
    """Results that were made in between are no part of them."""
    heads = []
    for name in ("demo", "again"):
        target, head = checkout.parent / name, "HEAD~1" if heads else "HEAD"
        git(checkout, "checkout", "-q", head)
        make_workspace(checkout, target, checkout / "config" / "demo.params.yaml")
        result = target / "results" / f"{name}.txt"
        result.parent.mkdir(exist_ok=True)
        result.write_text("made\n")
        if not heads:
            edit(checkout / "params.yaml", "dpi: 200 ", "dpi: 100 ")
            git(checkout, "commit", "-qam", "later")
        else:
            git(checkout, "checkout", "-q", "-")
        make_workspace(checkout, target, checkout / "config" / "demo.params.yaml")
        assert git(target, "ls-files", "results") == ""
        heads.append(git(target, "rev-parse", "HEAD"))
        first, parent = git(target, "show", "-s", "--format=%P").split()
        assert parent == git(checkout, "rev-parse", "HEAD")
        assert git(target, "rev-list", "--parents", "-1", first).split()[1:] == [
            git(checkout, "rev-parse", "HEAD~1")
        ]
    assert heads[0] == heads[1]
    make_workspace(checkout, target, checkout / "config" / "demo.params.yaml")
    assert git(target, "rev-parse", "HEAD") == heads[1]  # nothing is new


def git(root: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", *arguments], cwd=root, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()
