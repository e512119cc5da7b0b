"""Workflows that never heard of runledger, adopted by `runledger init`, run for real.

The three examples have the structure of published workflows: a chain of alignment with
a sample sheet, a sweep with an aggregate, a workflow of modules. Each is run with
Snakemake and DVC, cloned with git, and shares bytes through a folder.
"""

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
from toy import Toy

from runledger.audit import check_crate
from runledger.audit.crate_files import DESCRIPTOR
from runledger.watching import WATCH

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
MADE = {".dvc/.gitignore", ".dvc/config", ".runledger/.gitignore", "dvc.yaml"}
BELOW = {"report", "collect", "best", "shared"}  # stale for what they read alone
NOTHING = "Nothing to be done"


@dataclass(frozen=True)
class Edit:
    """A change of the config, what `why` says, what it makes stale, a changed file."""

    file: str
    old: str
    new: str
    why: str
    stale: frozenset[str]
    changed: str


EDITS = {
    "align": Edit(
        "config/config.yaml",
        "min_depth: 3",
        "min_depth: 5",
        "config min_depth: 3 -> 5",
        frozenset({"call", "report"}),
        "results/calls/all.tsv",
    ),
    "sweep": Edit(
        "config.yaml",
        '"0.4": 20',
        '"0.4": 3',
        "steps: 20 -> 3",
        frozenset({f"fit-{size}-0_4-{seed}" for size in (20, 40) for seed in (1, 2)})
        | {"collect", "best"},
        "summary/scores.csv",
    ),
    "nested": Edit(
        "config.yaml",
        "least: 1",
        "least: 2",
        "least: 1 -> 2",
        frozenset({"compare_count-river", "compare_count-road", "shared"}),
        "report/shared.txt",
    ),
}


class Workflow(Toy):
    """A checkout of an example."""

    def outputs(self) -> dict[str, bytes]:
        """Return {path: bytes} of all files that git ignores and no tool keeps."""
        own = (".snakemake", ".runledger", ".dvc", "logs", "benchmarks")
        listed = self.git("ls-files", "-oi", "--exclude-standard").splitlines()
        made = [path for path in listed if not path.startswith(own)]
        left = ("__pycache__", ".snakemake_timestamp")
        paths = [p for p in made if not any(word in p for word in left)]
        return {path: (self.root / path).read_bytes() for path in paths}

    def valid(self) -> bool:
        return not self.stale()

    def records(self) -> set[str]:
        folder = self.root / ".runledger" / "records"
        return {path.name for path in folder.rglob("*.json")}

    def outdated(self) -> set[str]:
        """Names of the stages that `dvc status` lists."""
        return set(json.loads(self.dvc("status", "--json")))


def plain(root: Path, name: str) -> Workflow:
    """Copy an example, as its author had it, and commit it."""
    shutil.copytree(EXAMPLES / name, root)
    flow = Workflow(root)
    flow.git("init", "-q", "-b", "main")
    for key in ("user.email", "user.name"):
        flow.git("config", key, "test@example.com")
    flow.commit("the workflow")
    return flow


def adopted(root: Path, name: str) -> Workflow:
    flow = plain(root, name)
    flow.ledger("init")
    flow.commit("runledger init")
    return flow


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(name, marks=pytest.mark.thorough) for name in ("align", "sweep")
    ]
    + ["nested"],
)
def finished(request, tmp_path_factory):
    """An adopted example that has run, and was pushed to a folder."""
    top = tmp_path_factory.mktemp(request.param)
    flow = adopted(top / "work", request.param)
    (top / "remote").mkdir()
    flow.dvc("remote", "add", "-q", "-d", "store", str(top / "remote"))
    flow.snakemake()
    flow.commit()
    flow.ledger("push", "--new")
    return flow, EDITS[request.param]


def clone_of(flow: Workflow, name: str) -> Workflow:
    other = Workflow(flow.clone(name).root)
    other.ledger("pull")
    return other


@pytest.mark.slow
def test_little_is_changed_and_the_bytes_are_those_of_plain_snakemake(
    finished, tmp_path
):
    flow, _ = finished
    lines = 0
    for path in flow.git("diff", "--name-only", "HEAD~2", "HEAD~1").split():
        if path not in MADE:
            shown = flow.git("diff", "-U0", "HEAD~2", "HEAD~1", "--", path).splitlines()
            shown = [line for line in shown if line[:3] not in ("+++", "---")]
            body = [line[1:].strip() for line in shown if line[0] in "+-"]
            lines += sum(bool(one) and one[:1] != "#" for one in body)
    assert 4 < lines <= 15
    name = Path(flow.root).parent.name.rstrip("0123456789")
    alone = plain(tmp_path / "plain", name)
    alone.snakemake("all")
    made = {path: data for path, data in flow.outputs().items()}
    with open(alone.root / ".gitignore", "a") as file:
        file.write((flow.root / ".gitignore").read_text())
    assert made == alone.outputs()
    assert made


