"""Metrics computed again from the features and pairs that are kept beside them.

A second opinion: it shares no code with dash_repro.evaluation. Features are kept in
half precision, and of 10,000 images at the most; of more, no metric can be had again.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import stdtrit, xlogy

from dash_repro.audit.evidence import Evidence
from dash_repro.audit.interval import GROUPS, LEVEL
from runledger.audit import OBJECTION, Finding

MOST = 10_000
ROUNDING = 2e-3  # of a metric of features in half precision
OF_ERRORS = 0.05  # likewise, of its standard error
GAPS = {"gap_mse": "gap_sq_err", "err_cond": "err_cond", "err_uncond": "err_uncond"}

Arrays = Mapping[str, np.ndarray]
Found = dict[str, tuple[float, float | None]]  # metric -> value, standard error


def check_kept(evidence: Evidence) -> Iterator[Finding]:
    """Files of features and pairs that give other metrics than are recorded."""
    kept = {
        "compute_metrics": ("features.npz", _of_samples),
        "measure_calibration": ("pairs.npz", _of_pairs),
    }
    for stage, (file, details) in kept.items():
        for id, item in evidence.by_stage.get(stage, []):
            path = f"results/{stage}/{id}/{file}"
            arrays = _load(evidence.root / path)
            content = evidence.raw_json(stage, id)
            if arrays is None or content is None:
                continue  # the chain says so
            for detail in details(evidence, item, arrays, content):
                of = (f"{stage}@{id}",)
                yield Finding(OBJECTION, "not what is kept", path, detail, of)


def _load(path: Path) -> dict[str, np.ndarray] | None:
    try:
        with np.load(path) as archive:
            return {name: archive[name] for name in archive.files}
    except (OSError, ValueError, zipfile.BadZipFile):
        return None


def _differ(
    found: Found, recorded: Callable[[str], tuple[Any, Any]], precise: bool
) -> Iterator[str]:
    """Details of numbers that are recorded otherwise; `recorded`: value and error."""
    for name, pair in found.items():
        tolerances = (1e-9, 1e-9) if precise else (ROUNDING, OF_ERRORS)
        for what, ours, theirs, tolerance in zip(
            ("", " of the standard error"),
            pair,
            recorded(name),
            tolerances,
            strict=True,
        ):
            if ours is None or (theirs is None and np.isnan(ours)):
                continue
            if theirs is None or not np.isclose(ours, theirs, tolerance, 1e-9):
                yield f"{name}{what}: {ours:.6g} from the file, {theirs} recorded"


def _of_pairs(
    _evidence: Evidence, _item: Any, arrays: Arrays, content: Mapping[str, Any]
) -> Iterator[str]:
    indices = arrays["indices"]
    if len(indices) != content["pairs"]:
        yield f"{len(indices)} pairs, {content['pairs']} recorded"
        return
    lengths = arrays["norm_s"] * arrays["norm_t"]
    columns = {name: arrays[column] for name, column in GAPS.items()}
    columns["cos"] = np.where(
        lengths > 0, arrays["dot"] / np.maximum(lengths, 1e-300), 0
    )
    _, first, image = np.unique(indices, return_index=True, return_inverse=True)
    rank = np.argsort(np.argsort(first))[image]  # of the image, as they came
    group = rank * GROUPS // len(first)
    parts = [group != number for number in range(GROUPS)]
    found: Found = {}
    with np.errstate(invalid="ignore"):
        for name, column in columns.items():
            error = _error([column[left].mean() for left in parts])
            found[name] = column.mean(), error
        s, t = arrays["norm_s"], arrays["norm_t"]
        error = _error([s[left].sum() / t[left].sum() for left in parts])
        found["rho"] = s.sum() / t.sum(), error
    if len(first) < GROUPS:
        found = {name: (value, None) for name, (value, _) in found.items()}
    errors = content["standard_error"]
    yield from _differ(found, lambda name: (content[name], errors[name]), True)


def _error(without: list[float]) -> float:
    values = np.array(without)
    return np.sqrt(((values - values.mean()) ** 2).sum() * (GROUPS - 1) / GROUPS)


def _of_samples(
    evidence: Evidence, item: Mapping[str, Any], arrays: Arrays, content: Any
) -> Iterator[str]:
    metrics, count = content["metrics"], content["num_samples"]
    quantile = stdtrit(GROUPS - 1, (1 + LEVEL) / 2)
    for name, entry in metrics.items():
        error = entry.get("standard_error")
        if error is not None:
            ends = entry["value"] + quantile * error * np.array([-1.0, 1.0])
            if not np.allclose(entry["interval"], ends, 1e-6, 1e-9):
                yield f"{name}: the interval {entry['interval']} is not {ends.tolist()}"
    if len(arrays["features"]) != min(count, MOST):
        yield f"features of {len(arrays['features'])} images of {count}"
    reference = evidence.root / f"results/extract_reference/{item['dataset']}"
    if count > MOST or not (reference / "reference.npz").is_file():
        return
    found = _again(arrays, reference / "reference.npz", evidence.params)

    def recorded(name: str) -> tuple[Any, Any]:
        return metrics[name]["value"], metrics[name].get("standard_error")

    yield from _differ(found, recorded, False)


@lru_cache(maxsize=2)
def _reference(path: Path) -> tuple[Arrays, np.ndarray]:
    """What a reference.npz holds, and a factor B of its covariance B B^T."""
    arrays = _load(path) or {}
    levels, axes = np.linalg.eigh(arrays["sigma"])
    return arrays, axes * np.sqrt(np.maximum(levels, 0.0))


def _again(arrays: Arrays, path: Path, params: Mapping[str, Any]) -> Found:
    """The metrics of features.npz, those of sample_metrics that are known here."""
    reference, factor = _reference(path)
    x = arrays["features"].astype(np.float64)
    seen, total = x @ factor, (factor**2).sum()
    group = np.arange(len(x)) * GROUPS // len(x)

    def frechet(left: np.ndarray) -> float:
        """The nuclear norm of X B is the trace of the root of the covariances."""
        y, z = x[left], seen[left] - seen[left].mean(axis=0)
        own = np.square(y - y.mean(axis=0)).sum() / (len(y) - 1)
        gram = z.T @ z if len(z) > z.shape[1] else z @ z.T
        levels = np.linalg.eigvalsh(gram / (len(y) - 1))
        overlap = np.sqrt(np.maximum(levels, 0.0)).sum()
        shift = np.square(y.mean(axis=0) - reference["mu"]).sum()
        return shift + own + total - 2.0 * overlap

    error = None
    if len(x) >= GROUPS:
        error = _error([frechet(group != number) for number in range(GROUPS)])
    found: Found = {"frechet": (frechet(group >= 0), error)}
    settings = params["compute_metrics"]
    seed, splits = settings["shuffle_seed"], settings["is_splits"]
    rows = arrays["probabilities"].astype(np.float64)
    order = np.random.default_rng(seed).permutation(len(rows))
    scores = []
    for part in np.array_split(rows[order], splits):
        part = part / part.sum(axis=1, keepdims=True)
        mean = part.mean(axis=0)
        scores.append(
            np.exp(xlogy(part, part).sum(axis=1).mean() - xlogy(mean, mean).sum())
        )
    found["inception_score"] = float(np.mean(scores)), None
    return found
