"""Printed names of metrics, datasets and rows."""

from __future__ import annotations

from collections.abc import Iterable

from dash_repro.paper.needs import TEACHER, stepped
from dash_repro.paper.rows import Row

EXTRACTOR_NAMES = {
    "effnetlite0": "EffNetLite0",
    "effnetlite2": "EffNetLite2",
    "classifier": "classifier",
    "dinov2": "DINOv2",
    "clip": "CLIP",
}
METRIC_NAMES = {  # what is no name of its own bears the extractor's, too
    "fd": "FD-",
    "is": "IS-",
    "kid": "KID-",
    "fd_inf": "FD∞-",
    "precision": "precision",
    "recall": "recall",
    "nn": "NN ratio",
    "class_accuracy": "accuracy",
}
DATASET_NAMES = {"cifar10": "CIFAR-10", "cifar100": "CIFAR-100"}
MODEL_NAMES = {
    "teacher": "Teacher",
    TEACHER: "Teacher",
    "scratch": "Scratch",
    "cond_only": "Conditional only",
    "composite": "Composite",
    "fitnets": "FitNets (+ L_{an})",
    "gap_match": "Gap match",
    "dash": "DASH",
    "multi_w_composite": "Random w",
    "magnitude_pruning": "Pruned",
    "single_head_no_cfg": "Single head",
    "no_un": "without L_{un}",
    "no_im": "without L_{im}",
    "no_an": "without L_{an}",
    "tirt_min_snr": "frozen Min-SNR weights",
    "tirt_learned": "learned λ from 0",
}


def metric_name(name: str) -> str:
    """The name a metric may be called by in print."""
    short, _, extractor = name.rpartition("_")
    if extractor not in EXTRACTOR_NAMES:
        return METRIC_NAMES.get(name, name.replace("_", "-"))
    known = METRIC_NAMES.get(short, f"{short}-".replace("_", "-"))
    return known + EXTRACTOR_NAMES[extractor] if known.endswith("-") else known


def metric_names(rows: Iterable[Row]) -> str:
    """Printed names of the metrics of rows: "FID", or "FID or FD-DINOv2"."""
    return " or ".join(sorted({metric_name(row.name) for row in rows}))


def dataset_name(dataset: str) -> str:
    """Printed name of a dataset."""
    return DATASET_NAMES.get(dataset, dataset)


def model_name(model: str) -> str:
    """Printed name of a row; a new student shows under its own id."""
    student, steps = stepped(model)
    name = MODEL_NAMES.get(student, student.replace("_", "-"))
    return name if steps is None else f"{name}, {steps} steps"