@pytest.mark.slow
def test_an_adopted_run_is_a_crate_has_costs_and_a_picture(finished, tmp_path):
    flow, _ = finished
    crate = tmp_path / "crate"
    assert "sha256 each" in flow.ledger("crate", str(crate))
    assert check_crate(crate) == []
    graph = json.loads((crate / DESCRIPTOR).read_text())["@graph"]
    found = {entity["@id"]: entity for entity in graph}
    actions = {e["@id"] for e in graph if e["@type"] == "CreateAction"}
    rows = json.loads(flow.ledger("status", "--json"))
    names = {row["instance"] for row in rows} - {WATCH}
    assert actions == {f"#action/{name}" for name in names} | {"#run"}
    read = {part["@id"] for e in graph for part in e.get("object", ())}
    last = {one["@id"] for one in found["#run"]["result"]}
    assert last and not last & {i for i in read if not i.startswith("#")}
    assert f" {len(names)} " in flow.ledger("costs").splitlines()[-1]
    stages = {name.partition("@")[0].partition("-")[0] for name in names}
    assert flow.ledger("dag").count("<rect") == len(stages)


@pytest.mark.slow
def test_both_tools_agree_after_a_run_after_a_clone_and_after_an_edit(finished):
    flow, edit = finished
    assert flow.valid() and not flow.outdated()
    assert NOTHING in flow.snakemake()
    assert "no objections" in flow.ledger("audit")
    other = clone_of(flow, "other")
    assert other.outputs() == flow.outputs()
    assert NOTHING in other.snakemake() and not other.outdated()
    repro = other.dvc("repro")
    assert "Running stage" not in repro and "up to date" in repro
    before, records = other.outputs(), other.records()
    # an edit: what depends on it is stale, for both, with the reason in words
    other.edit(edit.file, edit.old, edit.new)
    assert other.stale() == edit.stale
    assert edit.why in other.ledger("why")
    assert other.outdated() == {WATCH}  # DVC sees the config, and not what it means
    other.ledger("plan")
    # and of what rests on them it learns when they are made
    assert other.outdated() - {WATCH} == edit.stale - BELOW
    other.snakemake()
    assert other.valid() and not other.outdated()
    assert other.read(edit.changed).encode() != before[edit.changed]
    # undone: the earlier bytes come back, and nothing runs
    other.edit(edit.file, edit.new, edit.old)
    told = other.snakemake()
    assert other.outputs() == before
    assert other.records() > records and "rule fetch" not in told
    assert other.valid() and not other.outdated()


@pytest.mark.slow
@pytest.mark.thorough
@pytest.mark.parametrize("finished", ["nested"], indirect=True)
def test_dvc_makes_what_is_stale_a_process_each(finished):
    flow, edit = finished
    other = clone_of(flow, "repro")
    before = other.outputs()
    other.edit(edit.file, edit.old, edit.new)
    other.ledger("plan")
    assert other.dvc("repro").count("Running stage") >= len(edit.stale)
    assert other.valid() and not other.outdated()
    assert other.read(edit.changed).encode() != before[edit.changed]


@pytest.mark.slow
def test_code_counts_by_meaning_and_by_what_is_imported(tmp_path):
    flow = adopted(tmp_path / "align", "align")
    flow.snakemake()
    scripts = "workflow/scripts/"
    flow.edit(scripts + "call.py", "least = ", "least  =  ")
    flow.edit(scripts + "plot.py", "bars = [0] * 40", "bars = [0] * 40  # tens")
    assert flow.valid()
    flow.edit(scripts + "reference.py", "not line", "line and not line")
    stale = {"call", "index", "report"} | {f"map-{sample}" for sample in "ABC"}
    assert flow.stale() == stale | {"plot"}
    assert "code: workflow/scripts/reference.py" in flow.ledger("why", "index")
    flow.git("checkout", "-q", scripts + "reference.py")
    assert flow.valid()
    flow.edit(scripts + "trim.sh", "keep++", "keep += 1")
    assert flow.stale() >= {f"trim-{sample}" for sample in "ABC"}
    flow.git("checkout", "-q", scripts + "trim.sh")
    flow.edit("workflow/rules/calling.smk", "{number} reads", "{number} of the reads")
    assert flow.stale() == {"report"}
    assert "title of the Snakefile" in flow.ledger("why", "report")
    # threads and logs are no part of what a rule makes
    flow.git("checkout", "-q", "workflow/rules")
    flow.edit("workflow/rules/mapping.smk", "threads: 2", "threads: 1")
    flow.edit(
        "workflow/rules/mapping.smk", "logs/map/{sample}.log", "logs/{sample}.log"
    )
    assert flow.valid()
    flow.edit("config/samples.tsv", "A.fastq", "B.fastq")
    assert "input data/reads/A.fastq is gone" in flow.ledger("why", "trim-A")


