"""Reads metrics, calibrations, profiles and curves into rows; averages nothing.

Curves that follow from params alone come from the same functions as training's.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from dash_repro.arrays import ArrayFileError, load_npz, read_json
from dash_repro.paper.rows import (
    COLUMNS,
    PARAMS_STAGE,
    CollectedError,
    Row,
    number_text,
    param_rows,
)

CALIBRATION_METRICS = ("rho", "cos", "gap_mse", "err_cond", "err_uncond")
SNAPSHOTS = 6  # of lambda and omega_hat for Figure S1, the first and last among them
_IDENTITY = COLUMNS[COLUMNS.index("dataset") : COLUMNS.index("metric")]


def identity_row(
    item: str, stage: str, instance: str, member: Mapping[str, Any]
) -> Row:
    """The columns that say whose number it is.

    Args:
        item: table or figure.
        stage, instance: producer of the file.
        member: typed identity from the plan (dash_repro.paper.needs).

    Raises:
        CollectedError: the identity is of another stage, or names no dataset.
    """
    if member.get("stage") != stage or "dataset" not in member:
        raise CollectedError(
            f"{stage}/{instance} has the identity {dict(member)}",
            f"members of {item}",
            "make the plan give each member its stage and dataset",
        )
    columns = {key: _text(member.get(key)) for key in _IDENTITY}
    if columns["scale"]:
        columns["scale"] = number_text(float(columns["scale"]))
    return Row(item=item, stage=stage, instance=instance, **columns)


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def gather(
    item: Mapping[str, Any],
    params: Mapping[str, Any],
    files: Iterable[tuple[str, Path]],
) -> list[Row]:
    """All rows of a table or figure.

    Args:
        item: what the plan says of it: "item", "members" and "derived".
        params: those that it is shown with, nested.
        files: (member, result file of it).
    """
    name = item["item"]
    rows = param_rows(name, params)
    for curve in item.get("derived", ()):
        metric, values_of = DERIVED[curve]
        base = Row(item=name, stage=PARAMS_STAGE)
        rows += curve_rows(base, metric, values_of(params))
    for member, path in files:
        stage, _, instance = member.partition("/")
        base = identity_row(name, stage, instance, item["members"][member])
        rows += read_instance(path, base)
    return rows


def read_instance(path: Path, base: Row) -> list[Row]:
    """Read one result file with the reader of the stage that made it.

    Raises:
        CollectedError: no reader for that stage.
        ArrayFileError: a file that is broken or lacks a key.
    """
    if base.stage not in READERS:
        raise CollectedError(
            f"no reader for files of {base.stage}",
            str(path),
            "add one to dash_repro.paper.collect.READERS",
        )
    reader = read_cost if path.name == "cost.json" else READERS[base.stage]
    try:
        return list(reader(path, base))
    except (KeyError, TypeError, AttributeError) as error:
        raise ArrayFileError(
            f"lacks {error} (or holds it in another form)",
            str(path),
            "delete the file and run the same command again",
        ) from error


def _number(base: Row, metric: str, name: str, value: Any, **columns: str) -> Row:
    return replace(base, metric=metric, name=name, value=number_text(value), **columns)


def _metric(base: Row, metric: str, entry: Mapping[str, Any]) -> Row:
    """A metric of metrics.json or bounds.json, with its standard error."""
    extractor = entry.get("extractor", base.extractor)
    about = {"extractor": extractor, "error": _text(entry.get("standard_error"))}
    return _number(base, metric, entry["name"], entry["value"], **about)


def read_metrics(path: Path, base: Row) -> Iterator[Row]:
    """metrics.json: each metric, and its spread over splits or subsets."""
    content = read_json(path)
    base = replace(base, n=str(content["num_samples"]), extractor=content["extractor"])
    for metric, entry in content["metrics"].items():
        row = _metric(base, metric, entry)
        yield row
        if entry.get("std") is not None:
            std = number_text(entry["std"])
            yield replace(row, metric=f"{metric}_std", value=std, error="")


def read_bounds(path: Path, base: Row) -> Iterator[Row]:
    """bounds.json: each metric of each set; a set's number is its sampling seed."""
    content = read_json(path)
    base = replace(base, extractor=content["extractor"])
    for bound, found in content["bounds"].items():
        for index, metrics in enumerate(found["sets"]):
            row = replace(base, n=str(found["n"]), sampling_seed=str(index))
            for metric, entry in metrics.items():
                yield _metric(row, f"{bound}_{metric}", entry)


def read_calibration(path: Path, base: Row) -> Iterator[Row]:
    """calibration.json: the gap statistics, whole and by bin of t.

    A cosine that is undefined (null) gives no row.
    """
    content = read_json(path)
    row = replace(base, n=str(content["pairs"]))
    for metric in (*CALIBRATION_METRICS, "err_cos", "teacher_gap_norm"):
        if content[metric] is not None:
            error = _text(content["standard_error"].get(metric))
            yield _number(row, metric, metric, content[metric], error=error)
    for part in content["bins"]:
        middle = number_text((part["t_low"] + part["t_high"]) / 2)
        where = {"x": middle, "n": str(part["n"])}
        for metric in ("rho", "cos", "gap_mse"):
            if part.get(metric) is not None:
                yield _number(row, f"{metric}_bin", metric, part[metric], **where)


