"""What `dvc metrics` shows: the means of Table 3, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from dash_repro.paper.rows import Collected, Row
from dash_repro.paper.summary import summarize

ROOT = Path(__file__).resolve().parents[2]
QUALITY, CALIBRATION = "compute_metrics", "measure_calibration"


def row(model: str, stage: str, metric: str, name: str, value: float, **more) -> Row:
    found = Row(dataset="digits", model=model, stage=stage, metric=metric, name=name)
    return Row(**{**vars(found), "value": repr(value), **more})


def test_each_number_is_the_mean_of_its_seeds() -> None:
    rows = [
        row("dash", QUALITY, "frechet", "fid", 10.0, seed="42"),
        row("dash", QUALITY, "frechet", "fid", 13.0, seed="123"),
        row("dash", CALIBRATION, "rho", "rho", 0.9, seed="42"),
        row("dash", CALIBRATION, "err_cond", "err_cond", 0.1, seed="42"),
        row("dash", QUALITY, "kid_std", "kid", 0.5, seed="42"),
        row("scratch", QUALITY, "frechet", "fid", 20.0, seed="42"),
        row("", "extract_reference", "real_frechet", "fid", 1.0),
    ]
    assert summarize(Collected(rows, "here")) == {
        "digits": {
            "dash": {"fid": pytest.approx(11.5), "rho": pytest.approx(0.9)},
            "scratch": {"fid": pytest.approx(20.0)},
        }
    }


def test_dvc_shows_no_other_file_as_metrics() -> None:
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    bodies = {name: stage.get("do", stage) for name, stage in stages.items()}
    shown = {name for name, body in bodies.items() if body.get("metrics")}
    assert shown == {"summarize_results"}
