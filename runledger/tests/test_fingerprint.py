"""What code counts: meaning yes, comments and layout no, only the import closure."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from runledger.canonical import canonical, digest
from runledger.fingerprint import Fingerprinter, source_digest

BASE = 'def f(a, b=1):\n    """Doc."""\n    # why\n    return {"x": a + b}\n'


@pytest.mark.parametrize(
    "same",
    [
        BASE.replace("# why", "# because"),
        BASE.replace("Doc.", "Another text."),
        BASE.replace('    """Doc."""\n', ""),
        BASE.replace('{"x": a + b}', "{\n        'x': (a + b),\n    }"),
        "\n\n" + BASE,
    ],
)
def test_what_does_not_count(same: str) -> None:
    assert same != BASE
    assert source_digest(same) == source_digest(BASE)


@pytest.mark.parametrize("head", ["class A:", "async def a():", "def a():"])
def test_docstrings_do_not_count_wherever_they_are(head: str) -> None:
    text = f'"""Module."""\n{head}\n    """Doc."""\n    x = 1\n'
    bare = f"{head}\n    x = 1\n"
    assert source_digest(text) == source_digest(bare)
    assert source_digest(text.replace("x = 1", '"""Two."""')) != source_digest(bare)


@pytest.mark.parametrize(
    "other",
    [
        BASE.replace("b=1", "b=2"),
        BASE.replace("b=1", "b=1.0"),
        BASE.replace("a + b", "b + a"),
        BASE.replace('"x"', '"y"'),
        BASE.replace("def f", "async def f"),
        BASE.replace("a, b=1", "a, /, b=1"),
        "@cache\n" + BASE,
    ],
)
def test_what_counts(other: str) -> None:
    assert other != BASE
    assert source_digest(other) != source_digest(BASE)


def test_fields_of_newer_grammars_do_not_count() -> None:
    """Python 3.12 added type_params to functions: empty, it must change nothing."""
    from runledger.fingerprint import _canonical

    tree = ast.parse(BASE)
    before = _canonical(tree)
    function = tree.body[0]
    function._fields = (*function._fields, "added_later")
    function.added_later = []
    assert _canonical(tree) == before


def project(root: Path, files: dict[str, str]) -> Fingerprinter:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return Fingerprinter(root)


def test_the_closure_follows_every_kind_of_import(tmp_path: Path) -> None:
    files = {
        "stages/s.py": "import _path\nfrom p.a import x\nimport p.c.d\nimport os\n",
        "src/p/__init__.py": "",
        "src/p/a.py": "from . import b\nfrom .c import e\n",
        "src/p/b.py": "def f():\n    from p import late\n",
        "src/p/late.py": "",
        "src/p/c/__init__.py": "from ..up import y\n",
        "src/p/c/d.py": "",
        "src/p/c/e.py": "",
        "src/p/up.py": "y = 1\n",
        "src/p/never.py": "",
    }
    found = project(tmp_path, files).modules("stages/s.py")
    assert set(found) == set(files) - {"src/p/never.py"}


def test_equal_params_have_one_spelling() -> None:
    assert canonical({"b": 4.0, "a": [1, 2.5]}) == '{"a":[1,2.5],"b":4}'
    assert digest({"a": 1.0, "b": 2}) == digest({"b": 2.0, "a": 1})
    assert digest({"a": 0.1, "b": 0.2}) != digest({"a": 0.2, "b": 0.1})
    assert digest(True) != digest(1)
    with pytest.raises(ValueError, match="Out of range float"):
        canonical(float("nan"))
    with pytest.raises(TypeError, match="cannot be part of a recipe"):
        canonical({1, 2})


def test_modules_that_a_package_finds_are_followed(tmp_path: Path) -> None:
    files = {
        "stages/s.py": "from p.things import THINGS\n",
        "src/p/__init__.py": "",
        "src/p/things/__init__.py": (
            "from runledger.plugins import import_all\nimport_all(__name__, __path__)\n"
        ),
        "src/p/things/one.py": "from p.base import x\n",
        "src/p/things/deeper/__init__.py": "",
        "src/p/base.py": "x = 1\n",
        "src/p/other.py": "",
    }
    before = project(tmp_path, files)
    assert set(before.modules("stages/s.py")) == set(files) - {"src/p/other.py"}
    (tmp_path / "src/p/things/two.py").write_text("y = 2\n")
    after = Fingerprinter(tmp_path)
    assert "src/p/things/two.py" in after.modules("stages/s.py")
    assert after.fingerprint("stages/s.py") != before.fingerprint("stages/s.py")


def test_what_a_job_with_a_recipe_imports_is_little() -> None:
    """Neither a reader of rules or YAML nor the judge: each job pays for it."""
    heavy = "yaml", "snakemake", "click", "runledger.judge", "runledger.snakefile"
    code = f"import sys, runledger.job; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
