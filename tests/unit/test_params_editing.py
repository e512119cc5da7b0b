"""`dash-repro params --set`: one line of params.yaml changes, or nothing does."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from dash_repro.cli import main
from dash_repro.params import load_params

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "params.yaml").read_text(encoding="utf-8")


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(TEXT, encoding="utf-8")

    def call(*assignments: str):
        options = [word for one in assignments for word in ("--set", one)]
        return CliRunner().invoke(main, ["params", *options])

    return call


def changed() -> list[tuple[str, str]]:
    now = Path("params.yaml").read_text(encoding="utf-8").split("\n")
    pairs = list(zip(TEXT.split("\n"), now, strict=True))
    return [(old, new) for old, new in pairs if old != new]


def test_one_line_changes(run) -> None:
    found = run("students.dash.lambda_an=0.2")
    assert found.output == "students.dash.lambda_an: 0.1 -> 0.2\n"
    ((old, new),) = changed()
    assert old.replace("lambda_an: 0.1", "lambda_an: 0.2") == new
    assert run("students.dash.lambda_an=0.1").exit_code == 0
    assert changed() == []


def test_values_of_every_kind_and_several_at_once(run) -> None:
    found = run(
        "experiments.table3.seeds=[1, 2]",
        "prepare_data.cifar10.path=/data/with space",
        "student_defaults.null_init_std=0.5",
        "measure_calibration.seed=3",
    )
    assert found.exit_code == 0, found.output
    params = load_params("params.yaml")
    assert params["experiments"]["table3"]["seeds"] == [1, 2]
    assert params["prepare_data"]["cifar10"]["path"] == "/data/with space"
    assert params["students"]["no_un"]["null_init_std"] == 0.5, "it inherits"
    assert len(changed()) == 4


def test_a_block_gets_as_its_own_what_it_inherits(run) -> None:
    found = run("students.no_un.normalizer=batch")
    assert found.output == "students.no_un.normalizer: timesteps -> batch\n"
    params = load_params("params.yaml")["students"]
    assert (params["no_un"]["normalizer"], params["no_im"]["normalizer"]) == (
        "batch",
        "timesteps",
    )
    assert len(changed()) == 1


def test_what_is_set_already_changes_nothing(run) -> None:
    assert "says so already" in run("tag.w_max=4").output


@pytest.mark.parametrize(
    ("assignment", "says"),
    [
        ("students.dash.lambda_aan=0.2", "did you mean 'lambda_an'?"),
        ("students.dash.lambda_an=-1", "params.yaml"),
        ("train_teacher.iterations=10", "write 'scale: own'"),
        ("students.dash.lambda_an", "is not KEY=VALUE"),
        ("tag.w_max=[1", "not a valid value in YAML"),
        ("scale.paper=1", "scale"),
    ],
)
def test_what_is_not_valid_is_refused_whole(run, assignment, says) -> None:
    found = run("tag.w_min=2.0", assignment)
    assert found.exit_code == 1 and says in found.output, found.output
    assert ".tmp" not in found.output
    assert changed() == [] and [p.name for p in Path().iterdir()] == ["params.yaml"]
