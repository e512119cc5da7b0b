"""Stages as rules declare them: read, expanded, and written for DVC."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from runledger.errors import UserError
from runledger.pipeline import Instance, Pipeline
from runledger.project import load_pipeline, read_dvc
from runledger.projection import drifted, dvc_yaml_of, renew
from runledger.resources import Asks, JobResources, Work

HEAD = """\
from runledger import JobResources
from runledger import curves, in_git, metric, open_ledger
L = open_ledger(workflow, config)
R = JobResources(L, config)
P = L.params
wildcard_constraints: data="[a-z]+", seed="[0-9]+"
rule all:
    input: L.targets("all", workflow, "report", last=True)
rule fingerprint_code:
    input: unpack(L.needs("fingerprint_code"))
    output: in_git("results/code/{stage}.json")
"""
TRAIN = """\
ID = "{data}-s{seed}"
def kind(wildcards):
    return {"kind": P["kinds"][wildcards.data]}
rule train:
    input: unpack(L.needs("train", fields=kind, data="raw/{kind}/{data}.txt"))
    output:
        model=f"results/train/{ID}/model",
        log=in_git(f"results/train/{ID}/log"),
        curve=curves(f"results/train/{ID}/c.csv", x="step", y=("a", "b"), by=("seed",))
    wildcard_constraints: seed=r"\\d+"
    resources: **R.of("train", gpu=True, bundle="pack", by=("data",))
    params: counted=["train", "kinds.{data}"], uncounted=["place"]
    shell: "x"
"""
SCORE = """\
rule score:
    input: unpack(L.needs("score", each="train", model=f"results/train/{ID}/model"))
    output: metric("results/score/{data}-s{seed}/score.json")
    shell: "x"
"""
REPORT = """\
def models(wildcards):
    return [f"results/train/{d}-s{s}/model" for d in P["kinds"] for s in P["seeds"]]
rule report:
    input: unpack(L.needs("report", models=models, text="text.md"))
    output: "results/report.pdf"
    params: counted=["seeds"]
    shell: "x"
"""
PARAMS = "kinds: {a: x, b: y}\nseeds: [1, 2]\ntrain: {lr: 0.1}\nplace: /data\n"


def project(root: Path, *rules: str, params: str = PARAMS) -> Path:
    """Write a small project whose rules are in two files."""
    root.mkdir(exist_ok=True)
    settings = '[tool.runledger]\nsnakefile = "workflow/Snakefile"\n'
    (root / "pyproject.toml").write_text(settings)
    (root / "params.yaml").write_text(params)
    (root / "workflow/rules").mkdir(parents=True, exist_ok=True)
    (root / "workflow/rules/more.smk").write_text("".join(rules))
    include = 'include: "rules/more.smk"\n'
    (root / "workflow/Snakefile").write_text(HEAD + include)
    return root


@pytest.fixture
def pipeline(tmp_path: Path) -> Pipeline:
    return load_pipeline(project(tmp_path / "p", TRAIN, SCORE, REPORT))


def test_an_instance_is_what_its_rule_says(pipeline: Pipeline) -> None:
    train = pipeline["train@a-s2"]
    assert train == Instance(
        name="train@a-s2",
        stage="train",
        id="a-s2",
        cmd="python stages/train.py a-s2",
        deps=("results/code/train.json", "raw/x/a.txt"),
        params=("train", "kinds.a"),
        outs=train.outs,
        item={"data": "a", "seed": 2, "kind": "x"},
        uncounted=("place",),
    )
    outs = [(out.path, out.cached) for out in train.outs]
    folder = "results/train/a-s2"
    assert outs == [
        (f"{folder}/model", True),
        (f"{folder}/log", False),
        (f"{folder}/c.csv", True),
    ]
    asks = pipeline.stages["train"].asks
    assert (asks.gpu, asks.bundle, asks.by) == (True, "pack", ("data",))


def test_what_a_rule_asks_for_goes_before_what_all_ask_for() -> None:
    reading = SimpleNamespace(stages={})
    resources = JobResources(reading, {}, bundle="bundle", gpu=True)
    assert resources.of("x")["asks"] == Asks(gpu=True, bundle="bundle")
    assert resources.of("x", bundle="")["asks"] == Asks(gpu=True)


def test_what_is_read_is_made_and_no_more(pipeline: Pipeline, tmp_path) -> None:
    names = {f"{d}-s{s}" for d in "ab" for s in (1, 2)}
    found = {each.id for each in pipeline.instances.values() if each.stage == "train"}
    assert found == names
    assert "report" in pipeline.instances, "without wildcards there is one"
    alone = load_pipeline(project(tmp_path / "alone", TRAIN, SCORE))
    assert alone.instances == {}, "nothing reads it"


def test_a_stage_for_each_instance_of_another(pipeline: Pipeline) -> None:
    scored = {each.id for each in pipeline.instances.values() if each.stage == "score"}
    assert scored == {"a-s1", "a-s2", "b-s1", "b-s2"}
    # nothing reads scores, so the whole has them; the models are read
    assert pipeline.targets["all"] == (("report", "score"), None)


def test_dvc_reads_the_same_instances(pipeline: Pipeline, tmp_path) -> None:
    """By our reader of dvc.yaml, which has another grammar; DVC's is in workflow/."""
    (tmp_path / "p/dvc.yaml").write_text(dvc_yaml_of(pipeline))
    read = read_dvc(tmp_path / "p", pipeline.params)
    assert read.instances.keys() == pipeline.instances.keys()
    for name, mine in pipeline.instances.items():
        theirs = read[name]
        fields = ("stage", "id", "cmd", "deps", "params", "uncounted")
        assert [getattr(theirs, f) for f in fields] == [
            getattr(mine, f) for f in fields
        ]
        assert set(theirs.outs) == set(mine.outs)
    assert "metrics:\n        - results/score/${key}/score.json" in dvc_yaml_of(
        pipeline
    )


