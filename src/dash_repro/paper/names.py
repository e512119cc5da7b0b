"""Printed names of metrics, datasets and rows."""

from __future__ import annotations

from dash_repro.paper.needs import TEACHER

METRIC_NAMES = {
    "FID": "FID",
    "IS": "IS",
    "KID": "KID",
    "fd_effnetlite0": "FD-EffNetLite0",
    "is_effnetlite0": "IS-EffNetLite0",
    "kid_effnetlite0": "KID-EffNetLite0",
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
    return METRIC_NAMES.get(name, name.replace("_", "-"))


def dataset_name(dataset: str) -> str:
    """Printed name of a dataset."""
    return DATASET_NAMES.get(dataset, dataset)


def model_name(model: str) -> str:
    """Printed name of a row; a new student shows under its own id."""
    return MODEL_NAMES.get(model, model.replace("_", "-"))
