"""Tables made on request while some results are missing."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import yaml

from dash_repro.paper.incomplete import incomplete_table, main
from dash_repro.params import load_params
from runledger.judge import Judge
from runledger.project import load_pipeline

ROOT = Path(__file__).resolve().parents[2]
TINY = ROOT / "tests" / "workflow" / "tiny.params.yaml"
FAILED = "train_student@digits-dash-w4-s42"


def write_params(root: Path, params: dict) -> None:
    (root / "params.yaml").write_text(yaml.safe_dump(params))


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout in which nothing has run but one student, which failed."""
    for name in ("src", "runledger", "stages", "workflow", "paper"):
        shutil.copytree(ROOT / name, tmp_path / name)
    for name in ("dvc.yaml", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    write_params(tmp_path, load_params(TINY))
    verdict = Judge(tmp_path, load_pipeline(tmp_path)).judge()[FAILED]
    note = tmp_path / "results/.state/failures" / f"{FAILED}.json"
    note.parent.mkdir(parents=True)
    content = {"reason": "the loss is not a number", "frozen": verdict.frozen_digest}
    note.write_text(json.dumps(content))
    return tmp_path


def test_cells_of_a_failed_student_say_so(checkout: Path) -> None:
    pipeline = load_pipeline(checkout)
    verdicts = Judge(checkout, pipeline).judge()
    table, missing = incomplete_table(checkout, "table4", pipeline, verdicts)
    assert table.caption.startswith(f"INCOMPLETE: {len(missing)} results are missing")
    why = f"{FAILED} failed: the loss is not a number"
    failed = [cell for cell in table.cells.values() if cell.displayed == "failed"]
    others = [cell for cell in table.cells.values() if cell.displayed == "missing"]
    assert failed
    assert others
    assert all(why in cell.note and "dash" in cell.address for cell in failed)
    assert not any(FAILED in cell.note for cell in others)
    assert any(why in note for note in table.notes)
    assert missing["compute_metrics/digits-dash-w4-s42-cfg4.0-k4-n0"] == why


def test_a_changed_recipe_has_not_failed(checkout: Path) -> None:
    params = load_params(TINY)
    params["students"]["dash"]["lambda_un"] = 0.9
    write_params(checkout, params)
    pipeline = load_pipeline(checkout)
    verdicts = Judge(checkout, pipeline).judge()
    _, missing = incomplete_table(checkout, "table4", pipeline, verdicts)
    assert set(missing.values()) == {"not made yet"}


def test_files_lie_apart_from_the_results(checkout: Path, capsys) -> None:
    assert main(checkout) == 0
    assert "table3.tex: INCOMPLETE" in capsys.readouterr().out
    content = json.loads((checkout / "results/incomplete/table3.json").read_text())
    assert content["incomplete"]
    assert not (checkout / "results/tables").exists()
