"""params.yaml: the committed one is the paper; mistakes get one clear error."""

from __future__ import annotations

import copy
import re
from collections import Counter
from pathlib import Path

import pytest

from dash_repro.params import ParamsError, load_params, validate
from runledger.pipeline import Instance, Pipeline
from runledger.project import load_pipeline, read_rules
from runledger.projection import drifted

ROOT = Path(__file__).resolve().parents[2]
PARAMS = load_params(ROOT / "params.yaml")


def changed(dotted: str, value: object) -> dict:
    params = copy.deepcopy(PARAMS)
    node = params
    *parents, leaf = dotted.split(".")
    for part in parents:
        node = node[part]
    node[leaf] = value
    return params


def test_committed_params_are_table_a1() -> None:
    teacher, student = PARAMS["train_teacher"], PARAMS["train_student"]
    assert (teacher["width"], teacher["blocks"]) == (128, 2)
    assert (PARAMS["experiments"]["table3"]["width"], student["blocks"]) == (64, 1)
    assert PARAMS["network"]["channel_mult"] == [1, 2, 2, 2]
    assert PARAMS["network"]["attention_resolution"] == 16
    assert (teacher["learning_rate"], student["learning_rate"]) == (2e-4, 1e-4)
    assert (teacher["iterations"], student["iterations"]) == (391_000, 234_000)
    assert (teacher["batch_size"], student["batch_size"]) == (64, 64)
    assert (teacher["ema_decay"], student["ema_decay"]) == (0.9999, 0.9990)
    assert teacher["label_dropout"] == 0.1
    assert PARAMS["students"]["dash"]["label_dropout"] == 0.0
    assert teacher["betas"] == student["betas"] == [0.9, 0.999]
    assert teacher["grad_clip"] == student["grad_clip"] == 1.0
    assert PARAMS["experiments"]["table3"]["seeds"] == [42, 123, 456]
    dash = PARAMS["students"]["dash"]
    weights = [dash[f"lambda_{term}"] for term in ("im", "un", "an")]
    assert weights == [1.0, 1.0, 0.1]
    assert PARAMS["teachers"]["tirt"]["gamma"] == 5.0
    assert PARAMS["tag"] == {"w_min": 1.0, "w_max": 4.0, "beta": 5.0}


def test_committed_params_are_table_a2() -> None:
    sampling = PARAMS["experiments"]["sampling"]
    assert (sampling["steps"], sampling["guidance_scale"]) == (50, 4.0)
    assert PARAMS["generate_samples"]["num_samples"] == 50_000
    assert PARAMS["generate_samples"]["eta"] == 0.0
    assert PARAMS["measure_calibration"]["pairs"] == 10_000


def test_the_plan_is_the_papers() -> None:
    instances = load_pipeline(ROOT).instances.values()
    count = Counter(instance.stage for instance in instances)
    assert count["train_teacher"] == 2 * 2 * 3
    # 14 students x 2 datasets x 3 seeds, 2 x 2 more widths, 4 anchor weights
    assert count["train_student"] == 14 * 6 + 2 * 2 * 6 + 4
    assert count["compute_metrics"] == count["generate_samples"]
    # 3 more numbers of steps
    assert count["distill_steps"] == 3 * 6
    assert 650 < sum(count.values()) < 850


def test_generated_files_are_current() -> None:
    assert drifted(ROOT, load_pipeline(ROOT)) is None, "run `make plan`"


def test_every_key_is_commented() -> None:
    """Each key's line, or the one above it, says what it is (its first occurrence)."""
    lines = (ROOT / "params.yaml").read_text().splitlines()
    explained, named = set(), set()
    for above, line in zip(["", *lines], lines, strict=False):
        key, found, _ = line.strip().partition(":")
        if found and re.fullmatch(r"[a-z_]+", key):
            named.add(key)
            if "#" in line or above.strip().startswith("#"):
                explained.add(key)
    blocks = {*PARAMS["prepare_data"], *PARAMS["students"], *PARAMS["teachers"]}
    blocks |= {*PARAMS["plot_figure"]["palette"], *PARAMS["experiments"]}
    plain = {"datasets", "seeds", "width", "widths", "students", "student", "objective"}
    assert named - explained - blocks - plain == set()


