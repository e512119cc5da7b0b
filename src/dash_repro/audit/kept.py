"""Metrics computed again from the features and pairs that are kept beside them.

Features are kept of 10,000 images at the most; of more, no metric can be had again.
Those that take long are computed again of few images, or where they are asked for.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import stdtrit

from dash_repro.arrays import ArrayFileError, load_npz
from dash_repro.audit.evidence import Evidence
from dash_repro.audit.interval import LEVEL
from dash_repro.audit.remeasured import (
    GROUPS,
    MOST,
    Again,
    Arrays,
    Samples,
    group_error,
    real_images,
)
from runledger.audit import OBJECTION, UNCHECKED, Finding

OF_ERRORS = 0.05  # of a standard error, that half precision may move it by
SLOW = (
    "With --every-metric those of sets of 10,000 images and fewer are; of larger ones, "
    "not all features are kept."
)
GAPS = {"gap_mse": "gap_sq_err", "err_cond": "err_cond", "err_uncond": "err_uncond"}

Found = Mapping[str, Again]


def check_kept(evidence: Evidence, every: bool = False) -> Iterator[Finding]:
    """Files of features and pairs that give other metrics than are recorded.

    Args:
        every: the metrics that take long are computed again, too.
    """
    believed: Counter[str] = Counter()

    def of_samples(item: Mapping[str, Any], arrays: Arrays, content: Any) -> Any:
        yield from _of_set(arrays, content)
        found = {}
        reference = f"results/extract_reference/{item['dataset']}/reference.npz"
        if content["num_samples"] <= MOST and (evidence.root / reference).is_file():
            real = real_images(evidence.root / reference)
            settings = evidence.params["compute_metrics"]
            found = Samples(arrays, real, settings).metrics(every)
        metrics = content["metrics"]
        believed.update(set(metrics) - set(found))
        yield from _differ(
            {name: one for name, one in found.items() if name in metrics},
            lambda name: (metrics[name]["value"], metrics[name].get("standard_error")),
        )

    kept = {
        "compute_metrics": ("features.npz", of_samples),
        "measure_calibration": ("pairs.npz", _of_pairs),
    }
    for stage, (file, details) in kept.items():
        for id, item in evidence.by_stage.get(stage, []):
            path = f"results/{stage}/{id}/{file}"
            arrays = _load(evidence.root / path)
            content = evidence.raw_json(stage, id)
            if arrays is None or content is None:
                continue  # the chain says so
            for detail in details(item, arrays, content):
                of = (f"{stage}@{id}",)
                yield Finding(OBJECTION, "not what is kept", path, detail, of)
    if believed:
        counts = ", ".join(f"{name} ({n} sets)" for name, n in sorted(believed.items()))
        detail = f"taken from their records, not computed again: {counts}. {SLOW}"
        where = "results/compute_metrics"
        yield Finding(UNCHECKED, "metrics of samples", where, detail)


def _load(path: Path) -> dict[str, np.ndarray] | None:
    try:
        return load_npz(path, ())
    except ArrayFileError:
        return None


def _differ(
    found: Found, recorded: Callable[[str], tuple[Any, Any]], share: float = OF_ERRORS
) -> Iterator[str]:
    """Details of numbers that are recorded otherwise.

    Args:
        found: metrics, computed again.
        recorded: from a metric's name to its value and its standard error.
        share: by which standard errors may differ.
    """
    for name, again in found.items():
        value, error = recorded(name)
        numbers = (
            ("", again.value, value, again.slack + 1e-9 * abs(again.value)),
            (
                " of the standard error",
                again.error,
                error,
                again.error_slack + share * abs(again.error or 0.0),
            ),
        )
        for what, ours, theirs, slack in numbers:
            if ours is None or (theirs is None and np.isnan(ours)):
                continue
            if theirs is None or not abs(ours - theirs) <= slack + 1e-9:
                yield f"{name}{what}: {ours:.6g} from the file, {theirs} recorded"


def _of_pairs(_item: Any, arrays: Arrays, content: Mapping[str, Any]) -> Iterator[str]:
    indices = arrays["indices"]
    if len(indices) != content["pairs"]:
        yield f"{len(indices)} pairs, {content['pairs']} recorded"
        return
    s, t = arrays["norm_s"], arrays["norm_t"]
    columns = {name: arrays[column] for name, column in GAPS.items()}
    cosines = arrays["dot"] / np.maximum(s * t, 1e-300)
    columns["cos"] = np.where(s * t > 0, cosines, 0)
    _, first, image = np.unique(indices, return_index=True, return_inverse=True)
    rank = np.argsort(np.argsort(first))[image]  # of the image, as they came
    metrics = {name: _mean_of(column) for name, column in columns.items()}
    metrics["rho"] = lambda chosen: s[chosen].sum() / t[chosen].sum()
    metrics["err_cos"] = lambda chosen: _errors_cosine(arrays, chosen)
    group, every = rank * GROUPS // len(first), np.ones(len(indices), bool)
    with np.errstate(invalid="ignore"):
        found = {
            name: Again(metric(every), group_error(metric, group), 0.0)
            for name, metric in metrics.items()
        }
    errors = content["standard_error"]
    yield from _differ(found, lambda name: (content[name], errors[name]), 1e-9)


def _mean_of(column: np.ndarray) -> Callable[[np.ndarray], float]:
    return lambda chosen: column[chosen].mean()


def _errors_cosine(arrays: Arrays, chosen: np.ndarray) -> float:
    """Between the branches' errors, by the law of cosines; NaN where one has none."""
    sides = ("err_cond", "err_uncond", "gap_sq_err")
    a, b, opposite = (arrays[name][chosen].sum() for name in sides)
    return (a + b - opposite) / np.sqrt(4 * a * b) if a * b else np.nan


def _of_set(arrays: Arrays, content: Mapping[str, Any]) -> Iterator[str]:
    """How many images there are, and intervals that do not follow from the errors."""
    quantile = stdtrit(GROUPS - 1, (1 + LEVEL) / 2)
    for name, entry in content["metrics"].items():
        error = entry.get("standard_error")
        if error is not None:
            ends = entry["value"] + quantile * error * np.array([-1.0, 1.0])
            if not np.allclose(entry["interval"], ends, 1e-6, 1e-9):
                yield f"{name}: the interval {entry['interval']} is not {ends.tolist()}"
    count = content["num_samples"]
    if len(arrays["features"]) != min(count, MOST):
        yield f"features of {len(arrays['features'])} images of {count}"
