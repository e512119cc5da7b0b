"""The package that `pip install .` gives: its files, and its command."""

import ast
import re
import subprocess
import sys
import zipfile
from importlib import import_module
from pathlib import Path

import pytest

import runledger
from dash_repro.version import __version__

ROOT = Path(__file__).resolve().parents[2]
IMPORT = re.compile(r"^\s*(from runledger\S* import .*|import runledger\S*)", re.M)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """The wheel, built from the checkout as pip builds it."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d"]
    subprocess.run([*command, str(folder)], cwd=ROOT, check=True, capture_output=True)
    (built,) = folder.glob("*.whl")
    return built


def test_every_file_of_the_packages_is_in_the_wheel(wheel):
    """Templates, style sheets and exported programs, too."""
    tracked = subprocess.run(
        ["git", "ls-files", "-z", "src", "runledger/src"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    files = {name.partition("src/")[2] for name in tracked.stdout.split("\0") if name}
    with zipfile.ZipFile(wheel) as archive:
        assert files <= set(archive.namelist())


def test_the_command_runs_from_the_wheel_alone(wheel, tmp_path):
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
        (entries,) = (n for n in archive.namelist() if n.endswith("entry_points.txt"))
        assert "dash-repro = dash_repro.cli:main" in archive.read(entries).decode()
    code = "import dash_repro, sys; sys.argv = ['dash-repro', '--help']; "
    code += "from dash_repro.cli import main; print(dash_repro.__file__); main()"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path)},
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout.startswith(str(tmp_path))
    assert "sample" in done.stdout and "export" in done.stdout


def test_a_checkout_knows_its_version() -> None:
    """Where the package is not installed, too."""
    command = [sys.executable, "-m", "dash_repro", "--version"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert said.split()[-1] == __version__


def test_only_what_is_public_of_runledger_is_used():
    """By this project's package, programs, rules and benchmarks."""
    files = [*(ROOT / "workflow").rglob("*.smk"), ROOT / "workflow" / "Snakefile"]
    for folder in ("src", "stages", "bench", "workflow"):
        files += (ROOT / folder).rglob("*.py")
    public = {"runledger": set(runledger.__all__)}
    for name in runledger.PUBLIC:
        public[name] = set(import_module(name).__all__)
    private, seen = [], 0
    for path in files:
        text = re.sub(r"\(\n\s*|,\n\s*\)|(?<=,)\n\s*", "", path.read_text("utf-8"))
        for line in IMPORT.findall(text):
            (node,) = ast.parse(line).body
            module = getattr(node, "module", None) or node.names[0].name
            names = {alias.name for alias in node.names}
            asked = names if isinstance(node, ast.ImportFrom) else set()
            seen += 1
            if module not in public or asked - public[module]:
                private.append(f"{path.relative_to(ROOT)}: {line}")
    assert private == []
    assert seen > 50