FAILING = """\
configfile: "config.yaml"


rule all:
    input:
        "late.txt",


rule early:
    output:
        "early.txt",
    shell:
        "{early}"


rule late:
    input:
        "early.txt",
    output:
        "late.txt",
    params:
        x=config["x"],
    run:
        open(output[0], "w").write(str(params.x))
"""


@pytest.mark.slow
def test_a_rule_that_fails_forgets_an_output_or_is_changed_leaves_no_record(tmp_path):
    root = tmp_path / "flow"
    root.mkdir()
    flow = Workflow(root)
    (root / "config.yaml").write_text("x: 1\n")
    (root / "Snakefile").write_text(FAILING.replace("{early}", "echo 1 > early.txt"))
    flow.git("init", "-q", "-b", "main")
    for key in ("user.email", "user.name"):
        flow.git("config", key, "test@example.com")
    flow.commit("the workflow")
    flow.ledger("init")
    flow.edit("Snakefile", "echo 1 > early.txt", "echo 1 > early.txt; exit 3")
    flow.snakemake(check=False)
    assert flow.code != 0 and not flow.records()
    flow.edit("Snakefile", "echo 1 > early.txt; exit 3", "true")
    assert "did not write early.txt" in flow.snakemake(check=False)
    assert flow.code != 0 and not flow.records()
    # the config changes while a job waits: it is not made from what nobody planned
    flow.edit(
        "Snakefile", '"true"', "\"echo 1 > early.txt; echo 'x: 2' > config.y??l\""
    )
    told = flow.snakemake(check=False)
    assert flow.code != 0 and "params: x: 1 -> 2" in told
    assert flow.stale() == {"late"} and len(flow.records()) == 1
    flow.snakemake()
    assert flow.read("late.txt") == "2" and flow.valid()
    # config values that only one run knows are refused, before anything runs
    told = flow.snakemake("--config", "other=3", check=False)
    assert flow.code != 0 and "config values on the command line" in told
    assert flow.read("late.txt") == "2"


@pytest.mark.slow
def test_init_refuses_what_it_would_spoil_and_leaves_nothing_behind(tmp_path):
    flow = plain(tmp_path / "sweep", "sweep")
    (flow.root / "dvc.yaml").write_text("stages: {}\n")
    assert "was not made from rules" in flow.ledger("init", check=False)
    os.remove(flow.root / "dvc.yaml")
    (flow.root / "summary").mkdir()
    (flow.root / "summary/best.txt").write_text("by hand\n")
    flow.commit("a result in git")
    assert "best.txt, an output of best, is in git" in flow.ledger("init", check=False)
    assert flow.code == 1
    assert flow.git("status", "--porcelain") == ""
    flow.git("rm", "-q", "-r", "--cached", "summary")
    flow.ledger("init")
    assert flow.ledger("init").count("\n") == 2  # once is enough
    flow.snakemake()
    assert flow.read("summary/best.txt") != "by hand\n"


@pytest.mark.slow
def test_a_target_that_cannot_be_recorded_says_why_when_it_is_asked_for(
    tmp_path: Path,
) -> None:
    """The default target does not suffer for it."""
    flow = Workflow(tmp_path / "flow")
    (flow.root / "workflow").mkdir(parents=True)
    (flow.root / "in.txt").write_text("in\n")
    (flow.root / "workflow" / "Snakefile").write_text(
        "rule all:\n    input: 'out.txt'\n"
        "rule other:\n    input: 'k.b'\n"
        "rule a:\n    input: 'in.txt'\n    output: 'out.txt'\n"
        "    shell: 'cp {input} {output}'\n"
        "rule b:\n    input: lambda w: ancient('in.txt')\n    output: '{x}.b'\n"
        "    shell: 'cp {input} {output}'\n"
    )
    flow.git("init", "-q", "-b", "main")
    for key in ("user.email", "user.name"):
        flow.git("config", key, "test@example.com")
    flow.commit("the workflow")
    flow.ledger("init")
    assert "in.txt is ancient()" in flow.snakemake("other", check=False)
    assert flow.code != 0 and not (flow.root / "k.b").exists()
    flow.snakemake()
    assert flow.valid()


@pytest.mark.slow
def test_a_question_and_a_typo_write_nothing_and_a_run_does(tmp_path):
    flow = adopted(tmp_path / "work", "sweep")
    flow.edit("config.yaml", "[20, 40]", "[20, 30]")
    before = {p: p.read_bytes() for p in flow.root.rglob("*") if p.is_file()}
    flow.ledger("status")
    flow.ledger("why")
    flow.ledger("plan", "--check", check=False)
    assert flow.code == 1
    flow.snakemake("-n")
    flow.snakemake("no/such/target", check=False)
    assert flow.code != 0
    flow.ledger("plam", check=False)
    for path in flow.root.rglob("*"):
        own = path.relative_to(flow.root).parts
        if path.is_file() and not {".snakemake", ".state", "recipes"} & {*own}:
            assert before.get(path) == path.read_bytes(), path
    flow.snakemake("points/30.csv")
    assert "draw-30" in flow.read("dvc.yaml"), "a run renews what DVC reads"
