"""What others may import."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import runledger

HERE = Path(__file__).resolve().parents[1]


def public() -> dict[str, str]:
    """{name: module} of all that is public."""
    names = dict.fromkeys(runledger.__all__, "runledger")
    for module in runledger.PUBLIC:
        names |= dict.fromkeys(import_module(module).__all__, module)
    return names


@pytest.mark.parametrize("name, module", sorted(public().items()))
def test_a_public_name_is_there_and_says_what_it_is(name: str, module: str) -> None:
    thing = getattr(import_module(module), name)
    if callable(thing):
        assert thing.__doc__, f"{module}.{name} has no docstring"


def test_a_name_of_a_submodule_is_never_public() -> None:
    """Importing the submodule would put it in the name's place."""
    folder = Path(runledger.__file__).parent
    modules = {path.stem for path in folder.iterdir()}
    assert not modules & set(runledger.__all__)


def test_what_is_not_public_is_an_error_that_names_it() -> None:
    with pytest.raises(AttributeError, match="'runledger' has no attribute 'nothing'"):
        _ = runledger.nothing
    assert set(runledger.__all__) <= set(dir(runledger))


def test_importing_it_loads_neither_snakemake_nor_dvc() -> None:
    code = (
        "import sys, runledger; from runledger import Judge, load_pipeline; "
        "from runledger.job import main; "
        "print([m for m in ('snakemake', 'dvc', 'torch', 'numpy', 'dash_repro') "
        "if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


def test_the_changelog_has_the_version() -> None:
    assert f"\n## {runledger.__version__}\n" in (HERE / "CHANGELOG.md").read_text()


def test_the_readme_names_all_that_is_public() -> None:
    text = (HERE / "README.md").read_text(encoding="utf-8")
    assert [name for name in public() if f"`{name}`" not in text] == []
    assert [name for name in runledger.PUBLIC if f"`{name}`" not in text] == []
