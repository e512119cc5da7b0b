"""The YAML files of the checkout have one reading; other ones are refused."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from dash_repro.params import load_params
from runledger.cli import main
from runledger.errors import UserError
from runledger.project import load_pipeline
from runledger.yamlfile import read_yaml

ROOT = Path(__file__).resolve().parents[2]


def committed(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def exit_status(*arguments: str) -> int:
    with pytest.raises(SystemExit) as end:
        main(arguments)
    return end.value.code


def checkout(folder: Path, old: str, new: str) -> None:
    """What a checkout's instances are read from, with an edited params.yaml."""
    text = committed("params.yaml")
    assert old in text
    (folder / "params.yaml").write_text(text.replace(old, new, 1))
    shutil.copy(ROOT / "pyproject.toml", folder)
    shutil.copytree(ROOT / "workflow", folder / "workflow")


@pytest.mark.parametrize("name", ["params.yaml", "config/demo.params.yaml", "dvc.yaml"])
def test_committed_files_have_one_reading(name: str) -> None:
    assert read_yaml(ROOT / name).value == YAML(typ="safe").load(committed(name))


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("  width: 128 ", "  width: 128\n  width: 64 ", "train_teacher.width is there"),
        ("lr_min: 0.0 ", "lr_min: 1e-6 ", "write 1.0e-06"),
        ("clip_x0: true", "clip_x0: yes", "write true, false"),
    ],
)
def test_head_and_jobs_refuse_the_same_file(tmp_path, old, new, words) -> None:
    """The Snakefile, `dvc repro` and by-hand jobs all read through load_pipeline."""
    text = committed("params.yaml")
    assert old in text
    checkout(tmp_path, old, new)
    with pytest.raises(UserError) as caught:
        load_pipeline(tmp_path)
    line = text[: text.index(old)].count("\n") + new.count("\n") + 1
    assert words in caught.value.what and f"line {line}:" in caught.value.what


@pytest.mark.parametrize("arguments", [[], ["--check"]])
def test_make_plan_says_it_in_plain_words(
    tmp_path, monkeypatch, capsys, arguments
) -> None:
    checkout(tmp_path, "lr_min: 0.0 ", "lr_min: 1e-6 ")
    monkeypatch.chdir(tmp_path)
    assert exit_status("plan", *arguments) == 1
    assert "error: line " in (said := capsys.readouterr().err)
    assert "write 1.0e-06" in said


@pytest.mark.parametrize(
    "arguments", [["plan", "--help"], ["plan", "--chekc"], ["plam"]]
)
def test_a_question_and_a_typo_write_nothing(tmp_path, monkeypatch, arguments) -> None:
    checkout(tmp_path, "dropout: 0.1 ", "dropout: 0.2 ")
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    monkeypatch.chdir(tmp_path)
    assert exit_status(*arguments) == (0 if "--help" in arguments else 2)
    assert (tmp_path / "dvc.yaml").read_text() == "stages: {}\n"
    assert exit_status("plan", "--check") == 1
    assert (tmp_path / "dvc.yaml").read_text() == "stages: {}\n"


def test_reading_and_checking_params_is_quick() -> None:
    """The Snakefile does it at every parse, cluster jobs twice each."""
    load_params(ROOT / "params.yaml")  # imports
    took = []
    for _ in range(5):
        start = time.process_time()
        load_params(ROOT / "params.yaml")
        took.append(time.process_time() - start)
    assert min(took) < 0.2
