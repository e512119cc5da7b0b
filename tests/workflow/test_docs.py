"""Every command in the README and the pages is run, or is listed with a reason."""

from __future__ import annotations

import re
import shlex
import subprocess

import pytest
from bare_machine import link_environment
from paper_workspace import ROOT, Workspace
from places import python_path

from dash_repro.paper.items import ITEMS

FOLDERS = (ROOT, ROOT / "results", ROOT / "config", ROOT / "docs")
PAGES = [page for folder in FOLDERS for page in folder.glob("*.md")]
PAGES.remove(ROOT / "CHANGELOG.md")  # tells of commands that other pages show
PROGRAMS = "make snakemake python dvc git uv apt-get squeue sinfo scontrol sacctmgr"
PROGRAMS += " dash-repro"
PROGRAM = "|".join([*PROGRAMS.split(), "source (?=\\S*/)", "cd", "tmux", "[$]EDITOR"])
INLINE = re.compile(rf"(?:[A-Z_]+=\S+ )?(?:{PROGRAM})(?: |$)")
STUDENT = "train_student/digits-dash-w4-s42"
MODEL = f"results/{STUDENT}/model.safetensors"

# as documented: as it is run in a finished workspace, in this order; "" is as it stands
RUN = {
    "make audit": "",
    'make audit CELL="table3/dash/cifar10_fd"': (
        'make audit CELL="table3/dash/digits_fd"'
    ),
    "make audit CELL=table3/x/y": "! make audit CELL=table3/x/y",
    "make report": "",
    "make crate": "",
    "python -m runledger crate --check results/crate": "",
    "cd workspace && PYTHONPATH=/your/clone/src:/your/clone/runledger/src"
    " python -m dash_repro.audit": (
        f"PYTHONPATH={shlex.quote(python_path(ROOT))} python -m dash_repro.audit"
    ),
    "make status": "",
    "python -m runledger status --json": "",
    "python -m runledger status --verify": "",
    "make progress": "",
    "python -m runledger progress --json": "",
    "make why": "",
    "make why TARGET=train_student/cifar10-dash-w64-s42": f"make why TARGET={STUDENT}",
    "make why TARGET='train_student/*dash*'": "",
    "dash-repro targets": "python -m dash_repro targets",
    "dash-repro targets dash cifar10": "python -m dash_repro targets dash digits",
    "make logs TARGET=train_student/cifar10-dash-w64-s42": (
        f"make logs TARGET={STUDENT}"
    ),
    "make settle": "",
    "dvc remote add --default lab ssh://host/path": (
        "dvc remote add --default lab ../remote"
    ),
    "git add results dvc.lock .dvc/config": "",
    "git add results dvc.lock": "",
    "git commit": "git commit -m results",
    "make push": "",
    "python -m runledger push --new": "",
    "make pull": "rm -r .dvc/cache results/figures && make pull",
    "make pull TARGET=table3": "",
    "make pull [TARGET=...]": "make pull TARGET=table3",
    "dvc pull --allow-missing": (  # after a partial run; without, it fails
        "mv dvc.lock ../lock && rm -r results/figures && ! dvc pull -q && "
        "dvc pull --allow-missing; code=$?; mv ../lock dvc.lock && make pull && "
        "exit $code"
    ),
    "dvc exp run --dry": "! dvc exp run --dry",
    "dvc params diff": "",
    "dvc metrics diff": "",
    "dvc pull": "rm -r .dvc/cache results/figures && dvc pull",
    "snakemake -n": "snakemake -n --cores 1",
    "RUNLEDGER_RECOMPUTE=1 snakemake": "RUNLEDGER_RECOMPUTE=1 snakemake -n --cores 1",
    "RUNLEDGER_UNPRUNED=1 snakemake --report report.zip --rerun-incomplete": (
        "RUNLEDGER_UNPRUNED=1 snakemake --report ../report.zip --rerun-incomplete "
        "--cores 1"
    ),
    "VERBOSE=1 snakemake ...": "VERBOSE=1 snakemake -n --cores 1",
    "snakemake TARGET": "snakemake --cores 1 table3",
    "snakemake table3": "snakemake --cores 1 table3",
    "snakemake paper": "snakemake --cores 1 paper",
    "snakemake --cores 8 --resources gpu=1 --config pack=8 launch=compile": (
        "snakemake --cores 8 --resources gpu=1 --config pack=8 launch=compile -n"
    ),
    "snakemake --cores 8 --resources gpu=4 --config pack=8": (
        "snakemake --cores 8 --resources gpu=4 --config pack=8 -n"
    ),
    "snakemake --profile workflow/profiles/demo": "",
    "snakemake --config pack=8 ...": "snakemake --config pack=8 -n --cores 1",
    "snakemake --config launch=graph ...": (
        "snakemake --config launch=graph -n --cores 1"
    ),
    "python -m dash_repro.workspace released config/released.params.yaml": (
        "python -m dash_repro.workspace ../released config/released.params.yaml"
    ),
    "python -m dash_repro.workspace DIR FILE": (
        "python -m dash_repro.workspace ../other config/demo.params.yaml"
    ),
    "dash-repro params --set students.dash.lambda_an=0.2": (
        "cp params.yaml ../kept && "
        "python -m dash_repro params --set students.dash.lambda_an=0.2 && "
        "snakemake -n --cores 1; mv ../kept params.yaml"
    ),
    "dash-repro params --set experiments.sampling.guidance_scale=3.0": (
        "cp params.yaml ../kept && "
        "python -m dash_repro params --set experiments.sampling.guidance_scale=3.0 && "
        "make why; mv ../kept params.yaml"
    ),
    "dash-repro params --set experiments.sampling.guidance_scale=4.0": (
        "cp params.yaml ../kept && "
        "python -m dash_repro params --set experiments.sampling.guidance_scale=4.0; "
        "mv ../kept params.yaml"
    ),
    "dash-repro params KEY": "python -m dash_repro params train_teacher.width",
    "dash-repro params --complete params.yaml -o params.yaml": (
        "python -m dash_repro params --complete params.yaml -o params.yaml"
    ),
    "dash-repro params --check FILE": (
        "python -m dash_repro params --check config/demo.params.yaml"
    ),
    "make help": "",
    "make plan": "",
    "python -m runledger plan --check": "",
    "snakemake students": "snakemake --cores 1 students",
    "dvc config --local cache.shared group": "",
    "dvc config --local cache.type symlink": "",
    "dvc cache dir --local /lab/dvc-cache": "dvc cache dir --local ../dvc-cache",
    "python -m dash_repro --help": "",
    "dash-repro sample MODEL --classes 3,8 -w 2 --steps 20 -o grid.png": (
        f"python -m dash_repro sample {MODEL} --classes 3,8 -w 2 --steps 2 -o grid.png"
    ),
    "dash-repro live FOLDER --samples 16": (
        "python -m dash_repro live ../curves --once --samples 2 --steps 4"
    ),
    "dash-repro info MODEL": f"python -m dash_repro info {MODEL}",
    "dash-repro export MODEL FOLDER": f"python -m dash_repro export {MODEL} ../export",
    "python: from dash_repro import load": (
        f'python -c \'from dash_repro import load; student = load("{MODEL}"); '
        'student.sample(16, classes=["3", "8"], w=2.0, steps=2, seed=0)[15].verify()\''
    ),
    "source .venv/bin/activate": "source .venv/bin/activate && snakemake --version",
}
# run as `make -n`: the target is there, and its recipe can be read
ONLY_READ = {
    "make demo": "test_bare_machine runs it",
    "make demo VERBOSE=1": "likewise",
    "make audit DIR=demo": "likewise",
    'make audit DIR=demo CELL="table3/dash/digits_fd"': "run without DIR",
    "make demo TORCH=cpu": "brings another torch; test_install has what it does",
    "make test": "is what runs this",
    "make check": "likewise, in part",
    "make lint": "make test runs it",
    "make mutants": "takes hours",
    "make test-cluster": "is a Slurm",
    "make setup": "test_install has what it does",
    "make setup TORCH=cpu": "likewise",
    "make docs": "unit/test_site builds the site",
    "make study": "takes minutes; test_publication checks a published run",
    "make study-vary": "likewise, and varies one",
    "make study-from-nothing": "takes hours",
    "make preflight": "needs a Slurm: tests/cluster",
    "make bench": "measures for many minutes",
    "make gpu": "needs a GPU; numeric/test_first_contact rehearses it",
    "make test-long": "takes an hour",
    "make gpu DATA=cifar10.tar.xz": "needs a GPU; test_first_contact rehearses it",
    "make bench BENCH=--gates-only": "computes for minutes",
    'make bench BENCH="--preset cpu --output /tmp/results"': "likewise",
}
NOT_HERE = {
    "apt-get": "installs for the whole machine",
    "$EDITOR slurm/site.yaml": "is a person's",
    "tmux new -s dash": "is a person's",
    "git clone": "each workspace of the tests is one",
    "git push": "is git's own",
    "git log": "is git's own",
    "uv pip install": "changes the environment that runs the tests",
    "python -m bench.contact": "test_first_contact runs it",
    "python -m bench.numerics": "trains for half an hour",
    "python -m bench.products": "test_products runs its parts",
    "dvc gc": "is named as a danger",
    "python -m dash_repro.publication": "test_publication runs it",
    "dvc push": "is named as less than make push",
    "dvc exp run": "runs the whole paper",
    "cd demo": "is a shell's",
    "cd ../pets": "test_init_to_table runs it",
    "dash-repro sample results/train_student/pets": "likewise",
    "python bench/lineage.py": "measures for many minutes",
    "dash-repro init": "test_init_to_table runs it",
    "dvc add photos": "brings a folder of pictures; no test does it yet",
    "dvc status": "test_paper_pipeline runs it",
    "dvc repro": "likewise",
    "snakemake --profile slurm": "tests/cluster runs the profile",
    "scontrol": "tests/cluster: jobs requeue themselves",
    "sacctmgr": "asks a Slurm with accounting",
    "squeue": "tests/cluster reads labels in the queue",
    "python -m runledger init": "runledger/tests/test_workflows.py runs it",
    "python -m runledger adopt INSTANCE": "test_records adopts",
    "DASH_LAUNCH=graph python stages/train_student.py": "needs a GPU",
    "dvc remote add --default lab s3://bucket/path": "needs an S3",
}