def test_curves_share_a_plot_by_what_they_have_in_common(pipeline: Pipeline) -> None:
    plots = yaml.safe_load(dvc_yaml_of(pipeline))["plots"]
    assert [next(iter(plot)) for plot in plots] == [
        f"{column} of train: seed {seed}" for column in "ab" for seed in (1, 2)
    ]
    assert plots[1]["a of train: seed 2"] == {
        "x": "step",
        "y": {f"results/train/{d}-s2/c.csv": "a" for d in "ab"},
    }


def test_renewing_says_what_became_of_the_instances(tmp_path) -> None:
    root = project(tmp_path / "p", TRAIN, SCORE, REPORT)
    assert "12 instances new, 0 gone, 12 in all" in renew(root, load_pipeline(root))
    assert renew(root, load_pipeline(root)) == ""
    other = PARAMS.replace("[1, 2]", "[2, 3, 4]")
    root = project(tmp_path / "p", TRAIN, SCORE, REPORT, params=other)
    pipeline = load_pipeline(root)
    assert drifted(root, pipeline) is not None
    line = "dvc.yaml renewed: 8 instances new, 4 gone, 16 in all"
    assert renew(root, pipeline) == line


def test_a_pack_is_counted_together_or_one_after_the_other() -> None:
    from runledger.resources import Asks

    one = Work(flop=2.0, memory_mb=3.0, disk_mb=1.0)
    assert Asks(lambda _: one).of_bundle([{}, {}]) == Work(4.0, 3.0, 2.0)
    together = Asks(lambda _: one, together=lambda items: Work(float(len(items))))
    assert together.of_bundle([{}, {}, {}]) == Work(3.0)


AGAIN = TRAIN.replace("rule train", "rule again").replace('("train', '("again')
MISTAKES = {
    "a wildcard that is none": (
        TRAIN.replace("{kind}/", "{kid}/"),
        "rule train names 'kid', which is no wildcard",
    ),
    "a key that params.yaml lacks": (
        TRAIN.replace('"raw/{kind}', '"${nowhere}/{kind}'),
        "rule train names 'nowhere",
    ),
    "a file that two rules make": (
        TRAIN + AGAIN,
        "two rules make results/train/a-s1/model",
    ),
    "a name that is not defined": (
        TRAIN.replace("counted=[", "counted=[TRANING, "),
        "name 'TRANING' is not defined",
    ),
    "no Python": (TRAIN + "rule x:\n    input: ]\n", "cannot be read: "),
    "one key that counts and does not": (
        TRAIN.replace('["place"]', '["train.lr"]'),
        "train.lr is listed as uncounted, but train counts it",
    ),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_a_mistake_in_a_rule_is_named(tmp_path: Path, case: str) -> None:
    rules, says = MISTAKES[case]
    with pytest.raises(UserError) as caught:
        load_pipeline(project(tmp_path / "p", rules, REPORT))
    assert says in str(caught.value)
    assert caught.value.where and caught.value.remedy
