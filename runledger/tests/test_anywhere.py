"""Any machine: folders of any name, and programs that only some machines have."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from toy import Toy

from runledger.audit import Chain, Finding, audit_chain

ODD = """it's a "test" {dir} $x ü"""


@pytest.mark.thorough
def test_a_project_and_its_python_lie_in_a_folder_of_any_name(
    untouched_toy: Path, tmp_path: Path
) -> None:
    home = tmp_path / ODD / "my repo"
    toy = Toy(Path(shutil.copytree(untouched_toy, home / "project", symlinks=True)))
    (home / ".venv").symlink_to(sys.prefix)

    def run(*command: str, code: int = 0) -> str:
        done = subprocess.run(
            [str(home / ".venv" / "bin" / "python"), "-m", *command],
            cwd=toy.root,
            env=toy.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
        )
        assert done.returncode == code, done.stdout
        return done.stdout

    run("snakemake", "--cores", "2", "--config", "bundle=2")
    assert toy.read("results/report/_/report.txt") == "numbers\na 20\nb 80\nc 60\n"
    assert "up to date" in run("dvc", "status")
    toy.edit("params.yaml", "value: 3,", "value: 2,")
    cluster = ("--executor", "cluster-generic", "--cluster-generic-submit-cmd", "false")
    out = run("snakemake", *cluster, "--jobs", "1", code=1)
    assert "has $ in its path" in out and "move the checkout" in out
    toy.edit("params.yaml", "value: 2,", "value: 3,")
    (toy.root / "results/double/b/value.txt").unlink()
    run("snakemake", "--cores", "1", "results/double/b/value.txt")
    assert toy.read("results/double/b/value.txt") == "80\n"
    assert toy.trained().count("b") == 1, "it was fetched, not made"

    run("dvc", "remote", "add", "--default", "lab", str(tmp_path / "its {own} $place"))
    assert "sent 6 objects" in run("runledger", "push")
    shutil.rmtree(toy.root / ".dvc" / "cache")
    shutil.rmtree(toy.root / "results" / "double")
    run("runledger", "pull")
    assert toy.read("results/double/b/value.txt") == "80\n"


@pytest.fixture
def without_printer(untouched_toy: Path, tmp_path: Path) -> Toy:
    """A toy whose report needs what this machine lacks; `all` is doubles and report."""
    toy = Toy(Path(shutil.copytree(untouched_toy, tmp_path / "toy", symlinks=True)))
    toy.edit(
        "workflow/Snakefile", '(("report",), None)', '(("double", "report"), None)'
    )
    (toy.root / "src" / "toy" / "printer.py").write_text(
        """def missing(root):
    known = (root / "printer").exists()
    return None if known else "There is no printer (plug one in)"
"""
    )
    (toy.root / "pyproject.toml").write_text(
        """[tool.runledger]\noptional = { report = "toy.printer:missing" }\n"""
    )
    toy.commit("a report that needs a printer")
    return toy


def test_what_is_optional_is_left_out_unless_it_is_asked_for_by_name(
    without_printer: Toy,
) -> None:
    toy, report = without_printer, without_printer.root / "results/report/_/report.txt"
    said = (
        f"left out: {report.relative_to(toy.root)}. There is no printer (plug one in)"
    )
    assert said in toy.snakemake("-n")
    out = toy.snakemake()
    assert toy.code == 0
    assert said in "\n".join(out.splitlines()[-4:]), "at the end, too"
    assert sorted(toy.trained()) == ["a", "b", "c"] and not report.exists()
    assert toy.stale() == {"report"}
    assert "failed" not in toy.ledger("status")
    toy.commit()
    assert [f.level for f in findings(toy) if "report" in f.subject] == ["notice"]
    out = toy.snakemake()
    assert "Nothing to be done" in out and said in out

    toy.snakemake(str(report.relative_to(toy.root)))
    assert report.exists() and toy.stale() == set()
    assert said not in toy.snakemake("-n")
    toy.edit("params.yaml", "value: 1,", "value: 2,")
    toy.snakemake()
    assert toy.stale() == {"report"}
    assert "objection" in [f.level for f in findings(toy) if f.subject == "report"]

    (toy.root / "printer").touch()
    toy.snakemake()
    assert toy.stale() == set() and "a 40" in report.read_text()


def findings(toy: Toy) -> list[Finding]:
    return audit_chain(Chain(toy.root), ask_remote=False)