def commands(text: str) -> list[str]:
    """Return the commands of a page: lines of code blocks, and inline code.

    A block of Python is one command, named by its first line. Diffs, settings, what a
    command prints, and directives of the site ("```{click}") have none.
    """
    without = r"^ *```(?:diff|yaml|text|\{).*?^ *```"
    text = re.sub(without, "", text, flags=re.M | re.S)
    python = re.compile(r"^```python\n(.*?)\n.*?^```", re.M | re.S)
    programs = [f"python: {first}" for first in python.findall(text)]
    text = python.sub("", text)
    fenced = re.compile(r"^```[^\n]*\n(.*?)^```", re.M | re.S)
    indented = re.compile(r"(?:^ {4}\S.*\n)+", re.M)
    rest = fenced.sub("", text)
    blocks = fenced.findall(text) + indented.findall(rest)
    lines = [line.strip() for block in blocks for line in block.splitlines()]
    found = [re.split(r"\s+#", line)[0] for line in lines]
    spans = re.findall(r"`([^`]+)`", re.sub(r"\s+", " ", indented.sub("", rest)))
    return (
        programs
        + found
        + [span for span in spans if INLINE.match(span) and " " in span]
    )


def documented() -> dict[str, str]:
    """{command: a page that names it}."""
    return {
        command: page.relative_to(ROOT).as_posix()
        for page in PAGES
        for command in commands(page.read_text(encoding="utf-8"))
        if command
    }


