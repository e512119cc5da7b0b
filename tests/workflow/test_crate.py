"""The RO-Crate of a really run workspace: accepted by the public validator, whole."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from machine import unavailable
from paper_workspace import ROOT, Workspace
from tampering import STUDENT, Forger, private_copy

from dash_repro.audit.crate import DESCRIPTOR, check_crate, write_crate
from runledger.errors import UserError

pytestmark = [pytest.mark.slow]
HERE = ROOT / "tests" / "crate"
PROFILES = ("process-run-crate", "workflow-run-crate", "provenance-run-crate")


@pytest.fixture(scope="module")
def crate(tiny: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = private_copy(tiny.root, tmp_path_factory.mktemp("crate") / "workspace")
    folder = root / "results" / "crate"
    said = write_crate(root, folder)
    assert "sha256 each" in said
    return folder


@pytest.fixture(scope="module")
def validator(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Python of an environment that has the public validator."""
    uv = shutil.which("uv") or str(ROOT / ".uv" / "bin" / "uv")
    folder = tmp_path_factory.mktemp("validator")
    python = folder / "bin" / "python"
    names = str(HERE / "requirements.txt")
    for command in (
        [uv, "venv", "-q", str(folder)],
        [uv, "pip", "install", "-q", "-p", str(python), "-r", names],
    ):
        try:
            done = subprocess.run(command, capture_output=True, text=True)
        except FileNotFoundError:
            unavailable("uv is not installed")
        if done.returncode:
            unavailable(f"no environment for the validator: {done.stderr[-300:]}")
    return python


@pytest.mark.parametrize(
    "profile",  # each has the demands of those before it
    [*(pytest.param(p, marks=pytest.mark.long) for p in PROFILES[:-1]), PROFILES[-1]],
)
def test_the_public_validator_accepts_it(
    crate: Path, validator: Path, profile: str, tmp_path: Path
) -> None:
    out = tmp_path / "report.json"
    program = [str(validator), str(HERE / "validate_offline.py")]
    done = subprocess.run(
        [*program, profile, str(crate), str(out)], capture_output=True, text=True
    )
    assert out.exists(), done.stdout + done.stderr
    report = json.loads(out.read_text())
    messages = sorted({issue["message"] for issue in report["issues"]})
    assert report["passed"], messages[:10]
    assert report["issues"] == []


def test_the_validator_is_not_asleep(
    crate: Path, validator: Path, tmp_path: Path
) -> None:
    """Without its steps, the same crate is refused."""
    bad = private_copy(crate, tmp_path / "bad")
    content = json.loads((bad / DESCRIPTOR).read_text())
    for entity in content["@graph"]:
        entity.pop("step", None)
    (bad / DESCRIPTOR).unlink()
    (bad / DESCRIPTOR).write_text(json.dumps(content))
    out = tmp_path / "report.json"
    program = [str(validator), str(HERE / "validate_offline.py")]
    subprocess.run([*program, PROFILES[2], str(bad), str(out)], capture_output=True)
    assert not json.loads(out.read_text())["passed"]


def test_every_instance_is_an_action_with_its_params_and_bytes(
    tiny: Workspace, crate: Path
) -> None:
    graph = json.loads((crate / DESCRIPTOR).read_text())["@graph"]
    by_id = {entity["@id"]: entity for entity in graph}
    assert len(by_id) == len(graph)
    actions = [e for e in graph if e["@type"] == "CreateAction"]
    valid = {f"#action/{name}" for name in tiny.instances("valid")}
    (whole,) = {action["@id"] for action in actions} - valid
    assert len(actions) == len(valid) + 1
    assert len(by_id[whole]["result"]) > 30, "the run as a whole"
    student = by_id[f"#action/{STUDENT.replace('/', '@', 1)}"]
    named = {by_id[o["@id"]].get("name"): by_id[o["@id"]] for o in student["object"]}
    assert named["students.dash.lambda_an"]["value"] == "0.1"
    assert named["train_student.iterations"]["value"] == "4"
    results = {result["@id"] for result in student["result"]}
    assert f"results/{STUDENT}/model.safetensors" in results
    made = {r["@id"] for a in actions for r in a["result"]}
    read = {
        o["@id"]
        for a in actions
        for o in a["object"]
        if o["@id"].startswith("results/")
    }
    assert read <= made
    assert {i["@id"] for i in by_id["./"]["mentions"]} == {a["@id"] for a in actions}
    root = crate.parents[1]
    author = subprocess.check_output(["git", "log", "-1", "--format=%an"], cwd=root)
    assert by_id[student["agent"]["@id"]]["name"] == author.decode().strip()


def test_hashes_of_the_crate_are_those_of_its_files(
    crate: Path, tmp_path: Path
) -> None:
    assert check_crate(crate) == []
    forged = Forger(private_copy(crate, tmp_path / "forged"))
    path = f"results/{STUDENT}/model.safetensors"
    forged.flip(path)
    assert check_crate(forged.root) == [path]
    (forged.root / "params.yaml").unlink()
    assert set(check_crate(forged.root)) == {path, "params.yaml"}


def test_an_unfinished_run_has_no_crate(tiny: Workspace, tmp_path: Path) -> None:
    forger = Forger(private_copy(tiny.root, tmp_path / "forged"))
    forger.replace("params.yaml", "gamma: 5.0", "gamma: 4.0")
    with pytest.raises(UserError, match="not valid"):
        write_crate(forger.root, forger.root / "results" / "crate")


def test_a_folder_of_something_else_is_left_alone(
    tiny: Workspace, tmp_path: Path
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("dear")
    with pytest.raises(UserError, match="not an RO-Crate"):
        write_crate(tiny.root, tmp_path / "mine")
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "dear"