MISTAKES = [
    ("train_teacher.learning_rat", 1.0, "unknown key 'learning_rat' (did you mean"),
    ("experiments.table3.datasets", ["cifar01"], "'cifar01' is not a block of prepare"),
    ("experiments.tableC5.steps", [50, 30], "30 steps do not divide 1000 timesteps"),
    ("experiments.tableC6.datasets", ["cifar100"], "first dataset of table3"),
    ("experiments.tableC6.widths", [48, 50], "divides the width 50"),
    (
        "students.dash.objective",
        None,
        "students.dash.objective: None should be 'branches'",
    ),
    ("students.dash.lambda_an", -0.1, "students.dash.lambda_an: -0.1"),
    (
        "students.dash.teacher",
        "tirtt",
        "students.dash.teacher: 'tirtt' is not a block of teachers (did",
    ),
    ("students.composite.label_dropout", 0.1, "only for noise and branches"),
    ("train_teacher.learning_rate", "1e-5", "should be a valid number; write 1.0e-05"),
    ("train_teacher.iterations", 0, "train_teacher.iterations: 0"),
    ("train_teacher.iterations", 1000, "scale: 'paper' needs train_teacher.iterations"),
    ("generate_samples.num_samples", 100, "more than generate_samples.num_samples"),
    ("generate_samples.num_samples", 20, "Figure 6 shows 35"),
    (
        "prepare_data.cifar10.source",
        "torchvisoin",
        "'torchvisoin' should be 'torchvision'",
    ),
    ("prepare_data.cifar10.image_size", 28, "cannot be halved 3 times"),
    ("network.attention_resolution", 12, "is none of cifar10's resolutions"),
    ("tag.w_min", 9.0, "tag.w_min: above w_max"),
    ("experiments.table4.students", ["dash", "no_uu"], "did you mean 'no_un'?"),
]


@pytest.mark.parametrize(("dotted", "value", "message"), MISTAKES)
def test_a_mistake_is_named_with_its_key(dotted, value, message) -> None:
    with pytest.raises(ParamsError) as caught:
        validate(changed(dotted, value))
    assert message in str(caught.value)
    assert "nothing was started" in str(caught.value)


def test_a_student_needs_an_objective() -> None:
    params = copy.deepcopy(PARAMS)
    del params["students"]["gap_match"]["objective"]
    with pytest.raises(ParamsError, match=r"gap_match.objective: missing"):
        validate(params)


def test_not_yaml_says_where(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text("a: [1,\nb: 2\n")
    with pytest.raises(Exception, match=r"not valid YAML(.|\n)*line 3"):
        load_params(tmp_path / "params.yaml")


OWN = """\
base: {root}/params.yaml
scale: own
prepare_data: {{cifar10: null, cifar100: null, pets: {{source: folder, path: p}}}}
experiments:
  table2: null
  table3: {{datasets: [pets], students: [scratch, dash], seeds: [1]}}
  table4: null
  tableC5: null
  tableC6: null
  tableC7: null
  anchor: null
  released: null
  stepwise: null
"""


def _of(pipeline: Pipeline, stage: str) -> list[Instance]:
    return [one for one in pipeline.instances.values() if one.stage == stage]


def test_own_data_needs_no_experiment_but_its_table(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text(OWN.format(root=ROOT))
    own = load_params(tmp_path / "own.yaml")
    assert own["experiments"].keys() == {"table3", "sampling"}
    assert own["prepare_data"].keys() == {"pets"}
    made = read_rules(ROOT, own)
    students = {i.item["student"] for i in _of(made, "train_student")}
    teachers = {i.item["teacher"] for i in _of(made, "train_teacher")}
    assert (students, teachers) == ({"scratch", "dash"}, {"tirt"})
    items = {i.item["item"] for i in _of(made, "make_table")}
    assert items == {"table3", "tableB3", "tableS3"}, "nothing of the paper"
    deps = {dep for i in _of(made, "make_table") for dep in i.deps}
    assert not any(dep.startswith("paper/tables") for dep in deps)
    drawn = {i.item["item"] for i in _of(made, "plot_figure")}
    assert {"figure6", "figureD1", "figureD2"} <= drawn


def test_the_paper_needs_every_experiment() -> None:
    params = copy.deepcopy(PARAMS)
    del params["experiments"]["tableC7"]
    with pytest.raises(ParamsError, match=r"tableC7 is not there; write 'scale: own'"):
        validate(params)


def test_demo_has_the_same_keys_and_claims_no_paper() -> None:
    demo = load_params(ROOT / "config" / "demo.params.yaml")
    assert demo["scale"] == "demo"
    assert set(demo) == set(PARAMS)
    assert demo["students"].keys() <= PARAMS["students"].keys()
    for table in ("table3", "table4"):
        rows, paper = (p["experiments"][table] for p in (demo, PARAMS))
        assert rows["students"] == paper["students"], "every row of the paper's"
    assert len(demo["experiments"]["table3"]["seeds"]) == 2
    assert len(demo["prepare_data"]) == 2