def read_step_gap(path: Path, base: Row) -> Iterator[Row]:
    """gap.json of a student distilled to fewer steps."""
    content = read_json(path)
    row = replace(base, n=str(content["pairs"]))
    for metric in CALIBRATION_METRICS:
        yield _number(row, metric, metric, content[metric])


def read_profile(path: Path, base: Row) -> Iterator[Row]:
    """profile.json: every number in it, under its key; texts (the device) too."""
    for key, value in sorted(read_json(path).items()):
        if isinstance(value, bool) or value is None:
            continue
        if isinstance(value, int | float):
            yield _number(base, "profile", key, value)
        elif isinstance(value, str):
            yield replace(base, metric="profile_text", name=key, value=value)


def read_cost(path: Path, base: Row) -> Iterator[Row]:
    """cost.json of a training: its share of the wall time, and the device."""
    content = read_json(path)
    yield _number(base, "cost", "seconds", content["seconds"] / content["together"])
    yield replace(base, metric="cost_text", name="device", value=content["device"])


def read_history(path: Path, base: Row) -> Iterator[Row]:
    """history.csv of a student: the monitored steps."""
    with open(path, newline="", encoding="utf-8") as file:
        for line in csv.DictReader(file):
            if not line["rho"]:
                continue
            for metric in CALIBRATION_METRICS:
                if line[metric] and line[metric] != "nan":
                    value, step = float(line[metric]), str(int(line["step"]))
                    yield _number(base, f"{metric}_step", metric, value, step=step)


def read_export(path: Path, base: Row) -> Iterator[Row]:
    """tirt.safetensors: lambda and omega_hat over t."""
    from safetensors.numpy import load_file

    try:
        tensors = load_file(path)
    except Exception as error:  # safetensors raises its own type, by version
        raise ArrayFileError(
            f"not a whole safetensors file: {error}",
            str(path),
            "delete the file and run the same command again",
        ) from None
    for metric in ("lambda", "omega_hat"):
        yield from curve_rows(base, metric, tensors[metric])


def read_curriculum(path: Path, base: Row) -> Iterator[Row]:
    """curriculum.npz: a few snapshots of lambda and omega_hat, and the loss over t."""
    names = ["steps", "lambda", "omega_hat", "loss_mean", "loss_std"]
    arrays = load_npz(path, names)
    for index in snapshot_indices(len(arrays["steps"])):
        row = replace(base, step=str(int(arrays["steps"][index])))
        for metric in ("lambda", "omega_hat"):
            yield from curve_rows(row, f"{metric}_snapshot", arrays[metric][index])
    for metric in ("loss_mean", "loss_std"):
        yield from curve_rows(base, metric, arrays[metric])


def snapshot_indices(count: int) -> list[int]:
    """At most SNAPSHOTS indices of `count`, evenly spread, both ends included."""
    return sorted({round(i) for i in np.linspace(0, count - 1, min(SNAPSHOTS, count))})


def curve_rows(base: Row, metric: str, values: Iterable[float]) -> Iterator[Row]:
    """A row for each timestep whose value is finite."""
    for t, value in enumerate(values):
        if np.isfinite(value):
            yield _number(base, metric, metric, value, x=number_text(float(t)))


def tag_scales(params: Mapping[str, Any]) -> list[float]:
    """w(t) of TAG (Eq. 3) at every timestep."""
    from dash_repro.diffusion.guidance import tag_scale

    timesteps, tag = params["diffusion"]["timesteps"], params["tag"]
    settings = timesteps, tag["w_min"], tag["w_max"], tag["beta"]
    return [tag_scale(t, *settings) for t in range(timesteps)]


def min_snr_weights(params: Mapping[str, Any]) -> list[float]:
    """Min-SNR weights with mean one over the timesteps: Eq. 2 with lambda = 0."""
    from dash_repro.diffusion.schedule import Schedule
    from dash_repro.objectives.curriculum import curriculum_from

    schedule = Schedule.from_params(params["diffusion"])
    weights = curriculum_from(None, params["teachers"]["min_snr"], schedule)
    return weights.omega_hat.tolist()


DERIVED = {  # curve of an item -> its metric, and its values from params
    "tag": ("tag_scale", tag_scales),
    "min_snr": ("omega_min_snr", min_snr_weights),
}
Reader = Callable[[Path, Row], Iterator[Row]]
READERS: dict[str, Reader] = {
    "compute_metrics": read_metrics,
    "extract_reference": read_bounds,
    "measure_calibration": read_calibration,
    "distill_steps": read_step_gap,
    "profile_model": read_profile,
    "train_student": read_history,
    "export_tirt": read_export,
    "train_teacher": read_curriculum,
}
