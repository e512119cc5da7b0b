"""Each diff in docs/extend.md is all that its section's thing takes.

A section of the page is a heading and a block of `diff`. It is applied to a copy of the
project, from which the smallest workspace is made; both tools are asked there.
"""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from paper_workspace import BIN, ROOT, Workspace, make

PAGE = (ROOT / "docs" / "extend.md").read_text(encoding="utf-8")
SECTION = re.compile(r"^## (.+)\n(?:(?!## ).*\n)*?```diff\n((?:.*\n)*?)```$", re.M)
DIFFS = dict(SECTION.findall(PAGE))
DEFINITION = "src/dash_repro/params/definition.py"
GENERATED = {"dvc.yaml", "docs/params.md", "paper/contents.yaml", "README.md"}


def extended(heading: str, folder: Path) -> tuple[Path, Workspace]:
    """(copy of the project with a section's diff, the smallest workspace of it)."""
    copy = make(folder / "project", ROOT / "params.yaml")
    subprocess.run(
        ["git", "apply", "--verbose", "-"],
        cwd=copy.root,
        input=DIFFS[heading].encode(),
        check=True,
    )
    python = str(BIN / "python")
    if DEFINITION in DIFFS[heading]:
        command = "params --complete params.yaml -o params.yaml"
        assert f"    dash-repro {command}\n" in PAGE
        copy.run(python, "-m", "dash_repro", *command.split())
    copy.run(python, "-m", "runledger", "plan")
    copy.run(python, "-m", "dash_repro", "items", "--renew")
    copy.run(python, "-m", "dash_repro", "params", "--page", "-o", "docs/params.md")
    tiny = "tests/workflow/tiny.params.yaml"
    copy.run(python, "-m", "dash_repro.workspace", "../small", tiny)
    return copy.root, Workspace(folder / "small")


def changed(root: Path) -> set[str]:
    """The files that differ from those that are committed."""
    command = ["git", "status", "--porcelain", "-z", "--untracked-files=all"]
    out = subprocess.run(command, cwd=root, check=True, capture_output=True, text=True)
    return {entry[3:] for entry in out.stdout.split("\0") if entry}


def planned(workspace: Workspace) -> tuple[str, str]:
    """(what `snakemake -n` says, what `dvc stage list` says)."""
    out = workspace.snakemake("-n", "--config", "bundle=1", "pack=1", "spread=1")
    return out, workspace.run(str(BIN / "dvc"), "stage", "list", "--name-only")


def test_every_section_has_one_diff() -> None:
    assert list(DIFFS) == re.findall(r"^## (.+)$", PAGE, re.M)
    assert PAGE.count("```diff") == len(DIFFS)


