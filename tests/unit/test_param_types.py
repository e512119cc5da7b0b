"""Params have the types of their definition; findings name what was written."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from dash_repro.params import ParamsError, load_params, validate
from runledger.canonical import canonical, joined
from runledger.directives import setting
from runledger.errors import UserError
from runledger.project import read_rules

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "params.yaml").read_text(encoding="utf-8")


def edited(tmp_path: Path, *edits: tuple[str, str]) -> Path:
    """A params.yaml with parts of its text replaced."""
    text = TEXT
    for old, new in edits:
        assert old in text, old
        text = text.replace(old, new, 1)
    path = tmp_path / "params.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def refusal(path: Path) -> list[str]:
    with pytest.raises(UserError) as caught:
        load_params(path)
    return caught.value.what.splitlines()


def line_of(path: Path, part: str) -> int:
    lines = path.read_text(encoding="utf-8").splitlines()
    return next(i for i, line in enumerate(lines, 1) if part in line)


# types


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (
            "seeds: [42, 123",
            "seeds: [42.0, 123",
            "42.0 should be a valid integer; write 42",
        ),
        ("widths: [48", "widths: [48.0", "write 48"),
        ("width: 128 ", "width: 128.0 ", "train_teacher.width: 128.0"),
        (
            "max_train: null",
            "max_train: 100.0",
            "100.0 should be a valid integer; write 100",
        ),
        ("ddof: 1 ", "ddof: 1.0 ", "make_table.ddof: 1.0 should be a valid integer"),
        ("ddof: 1 ", "ddof: true ", "make_table.ddof: True should be a valid integer"),
        ("seeds: [42, 123", "seeds: [true, 123", "True should be a valid integer"),
        (
            "seeds: [42, 123",
            "seeds: ['42', 123",
            "'42' should be a valid integer; write 42",
        ),
        ("clip_x0: true", "clip_x0: 1", "clip_x0: 1 should be a valid boolean"),
        ("dropout: 0.1 ", "dropout: false ", "dropout: False should be a valid number"),
        ("eta: 0.0 ", "eta: '1e-3' ", "'1e-3' should be a valid number; write 0.001"),
        ("name: CIFAR10 ", "name: 10 ", "name: 10 should be a valid string"),
        ("lr_min: 0.0 ", "lr_min: .nan ", "train_teacher.lr_min: .nan is not a finite"),
        ("w_max: 4.0 ", "w_max: .inf ", "tag.w_max: .inf is not a finite number"),
        (
            "seeds: [42, 123",
            "seeds: [4294967338, 123",
            "4294967338 should be less than or equal to 4294967295",
        ),
    ],
)
def test_a_value_of_another_type_is_refused_by_key_and_line(
    tmp_path, old, new, says
) -> None:
    path = edited(tmp_path, (old, new))
    found = refusal(path)
    assert says in found[0]
    assert found[0].startswith(f"line {line_of(path, new)}: ")


def test_numbers_are_floats_however_they_are_written(tmp_path) -> None:
    path = edited(
        tmp_path,
        ("gamma: 5.0", "gamma: 5"),
        ("weight_decay: 0.0", "weight_decay: -0.0"),
    )
    params, paper = load_params(path), load_params(ROOT / "params.yaml")
    assert repr(params) == repr(paper)  # repr tells 5 from 5.0, and -0.0 from 0.0
    assert type(params["teachers"]["tirt"]["gamma"]) is float
    assert type(params["train_teacher"]["width"]) is int


def test_equal_keys_mean_equal_values_for_programs(tmp_path) -> None:
    """Where records see one value (4 is 4.0), jobs read one text."""
    path = edited(tmp_path, ("guidance_scale: 1.5 ", "guidance_scale: 2 "))
    whole = load_params(path)["experiments"]
    path = edited(tmp_path, ("guidance_scale: 1.5 ", "guidance_scale: 2.0 "))
    point = load_params(path)["experiments"]
    assert canonical(whole) == canonical(point)
    assert json.dumps(whole) == json.dumps(point)


def test_infinities_are_refused_with_their_key_by_validate_alone() -> None:
    params = load_params(ROOT / "params.yaml")
    for value in (math.nan, math.inf, 10**400):
        params["train_teacher"]["lr_min"] = value
        with pytest.raises(
            ParamsError, match=r"lr_min: .* should be a (valid|finite) number"
        ):
            validate(params)


@pytest.mark.parametrize("value", [True, 8.0, "8", 0, None])
def test_a_setting_of_the_profile_is_a_whole_number(value) -> None:
    assert setting({"pack": 8}, "pack") == 8
    with pytest.raises(UserError, match="config pack="):
        setting({"pack": value}, "pack")


# ids and file names


@pytest.mark.parametrize("scale", ["-1.0", "0.00001", "1.0e+16"])
@pytest.mark.parametrize(
    "key", ["w_max: 4.0 ", "guidance_scales: [1.5", "guidance_scale: 1.5 "]
)
def test_a_scale_that_no_file_name_can_have_is_refused(tmp_path, key, scale) -> None:
    new = key.replace("4.0", scale).replace("1.5", scale)
    (tmp_path / "case").mkdir()
    found = refusal(
        edited(tmp_path / "case", (key, new), ("w_min: 1.0", "w_min: -2.0"))
    )
    assert f"{float(scale)} cannot be in a file name" in found[0]


def test_every_id_fits_the_rules_of_the_snakefile(tmp_path) -> None:
    import re

    scales = "guidance_scales: [0.0001, 0, 900000000000000, 1.5"
    path = edited(tmp_path, ("guidance_scales: [1.5", scales))
    grammar = re.compile(
        r"[a-z][a-z0-9_]*-[a-z][a-z0-9_]*(-w\d+)?-s\d+-(cfg|tag)[0-9.]+-k\d+-n\d+"
    )
    instances = read_rules(ROOT, load_params(path)).instances.values()
    ids = [each.id for each in instances if each.stage == "generate_samples"]
    assert any("cfg0.0-" in id for id in ids) and any("cfg0.0001-" in id for id in ids)
    assert all(grammar.fullmatch(id) for id in ids)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("  no_un: {", "  teacher_x: {", "begin with 'teacher' are teachers"),
        ("  no_un: {", "  'true': {", "students.true: a word of YAML"),
        ("  no_un: {", "  'off': {", "students.off: a word of YAML"),
        ("  no_un: {", "  No_un: {", "students.No_un: not a name"),
        ("  no_un: {", "  no-un: {", "students.no-un: not a name"),
        ("  no_un: {", f"  {'n' * 65}: {{", "not a name"),
        ("  no_un: {", '  "no_un\\n": {', "characters that cannot be printed"),
        ("path: data/cifar10 ", 'path: "data/\\e[31mred" ', "cannot be printed"),
        ("dash: '#0072B2'", 'dash: "#0072B2\\n"', "plot_figure.palette.dash"),
        ("dash: '#0072B2'", "dash: blue", "plot_figure.palette.dash"),
    ],
)
def test_names_that_mean_something_else_somewhere_are_refused(
    tmp_path, old, new, says
) -> None:
    found = refusal(edited(tmp_path, (old, new), ("no_un, no_im,", "no_im,")))
    assert any(says in line for line in found)
    assert all(line.isprintable() for line in found)


# one line a finding, the written block first


def test_a_misspelt_key_that_others_inherit_is_one_line(tmp_path) -> None:
    path = edited(tmp_path, ("  null_init_std: 1.0 ", "  null_init_sdt: 1.0 "))
    line = line_of(path, "null_init_sdt")
    block = line_of(path, "student_defaults: &")
    assert refusal(path) == [
        f"line {block}: student_defaults.null_init_std: missing; it is required "
        "(1.0 in the paper), and 18 that inherit it",
        f"line {line}: student_defaults.null_init_sdt: unknown key 'null_init_sdt' "
        "(did you mean 'null_init_std'?), and 18 that inherit it",
    ]


def test_a_wrong_value_is_shown_where_it_was_written(tmp_path) -> None:
    path = edited(
        tmp_path,
        ("lambda_an: 0.1 ", "lambda_an: -0.1 "),
        ("gap_match: {", "gap_match: {lambda_ann: 1.0, "),
        ("  teacher: tirt ", "  teacher: tirrt "),
    )
    found = refusal(path)
    # Eight of the fifteen students write a lambda_an of their own.
    own = TEXT.partition("\nstudents:")[2].partition("\ntag:")[0].count("lambda_an: ")
    assert found == [
        f"line {line_of(path, '-0.1 ')}: student_defaults.lambda_an: -0.1 should be "
        f"greater than or equal to 0, and {18 - own} that inherit it",
        f"line {line_of(path, 'lambda_ann')}: students.gap_match.lambda_ann: unknown "
        "key 'lambda_ann' (did you mean 'lambda_an'?)",
    ]


def test_checks_of_what_fits_together_say_who_inherits_too(tmp_path) -> None:
    path = edited(tmp_path, ("  teacher: tirt ", "  teacher: tirrt "))
    assert refusal(path) == [
        f"line {line_of(path, 'tirrt')}: students.dash.teacher: 'tirrt' is not a block "
        "of teachers (did you mean 'tirt'?), and 17 that inherit it from "
        "student_defaults"
    ]
    path = edited(tmp_path, ("  label_dropout: 0.0 ", "  label_dropout: 0.3 "))
    assert refusal(path) == [
        f"line {line_of(path, 'dropout: 0.3')}: students.composite.label_dropout: only "
        "for noise and branches, and 4 that inherit it from student_defaults"
    ]


def test_findings_come_in_the_order_of_the_file(tmp_path) -> None:
    path = edited(
        tmp_path,
        ("shown: 10", "shown: ten"),
        ("image_size: 32", "image_sise: 32"),
        ("pool: 300", "pool: 0"),
    )
    lines = [int(line.split(":")[0].removeprefix("line ")) for line in refusal(path)]
    assert lines == sorted(lines) and len(lines) == 4


def test_a_mapping_of_spelled_values_is_spelled_as_a_whole() -> None:
    """Keys of records are made of parts, each spelled once: the same text."""
    value = {
        "params": {"é": [4.0, None]},
        'b\n"\u007f\U0001f600': "x",
        "": -0.5,
        "Z": True,
    }
    assert joined({key: canonical(one) for key, one in value.items()}) == canonical(
        value
    )
