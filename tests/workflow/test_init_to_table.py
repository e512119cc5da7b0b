"""A folder of images becomes a table of both students, by the two commands it takes."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import yaml
from packed_page import opened
from paper_workspace import few_processes
from PIL import Image
from places import python_path

ROOT = Path(__file__).resolve().parents[2]
SMALL = {
    "train_teacher": {"iterations": 4, "snapshots": 2},
    "train_student": {"iterations": 4, "monitor_every": 2},
    "train_classifier": {"iterations": 2},
    "generate_samples": {"num_samples": 36, "chunk_size": 36},
    "compute_metrics": {"kid_subset_size": 2, "is_splits": 2},
    "measure_calibration": {"pairs": 8, "bins": 2},
    "rank_pairs": {"pool": 12},
}


def call(folder: Path, *command: str) -> str:
    environment = {**os.environ, "PYTHONPATH": python_path(folder)}
    ran = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


@pytest.mark.slow
def test_from_a_folder_to_a_table(tmp_path: Path) -> None:
    rng, photos, target = np.random.default_rng(0), tmp_path / "p", tmp_path / "my pets"
    for name in ("cat", "dog"):
        (photos / name).mkdir(parents=True)
        for index in range(12):
            pixels = rng.integers(0, 256, (10, 8), dtype=np.uint8)
            Image.fromarray(pixels).save(photos / name / f"{index}.png")
    command = [sys.executable, "-m", "dash_repro", "init", str(target)]
    said = call(ROOT, *command, "--images", str(photos), "--size=8", "--budget=30m")
    assert "22 to train on, 2 to test with" in said and "24 L; read as grey" in said
    assert re.search(r"time +about (2\d|30) min", said), said
    (line,) = re.findall(r"^next: +cd (.*)$", said, re.M)
    folder, run = line.split(" && ")
    assert shlex.split(folder) == [str(target)]
    assert run.startswith("snakemake --profile")
    assert len((tmp_path / "my pets.params.yaml").read_text().splitlines()) <= 60

    params = yaml.safe_load((target / "params.yaml").read_text())
    for section, keys in SMALL.items():
        params[section].update(keys)
    (target / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    few_processes(target)
    call(target, "git", "commit", "-qam", "a trial of seconds")
    call(target, *shlex.split(run))
    (line,) = re.findall(r"^ +dash-repro (sample .*)$", said, re.M)
    call(target, sys.executable, "-m", "dash_repro", *line.split(), "--steps=2")
    assert Image.open(target / "both.png").size[0] > 0
    sidecar = json.loads((target / "results/tables/table3.json").read_text())
    rows = [line["label"] for line in sidecar["lines"] if line["entries"]]
    assert rows[:3] == ["Teacher", "Scratch", "DASH"]
    assert float(sidecar["cells"]["table3/dash/my_pets_rho"]["displayed"]) >= 0
    figures = {path.stem for path in (target / "results/figures").glob("*.png")}
    assert {"figure6", "figureD1", "figureD2"} <= figures
    assert not (target / "results/tables/claims.json").exists()
    call(target, sys.executable, "-m", "dash_repro.audit", "--report", "page.html")
    page = opened((target / "page.html").read_text())
    assert "Nothing here is compared with the paper" in page and "Demo" not in page
    words = [sys.executable, "-m", "snakemake", "--report", str(tmp_path / "r.zip")]
    call(target, "env", "RUNLEDGER_UNPRUNED=1", *words, "--cores=1")
    with zipfile.ZipFile(tmp_path / "r.zip") as report:
        names = {Path(name).name for name in report.namelist()}
        text = report.read("r/report.html").decode()
    assert "figure6.png" in names
    assert "Samples of teacher and student from the same noise" in text
