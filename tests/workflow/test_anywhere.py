"""The folder may have any name, and the interpreter with it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from toy import ROOT, Toy

ODD = """it's a "test" {dir} $x ü"""


def test_a_project_and_its_python_lie_in_a_folder_of_any_name(
    untouched_toy: Path, tmp_path: Path
) -> None:
    home = tmp_path / ODD / "my repo"
    toy = Toy(Path(shutil.copytree(untouched_toy, home / "project", symlinks=True)))
    (home / ".venv").symlink_to(sys.prefix)

    def run(*command: str) -> str:
        done = subprocess.run(
            [str(home / ".venv" / "bin" / "python"), "-m", *command],
            cwd=toy.root,
            env={**toy.environment(), "PYTHONPATH": str(ROOT / "src")},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    run("snakemake", "--cores", "2", "--config", "bundle=2")
    assert toy.read("results/report/_/report.txt") == "numbers\na 20\nb 80\nc 60\n"
    assert "up to date" in run("dvc", "status")
    (toy.root / "results/double/b/value.txt").unlink()
    out = run("snakemake", "--cores", "1", "results/double/b/value.txt")
    assert "fetch" in out, out
    assert toy.read("results/double/b/value.txt") == "80\n"


@pytest.mark.parametrize("name", [ODD, "a:b"])
def test_make_in_a_folder_of_any_name(name: str, tmp_path: Path) -> None:
    """Paths reach the shell whole; a colon, which PATH cannot hold, is said first."""
    home = tmp_path / name / "my repo"
    home.mkdir(parents=True)
    shutil.copy(ROOT / "Makefile", home)
    script = 'all:; @printf \'%s\\n\' "$$PATH" "$$PYTHONPATH"\n'
    (home / "more.mk").write_text(f"include Makefile\n{script}")
    done = subprocess.run(
        ["make", "-f", "more.mk", "all", "needed"],
        cwd=home,
        capture_output=True,
        text=True,
    )
    path, packages, *_ = done.stdout.splitlines()
    assert path.startswith(f"{home}/.venv/bin:")
    assert packages == f"{home}/src"
    assert done.returncode != 0  # no git checkout, at least
    assert ("colon" in done.stderr) == (":" in name), done.stderr
