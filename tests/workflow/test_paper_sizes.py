"""The committed params.yaml through every real stage on a CPU.

Networks, objectives and students are the paper's; lengths and counts are overridden,
the second dataset and seed left out, and what needs the internet replaced: the images
by a folder of noise, Inception by a network of its signature.
"""

from __future__ import annotations

import csv
import hashlib
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from paper_workspace import ROOT, Workspace, few_processes, make
from PIL import Image

sys.path.insert(0, str(ROOT / "tests" / "unit"))

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning"),
]
OVERRIDES = {
    "scale": "demo",
    "diffusion.timesteps": 50,  # at 250 of them a teacher's loss is measured
    "train_teacher.numerics": "fp32",  # half precision on a CPU: minutes
    "train_student.numerics": "fp32",
    "generate_samples.numerics": "fp32",
    "train_teacher.iterations": 1,
    "train_teacher.batch_size": 2,
    "train_teacher.snapshots": 2,
    "train_teacher.monitor_batch": 1,
    "train_student.iterations": 1,
    "train_student.batch_size": 2,
    "train_student.monitor_every": 1,
    "train_student.monitor_batch": 1,
    "train_classifier.iterations": 1,
    "train_classifier.batch_size": 2,
    "generate_samples.num_samples": 36,
    "generate_samples.chunk_size": 12,
    "compute_metrics.is_splits": 1,
    "compute_metrics.kid_subsets": 2,
    "compute_metrics.kid_subset_size": 4,
    "measure_calibration.pairs": 2,
    "measure_calibration.bins": 2,
    "measure_calibration.batch_size": 2,
    "profile_model.batch_size": 1,
    "profile_model.steps": 1,
    "profile_model.repeats": 1,
    "experiments.sampling.steps": 1,
    "experiments.tableC5.steps": [1],
    "rank_pairs.pool": 4,
    "rank_pairs.shown": 2,
}


def folder_of_images(root: Path) -> None:
    rng = np.random.default_rng(0)
    for split, count in (("train", 2), ("test", 1)):
        for label in range(10):
            folder = root / split / f"class{label}"
            folder.mkdir(parents=True)
            for index in range(count):
                pixels = rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"{index}.png")


def overridden(tmp_path: Path) -> dict:
    from test_features import InceptionDouble

    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    for dotted, value in OVERRIDES.items():
        node = params
        *parents, leaf = dotted.split(".")
        for part in parents:
            node = node[part]
        node[leaf] = value
    for name, experiment in params["experiments"].items():
        if name != "sampling":
            experiment["datasets"], experiment["seeds"] = ["cifar10"], [42]
    images, weights = tmp_path / "images", tmp_path / "inception.pt"
    folder_of_images(images)
    torch.manual_seed(0)
    torch.jit.script(InceptionDouble().eval()).save(str(weights))
    params["prepare_data"]["cifar10"].update(source="folder", path=str(images))
    del params["prepare_data"]["cifar100"]
    params["extractor"].update(
        weights_path=str(weights),
        weights_sha256=hashlib.sha256(weights.read_bytes()).hexdigest(),
    )
    return params


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    tmp_path = tmp_path_factory.mktemp("paper")
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(overridden(tmp_path), sort_keys=False))
    made = make(tmp_path / "workspace", path)
    few_processes(made.root)
    made.snakemake("table3", "figureD6", "figure4b")
    return made


def test_networks_are_the_papers(workspace: Workspace) -> None:
    cells = json.loads((workspace.root / "results/tables/table3.json").read_text())
    assert len(cells["cells"]) > 20
    for label, count in (("teacher_tirt", 35_751_939), ("dash-w64", 6_082_627)):
        path = workspace.root / f"results/profile_model/cifar10-{label}/profile.json"
        assert json.loads(path.read_text())["parameters"] == count


def test_every_student_of_table_3_trained_and_was_measured(
    workspace: Workspace,
) -> None:
    students = ["scratch", "cond_only", "composite", "fitnets", "gap_match", "dash"]
    for student in students:
        folder = workspace.root / f"results/train_student/cifar10-{student}-w64-s42"
        rows = list(csv.DictReader((folder / "history.csv").open()))
        assert float(rows[-1]["loss"]) > 0
    metrics = sorted(
        (workspace.root / "results/compute_metrics").glob("*/metrics.json")
    )
    assert len(metrics) == len(students) + 1
    for path in metrics:
        assert json.loads(path.read_text())["metrics"]["frechet"]["name"] == "FID"
    records = workspace.root / "results/records"
    assert {path.name for path in records.iterdir()} >= {
        "prepare_data",
        "train_teacher",
        "export_tirt",
        "train_student",
        "train_classifier",
        "generate_samples",
        "extract_reference",
        "compute_metrics",
        "measure_calibration",
        "profile_model",
        "rank_pairs",
        "collect_results",
        "collect_images",
        "make_table",
        "plot_figure",
    }
