"""Some bytes are here and some are not: of one instance, or of what it was made from.

measure@a → pair (a cached file and one in git) → notes (reads the one in git)
                                                → values (reads the cached one)
"""

from __future__ import annotations

import shutil
import textwrap
from pathlib import Path

import pytest
from once import copied
from toy import DVC, PARAMS, SNAKEFILE, STAGES, Toy

STAGE = '''
    """{stage}."""
    import _path  # noqa
    from runledger.job import main

    def run(job):
        text = job.input("{reads}"{name}).read_text()
        for name in {writes}:
            job.output(name).write_text(text + str(job.params["{stage}"]) + "\\n")

    if __name__ == "__main__":
        main("{stage}", run)
'''
MORE = {
    "pair": ("measure", "", ["value.txt", "note.txt"]),
    "notes": ("pair", ', "note.txt"', ["all.txt"]),
    "values": ("pair", ', "value.txt"', ["all.txt"]),
}
# what a measurement gives depends on a file that nobody knows of
NOISY = STAGES["measure"].replace(
    "value = times(",
    'value = int((job.root / "results/.state/noise").exists()) + times(',
)


@pytest.fixture(scope="module")
def shared(untouched_toy: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finished project, its remote, and a clone without bytes."""
    folder = tmp_path_factory.mktemp("partly") / "lab"
    toy, more, rules = Toy(copied(untouched_toy, folder / "project")), "", ""
    for stage, (reads, name, writes) in MORE.items():
        paths = {
            "pair": ["results/measure/a/value.txt"],
            "notes": ["results/pair/_/note.txt"],
            "values": ["results/pair/_/value.txt"],
        }[stage]
        outs = [f"results/{stage}/_/{file}" for file in writes]
        listed = ", ".join(
            out if out.endswith("value.txt") else f"{{{out}: {{cache: false}}}}"
            for out in outs
        )
        more += f"""\
  {stage}:
    cmd: python stages/{stage}.py
    deps: [results/code/{stage}.json, {", ".join(paths)}]
    params: [{stage}]
    outs: [{listed}]
"""
        rules += f"""\
rule {stage}:
    input: unpack(L.needs("{stage}", "", files=L.deps("{stage}", "")))
    output: {", ".join(map(repr, outs))}
    shell: "{{RUN}}/{stage}.py --recipe {{input.recipe:q}}"
"""
        program = STAGE.format(stage=stage, reads=reads, name=name, writes=writes)
        (toy.root / f"stages/{stage}.py").write_text(textwrap.dedent(program))
    (toy.root / "stages/measure.py").write_text(textwrap.dedent(NOISY))
    names = ", ".join(MORE)
    (toy.root / "dvc.yaml").write_text(
        DVC.replace("double, report]", f"double, report, {names}]") + more
    )
    (toy.root / "params.yaml").write_text(PARAMS + "pair: 1\nnotes: 1\nvalues: 1\n")
    (toy.root / "workflow/Snakefile").write_text(
        SNAKEFILE.replace("ruleorder: fetch >", f"{rules}ruleorder: fetch > ")
        .replace("> report\n", f"> report > {' > '.join(MORE)}\n")
        .replace('(("report",), None)', '(("report", "notes", "values"), None)')
    )
    with open(toy.root / ".gitignore", "a") as ignored:
        ignored.write("results/pair/_/value.txt\n")
    toy.commit()
    toy.snakemake()
    toy.commit()
    (folder / "remote").mkdir()
    toy.dvc("remote", "add", "-q", "-d", "shared", "../remote")
    toy.commit("remote")
    toy.ledger("push")
    other = toy.clone("clone")
    (other.root / "results/.state").mkdir()
    return folder


@pytest.fixture
def clone(shared: Path, tmp_path: Path) -> Toy:
    """A private copy of the clone, with the project and the remote beside it."""
    return Toy(copied(shared, tmp_path / "lab") / "clone")


def test_one_output_is_here_and_another_is_fetched(clone: Toy) -> None:
    """Snakemake takes no job's outputs from two rules (AmbiguousRuleException)."""
    clone.edit("params.yaml", "notes: 1\nvalues: 1", "notes: 2\nvalues: 2")
    clone.snakemake()
    assert clone.read("results/notes/_/all.txt") == "10\n1\n2\n"
    assert clone.read("results/values/_/all.txt") == "10\n1\n2\n"
    assert clone.trained() == []
    assert not (clone.root / "results/measure").exists(), "nobody needed it"
    assert clone.stale() == set()


@pytest.mark.parametrize(
    "noise", [False, pytest.param(True, marks=pytest.mark.thorough)]
)
def test_what_was_made_from_lost_bytes_stays_valid(clone: Toy, noise: bool) -> None:
    """Only what is lost and needed runs, and what is edited; if it comes out otherwise,
    what was made from it follows."""
    shutil.rmtree(clone.root.parent / "remote" / "files" / "md5")
    (clone.root.parent / "remote" / "files" / "md5").mkdir()
    if noise:
        (clone.root / "results/.state/noise").touch()
    clone.edit("params.yaml", "pair: 1", "pair: 3")
    out = clone.snakemake()
    assert "its bytes are neither here nor on remote 'shared'" in out
    assert clone.trained() == ["a"]
    value = 11 if noise else 10
    assert clone.read("results/values/_/all.txt") == f"{value}\n3\n1\n"
    doubles = {"double@a"} if noise else set()
    assert clone.stale() == (doubles | {"report"} if noise else set())
    out = clone.snakemake()
    assert ("Nothing to be done" in out) is not noise
    if noise:
        assert clone.read("results/report/_/report.txt").startswith("numbers\na 22\n")
    assert clone.stale() == set()
