"""Metrics from kept features and pairs: right ones pass, and each forgery is named."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from dash_repro.arrays import save_npz, write_json
from dash_repro.audit import kept, remeasured
from dash_repro.audit.kept import check_kept
from dash_repro.evaluation.calibration import Pairs, summarize_calibration
from dash_repro.evaluation.features import save_features
from dash_repro.evaluation.jackknife import interval
from dash_repro.evaluation.metrics import quality
from dash_repro.evaluation.reference import Reference, save_reference
from dash_repro.evaluation.sample_metrics.frechet import gaussian_statistics
from runledger.audit import OBJECTION, UNCHECKED

SETTINGS = {
    "is_splits": 4,
    "kid_subsets": 3,
    "kid_subset_size": 20,
    "shuffle_seed": 5,
    "infinity_least": 20,
    "infinity_points": 3,
    "precision_images": 40,
    "precision_k": 3,
}
SET, STUDENT = "results/compute_metrics/one", "results/measure_calibration/two"


@pytest.fixture(params=[(50, 70), (90, 6)], ids=["few images", "many images"])
def evidence(tmp_path, request):
    count, dimension = request.param
    rng = np.random.default_rng(count)
    for folder in (SET, STUDENT, "results/extract_reference/d"):
        (tmp_path / folder).mkdir(parents=True)
    _samples(tmp_path, rng, count, dimension)
    _pairs(tmp_path, rng)

    def raw_json(stage, id):
        file = "metrics" if stage == "compute_metrics" else "calibration"
        return json.loads((tmp_path / f"results/{stage}/{id}/{file}.json").read_text())

    stages = {"compute_metrics": [("one", {"dataset": "d"})]}
    return SimpleNamespace(
        root=tmp_path,
        raw_json=raw_json,
        by_stage=stages | {"measure_calibration": [("two", {})]},
        params={"compute_metrics": SETTINGS},
    )


def _samples(root, rng, count, dimension):
    extractor = SimpleNamespace(identity="x", metric_name=lambda metric: metric.short)
    real = rng.gamma(2.0, size=(200, dimension)).astype(np.float32)
    about = (*gaussian_statistics(real), real, 2.5)
    reference = Reference("x", "train", 200, *about)
    save_reference(root / "results/extract_reference/d/reference.npz", reference)
    features = 1.5 * rng.gamma(2.0, size=(count, dimension)).astype(np.float32)
    classes = rng.dirichlet(np.full(9, 0.2), size=count).astype(np.float32)
    hits = rng.random(count) < 0.8
    save_features(root / SET / "features.npz", "x", features, classes, hits)
    found = quality(features, classes, reference, extractor, SETTINGS, hits)
    write_json(root / SET / "metrics.json", {"num_samples": count, "metrics": found})


def _pairs(root, rng, **changed):
    indices = torch.from_numpy(np.tile(rng.permutation(30), 2)[:50])
    pairs = Pairs(indices, torch.arange(50) % 20, indices % 3)
    names = ("norm_s", "norm_t", "dot", "gap_sq_err", "err_cond", "err_uncond")
    stats = {name: torch.from_numpy(rng.gamma(3.0, size=50)) for name in names}
    stats["norm_s"][3] = 0.0  # its cosine counts as 0
    stats |= changed
    save_npz(root / STUDENT / "pairs.npz", **vars(pairs), **stats)
    content = summarize_calibration(stats, pairs, 20, 2)
    write_json(root / STUDENT / "calibration.json", content)


@pytest.mark.parametrize("every", [False, True])
def test_what_was_computed_is_what_is_kept(evidence, every):
    assert list(check_kept(evidence, every)) == []


def test_at_infinity_large_features_have_no_error_on_either_side(evidence, monkeypatch):
    def none(content):
        entry = content["metrics"]["frechet_infinity"]
        del entry["standard_error"], entry["interval"]

    _edit(evidence.root / SET / "metrics.json", none)
    assert list(check_kept(evidence, every=True)), "a missing error is found"
    monkeypatch.setattr(remeasured, "QUICK", 5)
    assert list(check_kept(evidence, every=True)) == []


def test_a_branch_without_error_has_no_angle(evidence):
    none = torch.zeros(50, dtype=torch.float64)
    _pairs(evidence.root, np.random.default_rng(1), err_cond=none)
    assert evidence.raw_json("measure_calibration", "two")["err_cos"] is None
    assert list(check_kept(evidence)) == []


SLOW = ("kid", "nearest", "precision", "recall")


def test_of_many_images_it_says_which_metrics_it_believes(evidence, monkeypatch):
    monkeypatch.setattr(remeasured, "QUICK", 20)
    (finding,) = check_kept(evidence)
    assert finding.level == UNCHECKED and "--every-metric" in finding.detail
    assert all(f"{name} (1 sets)" in finding.detail for name in SLOW)
    assert "frechet" not in finding.detail and "accuracy" not in finding.detail
    assert list(check_kept(evidence, every=True)) == []
    monkeypatch.setattr(kept, "MOST", 20)  # and of these not all features are there
    level, told = OBJECTION, [f for f in check_kept(evidence, every=True)]
    assert level in {f.level for f in told}, "more features than may be kept"
    assert "frechet_infinity (1 sets)" in told[-1].detail


METRICS = (*SLOW, "frechet", "frechet_infinity", "inception_score", "class_accuracy")


@pytest.mark.parametrize("metric", METRICS)
def test_a_forged_metric_is_found_and_no_other(evidence, metric):
    def better(content):
        entry = content["metrics"][metric]
        moved = entry["value"] + entry["standard_error"] + 0.1
        if "interval" in entry:
            entry["interval"] = [
                end + moved - entry["value"] for end in entry["interval"]
            ]
        entry["value"] = moved

    _edit(evidence.root / SET / "metrics.json", better)
    (found,) = check_kept(evidence)
    assert found.detail.startswith(f"{metric}: "), found.detail


@pytest.mark.parametrize("metric", METRICS)
def test_a_forged_error_of_a_metric_is_found(evidence, metric):
    def larger(content):
        entry = content["metrics"][metric]
        error = 1.1 * entry["standard_error"] + 0.1
        entry |= {"standard_error": error, "interval": interval(entry["value"], error)}

    if metric == "inception_score":
        return  # of few images not printed, of many not kept: its error is believed
    _edit(evidence.root / SET / "metrics.json", larger)
    found = [f.detail for f in check_kept(evidence, every=True)]
    assert len(found) == 1 and found[0].startswith(f"{metric} of the"), found


def _change(path, name, change):
    arrays = dict(np.load(path))
    arrays[name] = change(arrays[name].copy())
    save_npz(path, **arrays)


def _edit(path, change):
    content = json.loads(path.read_text())
    change(content)
    write_json(path, content)


def _scaled(values):
    values[4] *= 1.5
    return values


FORGERIES = {
    "a feature": (SET, "features.npz", "features", _scaled, "frechet"),
    "an image left out": (
        SET,
        "features.npz",
        "features",
        lambda x: x[1:],
        "images of",
    ),
    "probabilities": (SET, "features.npz", "probabilities", np.square, "inception"),
    "a gap": (STUDENT, "pairs.npz", "gap_sq_err", _scaled, "gap_mse:"),
    "an image's number": (STUDENT, "pairs.npz", "indices", np.sort, "standard error"),
    "a pair left out": (STUDENT, "pairs.npz", "indices", lambda x: x[1:], "49 pairs"),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forged_file_is_found(evidence, name):
    folder, file, array, change, says = FORGERIES[name]
    _change(evidence.root / folder / file, array, change)
    found = list(check_kept(evidence))
    assert found and {f.subject for f in found} == {f"{folder}/{file}"}
    assert {f.kind for f in found} == {"not what is kept"}
    assert any(says in f.detail for f in found), [f.detail for f in found]
    assert found[0].instances[0] in ("compute_metrics@one", "measure_calibration@two")


@pytest.mark.parametrize("key", ["interval", "standard_error"])
@pytest.mark.parametrize("metric", ["frechet", "kid"])
def test_a_forged_interval_of_a_metric_is_found(evidence, key, metric):
    def narrower(content):
        entry = content["metrics"][metric]
        if key == "interval":
            entry[key][0] = (entry[key][0] + entry["value"]) / 2
        else:
            entry[key] /= 2

    _edit(evidence.root / SET / "metrics.json", narrower)
    found = [f.detail for f in check_kept(evidence)]
    assert any(detail.startswith(metric) for detail in found), found


@pytest.mark.parametrize("key", ["rho", "cos", "gap_mse", "err_uncond"])
def test_a_forged_error_of_calibration_is_found(evidence, key):
    def smaller(content):
        content["standard_error"][key] *= 0.999

    _edit(evidence.root / STUDENT / "calibration.json", smaller)
    (found,) = check_kept(evidence)
    assert found.detail.startswith(f"{key} of the standard error")