def test_commands_are_found_in_blocks_and_in_the_text() -> None:
    text = (
        "Run `make\nx` or `y`:\n\n    make z   # why\n\n```\nmake a\n```\n`source: f`"
    )
    assert commands(text) == ["make a", "make z", "make x"]


def test_every_documented_command_is_run_or_says_why_not() -> None:
    """A new one in a page needs a line above, and a line needs its command."""
    named, listed = documented(), {*RUN, *ONLY_READ}
    unlisted = {
        command: page
        for command, page in named.items()
        if command not in listed and not command.startswith(tuple(NOT_HERE))
    }
    assert unlisted == {}
    assert listed - named.keys() == set()
    stale = [start for start in NOT_HERE if not any(c.startswith(start) for c in named)]
    assert stale == []


def test_readme_lists_every_item_with_its_files() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| .* \| `(\w+)` \| `(\S+)` `(\S+)` \|$", text, re.M)
    expected = [
        (item, f"results/tables/{item}.tex", ".json")
        if spec.kind == "table"
        else (item, f"results/figures/{item}.pdf", ".png")
        for item, spec in ITEMS.items()
    ]
    assert sorted(rows) == sorted(expected)


@pytest.mark.parametrize("command", ONLY_READ)
def test_make_can_read_what_is_not_run(command: str) -> None:
    words = shlex.split(command)
    done = subprocess.run(["make", "-n", *words[1:]], cwd=ROOT, capture_output=True)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def finished(tiny: Workspace) -> Workspace:
    link_environment(tiny.root)
    (tiny.root.parent / "remote").mkdir()
    return tiny


@pytest.mark.slow
@pytest.mark.parametrize("command", RUN)
def test_documented_command(finished: Workspace, command: str) -> None:
    """In a finished workspace each does its work and exits with 0 ("!": with 1)."""
    text = RUN[command] or command
    out = finished.run("bash", "-c", text.removeprefix("! "), check=False)
    assert finished.code == 0 if text[0] != "!" else finished.code, out[-3000:]
