"""Each key of params.yaml is declared once: what follows from it, and who says it."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import jsonschema
import pytest
import yaml
from click.testing import CliRunner

from dash_repro.cli import main
from dash_repro.params import load_params
from dash_repro.params.lookup import allowed, at, find, is_key, keys, schema
from dash_repro.params.text import page

ROOT = Path(__file__).resolve().parents[2]
PARAMS = load_params(ROOT / "params.yaml")
KEYS = {dotted: node for dotted, node in keys() if is_key(node)}


def run(*arguments: object):
    return CliRunner().invoke(main, ["params", *map(str, arguments)])


def test_the_committed_values_are_the_defaults() -> None:
    """Of keys that stand once; named blocks differ from each other."""
    fixed = {key: node for key, node in KEYS.items() if "<name>" not in key}
    differ = {
        key: at(PARAMS, key.split("."))
        for key, node in fixed.items()
        if "default" in node and node["default"] != at(PARAMS, key.split("."))
    }
    assert differ == {} and len(fixed) > 100
    planned = {key for key, node in fixed.items() if "default" not in node}
    assert {key.partition(".")[0] for key in planned} == {
        "scale",
        "experiments",
        "plot_figure",
    }


def test_every_key_says_where_its_default_is_from() -> None:
    silent = [key for key, node in KEYS.items() if "source" not in node]
    assert silent == [
        *("scale", "prepare_data.<name>.source", "prepare_data.<name>.name"),
        *("prepare_data.<name>.path", "extractor.weights_path"),
        "extractor.weights_sha256",
    ]


def test_the_json_schema_takes_and_refuses_what_the_check_does() -> None:
    """It is for editors; `jsonschema` is not what checks."""
    check = jsonschema.Draft202012Validator(schema())
    assert list(check.iter_errors(PARAMS)) == []
    for dotted, value in (
        ("tag.w_max", "4"),
        ("train_teacher.dropout", 0.1),
        ("diffusion.beta_min", 0.0),
        ("students.dash.objective", "gaps"),
        ("experiments.table3.seeds", []),
        ("prepare_data.cifar10.max_train", 0),
    ):
        params = copy.deepcopy(PARAMS)
        *above, leaf = dotted.split(".")
        at(params, above)[leaf] = value
        assert not check.is_valid(params), dotted


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("train_teacher.width", "whole number ≥ 1"),
        ("prepare_data.<name>.max_train", "whole number ≥ 1 or null"),
        ("diffusion.beta_min", "number > 0, < 1"),
        ("generate_samples.eta", "number ≥ 0, ≤ 1"),
        ("compute_metrics.shuffle_seed", "whole number ≥ 0, ≤ 4294967295"),
        ("train_teacher.optimizer", "adam, adamw"),
        ("diffusion.schedule", "cosine"),
        ("generate_samples.clip_x0", "true or false"),
        ("experiments.table3.students", "list of names"),
        ("experiments.tableC6.widths", "list of whole numbers ≥ 1"),
        ("student_defaults.teacher", "name"),
        ("plot_figure.palette", "block"),
        ("extractor.weights_url", "text"),
    ],
)
def test_what_is_allowed_is_said_in_words(key: str, words: str) -> None:
    assert allowed(KEYS[key]) == words


def test_the_page_has_every_key_with_default_unit_range_and_source() -> None:
    text = page()
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    assert len(rows) == len(KEYS)
    assert (
        "| `iterations` | `391000` | whole number ≥ 1 | training steps | "
        "Table A1: 500 epochs of 782; code: `352000` |" in rows
    )
    assert "| `font_size` | `9.0` points | number > 0 | size of text | choice |" in rows
    assert "\n## students\n" in text


def test_the_page_in_git_is_as_it_would_be_written() -> None:
    written = (ROOT / "docs" / "params.md").read_text(encoding="utf-8")
    assert written == run("--page").output, "run `make plan`"


def test_the_command_prints_one_key_or_all() -> None:
    every = run().output
    assert every.count("\n    ") == len(KEYS)
    width = (
        "train_teacher.width = 128  [whole number ≥ 1]\n    base channels; Table A1\n"
    )
    assert run("train_teacher.width").output == width and width in every
    found = run("students.no_un.lambda_an").output
    assert found.startswith("students.no_un.lambda_an = 0.1  [number ≥ 0]")
    steps = run("steps").output
    assert "experiments.sampling.steps = 50" in steps
    assert "profile_model.steps = 50" in steps and "timesteps" not in steps


def test_the_command_names_what_may_have_been_meant() -> None:
    done = run("learning_rat")
    assert done.exit_code == 1
    assert "no key 'learning_rat' (did you mean 'learning_rate'?)" in done.output


def test_the_command_checks_a_file(tmp_path: Path) -> None:
    demo = ROOT / "config" / "demo.params.yaml"
    assert run("--check", demo).output == f"{demo}: every key is right\n"
    path = tmp_path / "mine.yaml"
    path.write_text(f"base: {ROOT / 'params.yaml'}\n\ntag: {{w_maxx: 2.0}}\n")
    done = run("--check", path)
    assert done.exit_code == 1
    says = "line 3: tag.w_maxx: unknown key 'w_maxx' (did you mean 'w_max'?)"
    assert f"error: {path}, {says}" in done.output


def test_the_command_prints_complete_params_and_the_schema() -> None:
    demo = ROOT / "config" / "demo.params.yaml"
    whole = yaml.safe_load(run("--complete", demo).output)
    assert whole == load_params(demo)
    assert json.loads(run("--schema").output) == schema()


def test_a_file_can_be_written_over_itself(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    text = (ROOT / "params.yaml").read_text().replace("  # T, the", " # the")
    path.write_text("# Mine." + text)
    assert run("--complete", path, "-o", path).output == ""
    assert (
        path.read_text() == "# Mine." + run("--complete", ROOT / "params.yaml").output
    )
    before = path.read_text().replace("w_max: 4.0", "w_max: x")
    path.write_text(before)
    assert run("--complete", path, "-o", path).exit_code == 1
    assert path.read_text() == before


def test_find_knows_keys_of_named_blocks_and_nothing_else() -> None:
    assert find(["teachers", "any_name", "gamma"])["default"] == 5.0
    assert find(["teachers", "Tirt-2", "gamma", "more"]) == {}
    assert find(["tag", "w_mid"]) == {}
