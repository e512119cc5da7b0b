"""The Makefile in folders of any name."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from places import ROOT, python_path

ODD = """it's a "test" {dir} $x ü"""


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
    assert packages == python_path(home)
    assert done.returncode != 0  # no git checkout, at least
    assert ("colon" in done.stderr) == (":" in name), done.stderr
