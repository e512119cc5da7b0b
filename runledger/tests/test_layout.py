"""Where a checkout keeps its programs and modules is a setting."""

from __future__ import annotations

from pathlib import Path

import pytest
from toy import Toy

from runledger.errors import UserError
from runledger.fingerprint import Fingerprinter
from runledger.project import code_folders, program_of, read_rules

ELSEWHERE = 'program = "programs/run_{stage}.py"\nroots = ["lib"]\n'


def moved(toy: Toy) -> Toy:
    """The toy with its programs in programs/ and its modules in lib/."""
    toy.git("mv", "src", "lib")
    toy.git("mv", "stages", "programs")
    for path in sorted((toy.root / "programs").glob("[a-z]*.py")):
        toy.git("mv", str(path), str(path.with_name(f"run_{path.name}")))
    for name, old, new in (
        ("programs/_path.py", '"src"', '"lib"'),
        ("dvc.yaml", "python stages/", "python programs/run_"),
        ("dvc.yaml", "[src, stages]", "[lib, programs]"),
        ("workflow/Snakefile", "{L.code}/stages", "{L.code}/programs"),
        ("workflow/Snakefile", "{RUN}/", "{RUN}/run_"),
    ):
        path = toy.root / name
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))
    (toy.root / "runledger.toml").write_text(ELSEWHERE)
    toy.commit("another layout")
    return toy


def test_programs_and_modules_of_another_layout_count(empty: Toy) -> None:
    toy = moved(empty)
    toy.snakemake()
    assert not toy.stale()
    assert "up to date" in toy.dvc("status")
    toy.edit("lib/toy/arithmetic.py", "  # exact", "  # to the bit")
    assert not toy.stale(), "a comment"
    toy.edit("lib/toy/arithmetic.py", "a * b", "b * a")
    computed = {f"{stage}@{id}" for stage in ("measure", "double") for id in "abc"}
    codes = {"fingerprint_code@measure", "fingerprint_code@double"}
    assert toy.stale() - codes == {*computed, "report"}
    assert "lib/toy/arithmetic.py" in toy.ledger("why", "measure/a")
    toy.snakemake()
    assert sorted(toy.trained()) == sorted("abc" * 2)
    toy.edit("programs/run_report.py", "lines = [", "lines = ['made by', ")
    assert toy.stale() - {"fingerprint_code@report"} == {"report"}


def checkout(root: Path, text: str) -> Path:
    """A folder with these settings."""
    (root / "runledger.toml").write_text(text)
    return root


def test_the_layout_has_defaults(tmp_path: Path) -> None:
    assert program_of(tmp_path, "measure") == "stages/measure.py"
    assert code_folders(tmp_path) == ("src", "stages")


@pytest.mark.parametrize(
    ("settings", "program", "folders"),
    [
        (ELSEWHERE, "programs/run_fit.py", ("lib", "programs")),
        ('program = "steps/{stage}/main.py"', "steps/fit/main.py", ("src", "steps")),
        ('program = "src/{stage}.py"', "src/fit.py", ("src",)),
        ('roots = ["a", "b/c"]', "stages/fit.py", ("a", "b/c", "stages")),
    ],
)
def test_the_layout_is_a_setting(
    tmp_path: Path, settings: str, program: str, folders: tuple[str, ...]
) -> None:
    root = checkout(tmp_path, settings)
    assert program_of(root, "fit") == program
    assert code_folders(root) == folders == Fingerprinter(root).roots


@pytest.mark.parametrize(
    "program",
    [
        "stages/fit.py",
        "{stage}.py",
        "../{stage}.py",
        "/opt/{stage}.py",
        "stages/{stage}",
        "stages/{stage}/{stage}.py",
    ],
)
def test_a_pattern_that_names_no_program_is_refused(
    tmp_path: Path, program: str
) -> None:
    root = checkout(tmp_path, f'program = "{program}"')
    with pytest.raises(
        UserError, match=r"program = .* is no path of a stage's"
    ) as told:
        program_of(root, "fit")
    assert "stages/{stage}.py" in told.value.remedy


RULES = """\
from runledger import open_ledger
L = open_ledger(workflow, config)
rule fingerprint_code:
    input: unpack(L.needs("fingerprint_code"))
    output: "results/code/{stage}.json"
rule fit:
    input: unpack(L.needs("fit"))
    output: "results/fit/model"
"""


def test_rules_have_their_programs_where_the_settings_say(tmp_path: Path) -> None:
    checkout(tmp_path, 'snakefile = "Snakefile"\n' + ELSEWHERE)
    (tmp_path / "Snakefile").write_text(RULES)
    pipeline = read_rules(tmp_path, {})
    assert pipeline["fit"].cmd == "python programs/run_fit.py"
    (code,) = (one for one in pipeline.instances.values() if one.id == "fit")
    assert code.cmd == "python programs/run_fingerprint_code.py fit"
    assert code.deps == ("lib", "programs")
