"""Params files that hold what differs from another, and the complete one they make."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from dash_repro.cli import main
from dash_repro.params import ParamsError, load_params, workspace_params
from dash_repro.params.overlay import Layers
from dash_repro.params.text import complete
from runledger.errors import UserError

ROOT = Path(__file__).resolve().parents[2]
PAPER = load_params(ROOT / "params.yaml")
SHIPPED = [
    *sorted(f"config/{path.name}" for path in (ROOT / "config").glob("*.params.yaml")),
    "tests/workflow/tiny.params.yaml",
]


@pytest.fixture
def overlay(tmp_path: Path):
    """A function that writes an overlay of the committed params.yaml."""
    shutil.copy(ROOT / "params.yaml", tmp_path)

    def write(text: str, name: str = "mine.yaml", base: str = "params.yaml") -> Path:
        path = tmp_path / name
        path.write_text(f"base: {base}\n{text}")
        return path

    return write


def without(params: dict, *left_out: str) -> dict:
    """A copy of some blocks of params less some names."""
    return {name: one for name, one in params.items() if name not in left_out}


def test_blocks_merge_key_by_key_and_lists_replace(overlay) -> None:
    path = overlay(
        "scale: demo\ntrain_teacher: {iterations: 5, betas: [0.5, 0.9]}\n"
        "experiments: {table3: {seeds: [1]}}\n"
    )
    found = load_params(path)
    expected = {**PAPER["train_teacher"], "iterations": 5, "betas": [0.5, 0.9]}
    assert found["train_teacher"] == expected
    assert found["experiments"]["table3"] == {
        **PAPER["experiments"]["table3"],
        "seeds": [1],
    }
    changed = ("scale", "train_teacher", "experiments")
    assert without(found, *changed) == without(PAPER, *changed)


def test_null_leaves_a_block_out_and_is_a_value_of_a_key(overlay) -> None:
    path = overlay(
        "students: {fitnets: null}\nprepare_data: {cifar10: {max_train: null}}\n"
        "experiments: {table3: {students: [scratch, dash]}}\n"
    )
    found = load_params(path)
    assert found["students"] == without(PAPER["students"], "fitnets")
    assert found["prepare_data"] == PAPER["prepare_data"]
    path = overlay("scale: null\n")
    with pytest.raises(ParamsError, match="line 2: scale: None should be 'paper'"):
        load_params(path)


def test_to_leave_out_what_is_not_there_is_no_mistake(overlay) -> None:
    """So an overlay can be laid over what another one made: the demo over the demo."""
    shutil.copy(ROOT / "config" / "demo.params.yaml", overlay("").parent / "demo.yaml")
    path = overlay("").parent / "demo.yaml"
    path.write_text(path.read_text().replace("base: ../params", "base: params"))
    once = load_params(path)
    (path.parent / "params.yaml").write_text(written(path))
    assert load_params(path) == once
    path = overlay("experiments: {table3: null}\n")
    with pytest.raises(ParamsError, match=r"experiments.table3: missing; it is requ"):
        load_params(path)


def test_what_inherits_in_the_base_inherits_the_overlays_value(overlay) -> None:
    found = load_params(overlay("student_defaults: {lambda_an: 0.7, lambda_lr: 3.0}\n"))
    own = {"dash", "scratch", "cond_only", "composite", "gap_match", "no_an"}
    own |= {"multi_w_composite", "magnitude_pruning", "single_head_no_cfg"}
    own |= {name for name in PAPER["students"] if name.startswith("dash_an")}
    for name, student in found["students"].items():
        inherits = PAPER["students"][name]["lambda_an"] if name in own else 0.7
        assert (student["lambda_an"], student["lambda_lr"]) == (inherits, 3.0), name


def test_one_student_changed_is_one_student_changed(overlay) -> None:
    found = load_params(overlay("students: {dash: {lambda_an: 0.7}}\n"))
    assert without(found["students"], "dash") == without(PAPER["students"], "dash")
    assert found["students"]["dash"] == {**PAPER["students"]["dash"], "lambda_an": 0.7}
    assert found["student_defaults"] == PAPER["student_defaults"]


def test_a_new_block_takes_what_it_does_not_say(overlay) -> None:
    path = overlay(
        "student_defaults: {lambda_lr: 3.0}\nstudents: {mine: {lambda_un: 0.5}}\n"
        "scale: demo\nprepare_data: {photos: {source: folder, path: data/photos}}\n"
    )
    found = load_params(path)
    expected = {**PAPER["student_defaults"], "lambda_lr": 3.0, "lambda_un": 0.5}
    assert found["students"]["mine"] == expected
    photos = {"source": "folder", "name": "", "path": "data/photos", "image_size": 32}
    photos |= {"channels": 3, "max_train": None, "max_test": None}
    assert found["prepare_data"]["photos"] == photos
    path = overlay("scale: demo\nprepare_data: {photos: {path: data/photos}}\n")
    with pytest.raises(ParamsError, match=r"photos.source: missing; it is required\n"):
        load_params(path)


def test_a_base_may_have_a_base(overlay) -> None:
    overlay("scale: demo\nstudent_defaults: {lambda_lr: 2.0}\ntag: {w_max: 3.0}\n")
    found = load_params(overlay("tag: {beta: 1.0}\n", "more.yaml", "mine.yaml"))
    assert found["tag"] == {"w_min": 1.0, "w_max": 3.0, "beta": 1.0}
    assert found["students"]["no_im"]["lambda_lr"] == 2.0


def refusal(path: Path) -> list[str]:
    with pytest.raises(ParamsError) as caught:
        load_params(path)
    assert caught.value.where == str(path)
    return caught.value.what.splitlines()


def test_findings_name_the_file_and_the_line(overlay, tmp_path: Path) -> None:
    path = overlay("train_teacher:\n  iterations: ten\n  widht: 5\n")
    base = tmp_path / "params.yaml"
    text = base.read_text()
    assert "  pool: 300 " in text
    base.write_text(text.replace("  pool: 300 ", "  pool: 0 "))
    line = text[: text.index("  pool: 300 ")].count("\n") + 1
    assert refusal(path) == [
        f"{path}, line 3: train_teacher.iterations: 'ten' should be a valid integer",
        f"{path}, line 4: train_teacher.widht: unknown key 'widht' "
        "(did you mean 'width'?)",
        f"{base}, line {line}: rank_pairs.pool: 0 should be greater than or equal to 1",
    ]
    path = overlay("student_defaults: {teacher: tirrt}\n")
    base.write_text(text)
    assert refusal(path) == [
        f"{path}, line 2: students.dash.teacher: 'tirrt' is not a block of teachers "
        "(did you mean 'tirt'?), and 17 that inherit it from student_defaults"
    ]


@pytest.mark.parametrize(
    ("base", "says"),
    [
        ("parms.yaml", "the base 'parms.yaml' is not a file"),
        ("mine.yaml", "mine.yaml is its own base"),
        ("5", "the base 5 is not a file"),
        ("[params.yaml]", "is not a file"),
        (".", "the base '.' is not a file"),
    ],
)
def test_a_wrong_base_is_named_with_its_line(overlay, base: str, says: str) -> None:
    path = overlay("scale: demo\n", base=base)
    with pytest.raises(UserError) as caught:
        load_params(path)
    assert says in caught.value.what and caught.value.where == f"{path}, line 1"


def test_a_workspace_has_no_base_for_dvc_does_not_know_it(overlay) -> None:
    path = overlay("scale: demo\n", "params.yaml", str(ROOT / "params.yaml"))
    with pytest.raises(ParamsError, match="names a base, but DVC reads"):
        workspace_params(path.parent)


# the complete file that an overlay makes


def written(path: Path) -> str:
    return complete(Layers.read(path), load_params(path))


@pytest.mark.parametrize("name", SHIPPED)
def test_the_complete_file_says_the_same_by_itself(name: str, tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(written(ROOT / name))
    assert "base" not in yaml.safe_load(path.read_text())
    assert load_params(path) == workspace_params(tmp_path) == load_params(ROOT / name)


def leaves(value: object, path: tuple = ()) -> Iterator[tuple[tuple, object]]:
    if isinstance(value, Mapping):
        for name, one in value.items():
            yield from leaves(one, (*path, name))
    else:
        yield path, value


@pytest.mark.parametrize("name", SHIPPED)
def test_an_overlay_repeats_nothing(name: str) -> None:
    content = yaml.safe_load((ROOT / name).read_text())
    said = {path: value for path, value in leaves(content) if path != ("base",)}
    paper = dict(leaves(PAPER))
    assert 20 < len(said) < 100
    assert [path for path, value in said.items() if paper.get(path, "") == value] == []


def test_comments_follow_the_value(overlay) -> None:
    path = overlay(
        "scale: demo\ntrain_teacher:  # short\n  iterations: 5  # a try\n  width: 64\n"
        "students: {mine: {lambda_un: 0.5}}  # of mine\n"
    )
    lines = [" ".join(line.split()) for line in written(path).splitlines()]
    assert "train_teacher: # short" in lines
    assert "iterations: 5 # a try" in lines
    assert "width: 64 # base channels; paper: 128" in lines
    assert "blocks: 2 # residual blocks a level; Table A1" in lines
    assert "students: # of mine" in lines
    assert "mine: {<<: *student_defaults, lambda_un: 0.5}" in lines
    (fitnets,) = (line for line in lines if line.startswith("fitnets: {"))
    assert fitnets.endswith("# choice: keeps 0.1 L_an"), "a block's comment stays"


def test_the_committed_file_has_the_comments_of_the_definition() -> None:
    """`dash-repro params --complete params.yaml -o params.yaml` writes them."""
    path = ROOT / "params.yaml"
    assert written(path).split() == path.read_text(encoding="utf-8").split()


def test_what_a_file_lacks_takes_its_default_on_request(tmp_path: Path) -> None:
    committed = (ROOT / "params.yaml").read_text(encoding="utf-8")
    path = tmp_path / "params.yaml"
    without = committed[: committed.index("\nrank_pairs:")]
    path.write_text(without.replace("  ddof: 1", "  #"))
    with pytest.raises(ParamsError, match=r"rank_pairs: missing"):
        load_params(path)
    done = CliRunner().invoke(main, ["params", "--complete", str(path)])
    assert (done.exit_code, done.output.split()) == (0, committed.split())
    path.write_text(without.replace("    seeds: [42, 123, 456]\n", "", 1))
    with pytest.raises(ParamsError, match=r"seeds: missing") as told:
        load_params(path, fill=True)
    assert "rank_pairs" not in told.value.what, "only what has no default"