@pytest.mark.parametrize("heading", DIFFS)
def test_both_tools_take_the_diff_and_nothing_else_changes(
    heading: str, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setenv("VERBOSE", "1")  # every job is listed
    root, workspace = extended(heading, tmp_path)
    named = set(re.findall(r"^\+\+\+ b/(.+)$", DIFFS[heading], re.M))
    written = GENERATED | ({"params.yaml"} if DEFINITION in named else set())
    assert named <= changed(root) <= named | written
    snakemake, dvc = planned(workspace)
    assert "train_teacher@digits-tirt-s42" in dvc.split()
    workspace.run(str(BIN / "dvc"), "status")
    assert "Job stats:" in snakemake
    if check := CHECKS.get(heading):
        check(root, snakemake, dvc.split())


# what a section adds, in the copy and as both tools see it


def a_student(root: Path, snakemake: str, dvc: list[str]) -> None:
    name = "digits-dash_smallnull-w4-s42"
    assert f"train_student@{name}" in dvc
    assert f"results/train_student/{name}/model.safetensors" in snakemake
    assert not [one for one in dvc if "dash_smallnull-w8" in one], "of Table 3 alone"


def a_param(root: Path, snakemake: str, dvc: list[str]) -> None:
    page = (root / "docs" / "params.md").read_text(encoding="utf-8")
    row = "| `line_width` | `1.5` points | number > 0 | width of curves | choice |"
    assert row in page
    workspace = root.parent / "small" / "params.yaml"
    assert "  line_width: 1.5  # width of curves" in workspace.read_text()


def result_of(root: Path, code: str) -> Any:
    """What a Python program of the copy prints, as JSON."""
    folders = [str(root / name) for name in ("src", "runledger/src", "stages", "tests")]
    head = f"import sys; sys.path[:0] = {folders}\nimport json\n"
    done = subprocess.run(
        [BIN / "python", "-c", head + code], cwd=root, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def a_new_objective(root: Path, snakemake: str, dvc: list[str]) -> None:
    assert "train_student@digits-gap_norm-w4-s42" in dvc
    found, wanted = result_of(
        root,
        """
import torch
from dash_repro.objectives.kind import Outputs
from dash_repro.objectives.kinds import OBJECTIVES
from dash_repro.objectives.objective import Targets
four = [torch.randn(3, 1, 4, 4) for _ in range(4)]
weights = torch.rand(3)
out = Outputs(*four[:2], {}, Targets(*four[2:]), None, weights)
loss = OBJECTIVES["gap_norm"].term(None, out)
a, b, c, d = (x.numpy().reshape(3, -1).astype("f8") for x in four)
own, teacher = (((x - y) ** 2).sum(1) ** 0.5 for x, y in ((a, b), (c, d)))
wanted = (weights.numpy() * (own - teacher) ** 2).mean()
print(json.dumps([float(loss), float(wanted)]))
""",
    )
    assert found == pytest.approx(wanted, rel=1e-5)


BUILT = """
from pathlib import Path
from paper_fixtures import Workspace, small_params
from dash_repro.audit.expected import Expectations
params = small_params()
workspace = Workspace(Path("{folder}"), params)
cells = workspace.table("{item}")["cells"]
expected = Expectations(params)
metrics = {{
    address: [cell["metric"], cell["name"], found.first.metric if found else None]
    for address, cell in cells.items()
    if cell["kind"] == "measured"
    for found in [expected.expected_for(address)]
}}
print(json.dumps(metrics))
"""


def a_table(root: Path, snakemake: str, dvc: list[str]) -> None:
    assert "make_table-tableS9" in dvc
    assert "results/tables/tableS9.tex" in snakemake
    assert "`results/tables/tableS9.tex`" in (root / "README.md").read_text()
    metrics = result_of(root, BUILT.format(item="tableS9", folder=root.parent / "x"))
    assert len(metrics) == 6 * 5 + 3 * 4  # students, and bounds without compression
    for address, (metric, name, expected) in metrics.items():
        assert expected == (name if metric == "profile" else metric), address


def a_figure(root: Path, snakemake: str, dvc: list[str]) -> None:
    assert "plot_figure@figureS9" in dvc
    assert "results/figures/figureS9.pdf" in snakemake
    assert "item: figureS9" in (root / "paper" / "contents.yaml").read_text()
    size = result_of(
        root,
        f"""
from pathlib import Path
from paper_fixtures import Workspace, small_params
path = Workspace(Path("{root.parent / "x"}"), small_params()).figure("figureS9")
print(path.stat().st_size)
""",
    )
    assert size > 5000


def a_metric(root: Path, snakemake: str, dvc: list[str]) -> None:
    found, wanted = result_of(
        root,
        """
import numpy as np
from types import SimpleNamespace
from dash_repro.evaluation.sample_metrics import METRICS
features = np.random.default_rng(0).normal(size=(9, 4))
reference = SimpleNamespace(mu=np.arange(4.0))
value, _, error = METRICS["mean_distance"].measure(features, None, reference, {})
assert error is None
wanted = sum((sum(features[:, i]) / 9 - i) ** 2 for i in range(4))
print(json.dumps([value, float(wanted)]))
""",
    )
    assert found == pytest.approx(wanted, rel=1e-12)
    expected = result_of(
        root,
        """
from paper_fixtures import small_params
from dash_repro.audit.expected import Expectations
found = Expectations(small_params()).expected_for("tableB3/dash/cifar10_md")
print(json.dumps([found.first.stage, found.first.metric]))
""",
    )
    assert expected == ["compute_metrics", "mean_distance"]


def an_extractor(root: Path, snakemake: str, dvc: list[str]) -> None:
    name, found, wanted = result_of(
        root,
        """
import numpy as np, torch
from dash_repro.evaluation.extractors import build_extractor
from dash_repro.evaluation.features import extract_features
from dash_repro.evaluation.sample_metrics import METRICS
images = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3), dtype=np.uint8)
extractor = build_extractor({"name": "pixels"}, torch.device("cpu"))
features, classes = extract_features(images, extractor, torch.device("cpu"))
wanted = images[0, :2, 2:4, 1].mean() / 255  # green, first row, second column
name = extractor.metric_name(METRICS["frechet"])
print(json.dumps([name, float(features[0, 16 + 1]), float(wanted)]))
""",
    )
    assert name == "fd_pixels"
    assert found == pytest.approx(wanted, rel=1e-5)
    check = ["-m", "dash_repro", "params", "--check", "config/demo.params.yaml"]
    Workspace(root).run(str(BIN / "python"), *check)


def a_source(root: Path, snakemake: str, dvc: list[str]) -> None:
    shape, rows = result_of(
        root,
        """
from dash_repro.data.prepare import prepare
from dash_repro.params import load_params
block = load_params("config/demo.params.yaml")["prepare_data"]["stripes"]
data = prepare(block)
lying, standing = (data.train_images[i, :, :, 0].astype(int) for i in (0, 1))
flat = [int(abs(x - x[:, :1]).max()) for x in (lying, standing.T)]
print(json.dumps([list(data.train_images.shape), flat]))
""",
    )
    assert shape == [200, 8, 8, 1]
    assert rows == [0, 0]


def a_stage(root: Path, snakemake: str, dvc: list[str]) -> None:
    """It runs in both tools, each making one instance; neither doubts the other's."""
    students = [name for name in dvc if name.startswith("train_student@")]
    mine = [name.replace("train_student@", "measure_norms@") for name in students]
    assert set(mine) == {name for name in dvc if name.startswith("measure_norms@")}
    small = Workspace(root.parent / "small")
    ids = ("digits-dash-w4-s42", "digits-scratch-w4-s42")
    first, second = (f"results/measure_norms/{id}/norms.json" for id in ids)
    small.snakemake(first)
    small.run(str(BIN / "dvc"), "repro", f"measure_norms@{ids[1]}")
    norms = [
        json.loads((small.root / path).read_text())["norm"] for path in (first, second)
    ]
    assert norms[0] != norms[1] and min(norms) > 1
    assert small.plan(second) == {}, "what dvc made is valid for snakemake"
    status = small.run(
        str(BIN / "dvc"), "status", *(f"measure_norms@{id}" for id in ids)
    )
    assert "up to date" in status
    small.edit_params("measure_norms.order", 1)
    out = small.snakemake("-n", first)
    assert "measure_norms.order: 2 -> 1" in out
    assert small.plan(first) == {"measure_norms": 1}


CHECKS = {
    "A student with a known objective": a_student,
    "A student with a new objective": a_new_objective,
    "A setting": a_param,
    "A stage": a_stage,
    "A table": a_table,
    "A figure": a_figure,
    "A metric": a_metric,
    "An extractor of features": an_extractor,
    "A source of images": a_source,
}
