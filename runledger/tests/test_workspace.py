"""A workspace: the code of a checkout, as it is now, with params of its own."""

from __future__ import annotations

import pytest
from toy import PARAMS, Toy

from runledger.errors import UserError
from runledger.workspace import commit, make_workspace

OTHER = PARAMS.replace("scale: 10", "scale: 7")


def made(toy: Toy, text: str = OTHER, name: str = "small", **options) -> Toy:
    folder = toy.root.parent / name
    return Toy(make_workspace(toy.root, folder, text, "small.yaml", **options))


def test_it_has_the_code_as_it_is_now_and_its_own_params(empty: Toy) -> None:
    empty.edit("src/toy/arithmetic.py", "  # exact", "  # uncommitted")
    (empty.root / "src/toy/new.py").write_text("")
    (empty.root / "data.txt").unlink()
    (empty.root / "trained.log").write_text("ignored by git")
    other = made(empty)
    assert "# uncommitted" in other.read("src/toy/arithmetic.py")
    assert (other.root / "src/toy/new.py").exists()
    assert not (other.root / "data.txt").exists()
    assert not (other.root / "trained.log").exists()
    assert other.read("params.yaml") == OTHER
    assert empty.read("params.yaml") == PARAMS, "the checkout keeps its own"
    assert other.git("status", "--porcelain") == "", "its records name a commit"
    said = other.git("log", "-1", "--format=%an %s")
    assert said == "workspace workspace with small.yaml\n"


def test_equal_content_has_an_equal_commit(empty: Toy) -> None:
    heads = [made(empty, name=name).git("rev-parse", "HEAD") for name in ("a", "b")]
    assert heads[0] == heads[1] != empty.git("rev-parse", "HEAD")
    other = made(empty, PARAMS.replace("scale: 10", "scale: 8"), name="c")
    assert other.git("rev-parse", "HEAD") != heads[0]


def test_renewing_follows_the_code_and_leaves_results(empty: Toy) -> None:
    other = made(empty)
    kept = other.root / "results" / "report" / "_" / "report.txt"
    kept.parent.mkdir(parents=True)
    kept.write_text("numbers\n")
    empty.edit("src/toy/arithmetic.py", "a * b", "b * a")
    (empty.root / "src/toy/__init__.py").unlink()
    made(empty)
    assert "b * a" in other.read("src/toy/arithmetic.py")
    assert not (other.root / "src/toy/__init__.py").exists()
    assert kept.read_text() == "numbers\n"


def test_folders_may_be_left_out(empty: Toy) -> None:
    for name in ("study/store/a", "study.txt"):
        (empty.root / name).parent.mkdir(parents=True, exist_ok=True)
        (empty.root / name).write_text("x")
    empty.commit()
    other = made(empty, without=["study"])
    assert not [one for one in (other.root / "study").rglob("*") if one.is_file()]
    assert (other.root / "study.txt").exists()


def test_params_that_somebody_edited_stay(empty: Toy, capsys) -> None:
    other = made(empty)
    other.edit("params.yaml", "scale: 7", "scale: 70")
    made(empty, PARAMS.replace("scale: 10", "scale: 8"))
    assert "scale: 70" in other.read("params.yaml")
    said = capsys.readouterr().out
    assert "params.yaml was edited" in said and "written from small.yaml" in said
    other.edit("params.yaml", "scale: 70", "scale: 7")
    made(empty, PARAMS.replace("scale: 10", "scale: 8"))
    assert "scale: 8" in other.read("params.yaml"), "an edit that is undone is none"
    assert capsys.readouterr().out == ""
    (other.root / "params.yaml").unlink()
    made(empty)
    assert "scale: 7" in other.read("params.yaml")


def test_a_workflow_without_params_yaml_is_refused(empty: Toy) -> None:
    (empty.root / "params.yaml").unlink()
    with pytest.raises(UserError, match=r"no params\.yaml"):
        made(empty)
    assert not (empty.root.parent / "small").exists()


def test_its_results_are_those_of_its_params(empty: Toy) -> None:
    (empty.root / "small.yaml").write_text(OTHER)
    said = empty.ledger("workspace", "../small", "small.yaml")
    other = Toy(empty.root.parent / "small")
    assert said.strip() == str(other.root)
    other.snakemake()
    assert other.read("results/report/_/report.txt") == "numbers\na 14\nb 56\nc 42\n"
    assert not other.stale()


def test_a_commit_is_nobodys_and_asks_for_no_hook(empty: Toy) -> None:
    hook = empty.root / ".git" / "hooks" / "pre-commit"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    empty.git("config", "commit.gpgsign", "true")
    before = empty.git("log", "-1", "--format=%cI")
    (empty.root / "data.txt").write_text("2\n")
    empty.git("add", "-A")
    commit(empty.root, "another")
    assert empty.git("log", "-1", "--format=%an %s") == "workspace another\n"
    assert empty.git("log", "-1", "--format=%cI") == before
