"""The RO-Crate of a really run workspace: accepted by the public validator, whole."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from machine import unavailable
from paper_workspace import ROOT, Workspace
from tampering import STUDENT, private_copy
from test_workflows import adopted

from dash_repro.audit.crate import write
from runledger.audit import check_crate
from runledger.audit.crate_files import DESCRIPTOR

pytestmark = [pytest.mark.slow]
HERE = ROOT / "tests" / "crate"
PROFILES = ("process-run-crate", "workflow-run-crate", "provenance-run-crate")


@pytest.fixture(scope="module")
def crate(tiny: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = private_copy(tiny.root, tmp_path_factory.mktemp("crate") / "workspace")
    folder = root / "results" / "crate"
    said = write(root, folder)
    assert "sha256 each" in said
    assert check_crate(folder) == []
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


@pytest.mark.long
def test_the_public_validator_accepts_one_of_an_adopted_workflow(
    validator: Path, tmp_path: Path
) -> None:
    """Shell commands, scripts, a folder as an output; no license is named."""
    flow = adopted(tmp_path / "work", "align")
    flow.snakemake()
    flow.commit()
    flow.ledger("crate", str(tmp_path / "crate"))
    out = tmp_path / "report.json"
    program = [str(validator), str(HERE / "validate_offline.py"), PROFILES[-1]]
    done = subprocess.run([*program, str(tmp_path / "crate"), str(out)])
    report = json.loads(out.read_text())
    assert done.returncode == 0 and report["issues"] == []


@pytest.mark.long
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
