"""What is made again is the same: by bytes, or by numbers where rounding differs."""

from __future__ import annotations

import copy
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from dash_repro.publication import checking

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "study" / "results"
SET = "digits-dash-w8-s42"
METRICS = f"compute_metrics/{SET}-cfg4.0-k20-n0/metrics.json"
VALUE, ERROR = "metrics.frechet.value", "metrics.frechet.standard_error"
CALIBRATION = f"measure_calibration/{SET}/calibration.json"


def record(values: Any, md5: str = "a", **run: Any) -> dict[str, Any]:
    out = {"inline": json.dumps(values), "md5": md5}
    about = {"device": "x", "libraries": {}, "end": "1", **run}
    return {"outputs": {"metrics.json": out}, "run": about}


@pytest.mark.parametrize(
    ("file", "path", "error", "share", "same"),
    [
        (
            METRICS,
            VALUE,
            ERROR,
            0.05,
            True,
        ),
        (
            METRICS,
            VALUE,
            ERROR,
            0.2,
            False,
        ),
        (METRICS, "metrics.kid.value", "metrics.kid.standard_error", 1.0, False),
        (METRICS, ERROR, "", 0.5, False),
        (METRICS, "num_samples", "", 0.001, False),
        (METRICS, "closest.samples.0", "", 0.5, True),  # as near as another
        (METRICS, "closest.ratios.0", "", 0.01, False),
        (CALIBRATION, "rho", "", 1e-5, True),
        (CALIBRATION, "rho", "", 0.01, False),
        (CALIBRATION, "bins.3.rho", "", 0.01, False),
        (CALIBRATION, "bins.3.n", "", 0.01, False),
        (CALIBRATION, "standard_error.rho", "", 0.5, False),
    ],
)
def test_numbers_agree_within_a_tenth_of_their_standard_error(
    file: str, path: str, error: str, share: float, same: bool
) -> None:
    """That lets rounding pass, and no other noise.

    Args:
        error: what the change is a share of; "": of the number itself.
    """
    values = json.loads((RESULTS / file).read_text(encoding="utf-8"))
    known, changed = checking.numbers(values), copy.deepcopy(values)
    *parents, last = path.split(".")
    part: Any = changed
    for name in parents:
        part = part[int(name) if isinstance(part, list) else name]
    last = int(last) if isinstance(part, list) else last
    kind = type(part[last])
    part[last] += kind(share * known[error or path]) or kind(1)
    pair = record(values), record(changed, "b")
    assert checking.agrees("metrics.json", *pair) is same
    assert checking.agrees("metrics.json", pair[0], record(values, "b"))


def test_a_number_that_is_gone_or_new_does_not_agree() -> None:
    pair = record({"a": 1.0, "b": 2.0}), record({"a": 1.0}, "b")
    assert not checking.agrees("metrics.json", *pair)
    assert not checking.agrees("metrics.json", *reversed(pair))


@pytest.mark.parametrize("name", ["x.png", "x.pdf"])
def test_drawings_differ_only_where_libraries_do(name: str) -> None:
    here, there = record(0, device="a"), record(0, device="b")
    assert not checking.agrees(name, here, there)
    newer = record(0, libraries={"matplotlib": "9"})
    assert checking.agrees(name, here, newer)


def test_a_table_has_its_bytes() -> None:
    newer = record(0, libraries={"pandas": "9"})
    assert not checking.agrees("table3.tex", record(0), newer)


@pytest.mark.parametrize(("key", "frechet"), [("b", 2.0), ("c", 2.0), ("b", 1.0)])
def test_what_is_made_again_is_compared_with_the_last_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str, frechet: float
) -> None:
    """Later code made `b`; other bytes of an input give the record another name."""

    def made(end: str, value: float) -> dict[str, Any]:
        values = {"metrics": {"frechet": {"value": value}}}
        return record(values, str(value), end=end)

    folder = tmp_path / "compute_metrics" / "one"
    folder.mkdir(parents=True)
    before = {folder / "a.json": made("1", 1.0), folder / "b.json": made("2", 2.0)}
    for path, content in before.items():
        path.write_text(json.dumps(content))

    def start(*_, **__):
        assert not list(folder.iterdir())
        (folder / f"{key}.json").write_text(json.dumps(made("3", frechet)))
        return subprocess.CompletedProcess([], 0, "", "")

    monkeypatch.setattr(checking, "start", start)
    said, good = checking.remade(tmp_path, before)
    assert good == (frechet == 2.0)
    assert said.startswith(f"1 files made again, {int(good)} of equal bytes")
