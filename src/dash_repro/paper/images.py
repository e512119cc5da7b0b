"""Picks the few generated images that a figure shows, with whose they are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from dash_repro.arrays import load_npz, read_json
from dash_repro.paper.rows import CollectedError

PAPER_CLASSES = (  # columns of Figures D3 and D4
    "apple",
    "bed",
    "bicycle",
    "bottle",
    "dinosaur",
    "elephant",
    "motorcycle",
    "rose",
    "sunflower",
    "tiger",
)
SHOWN_CLASSES = 10
PER_CLASS = 5  # or as many as a small run has of each


class Samples(NamedTuple):
    """One sample set of a figure.

    Attributes:
        instance: its id.
        member: its identity (model, steps, ...).
        images: uint8 (N, H, W, channels).
        labels: int64 (N,).
    """

    instance: str
    member: Mapping[str, Any]
    images: np.ndarray
    labels: np.ndarray


def read_samples(instance: str, path: Path, member: Mapping[str, Any]) -> Samples:
    """Read one samples.npz."""
    arrays = load_npz(path, ["images", "labels"])
    return Samples(instance, member, arrays["images"], arrays["labels"])


def select_images(
    layout: str, samples: Sequence[Samples], class_names: np.ndarray, pairs: Path | None
) -> dict[str, np.ndarray]:
    """Arrays of the item's small npz.

    Args:
        layout: "grid ROWSxCOLUMNS" of each sample set, "classes" in columns, or "pairs"
            that pairs.json names; "closest" is `closest_pairs`.
        samples: the sample sets of the figure.
        class_names: of the dataset.
        pairs: pairs.json; for "pairs" only.

    Returns:
        images (G, R, C, H, W, channels) uint8 and labels (G, R, C) int64 of G groups of
        R rows and C columns; groups (G,), their titles; columns (C,) titles or none;
        instances (G,); distances (C,), of each two groups, or none; class_names.
    """
    kind, _, shape = layout.partition(" ")
    if kind == "classes":
        return _by_class(samples[0], class_names)
    if kind == "grid":
        sides = [int(side) for side in shape.split("x")]
        indices = np.arange(np.prod(sides)).reshape(sides)
        return _packed(samples, indices, class_names)
    if pairs is None:
        raise CollectedError("no pairs.json", layout, "run rank_pairs first")
    ranked = read_json(pairs)
    chosen = _packed(samples, np.array(ranked["indices"])[None, :], class_names)
    return {**chosen, "distances": np.array(ranked["distances"], dtype=np.float64)}


def _ordered(samples: Sequence[Samples]) -> list[Samples]:
    """Teacher first, then the most steps; independent of the order of inputs."""

    def rank(one: Samples) -> tuple[bool, int, str]:
        teacher = str(one.member["model"]).startswith("teacher_")
        return not teacher, -int(one.member["steps"]), one.instance

    return sorted(samples, key=rank)


def group_title(member: Mapping[str, Any], several_models: bool) -> str:
    """Title of one group: who made it, or in how many steps."""
    if not several_models:
        return f"{member['steps']} steps"
    if str(member["model"]).startswith("teacher_"):
        return "Teacher"
    return f"{str(member['model']).upper()} student"


def _packed(
    samples: Sequence[Samples],
    indices: np.ndarray,
    class_names: np.ndarray,
    columns: Sequence[str] = (),
) -> dict[str, np.ndarray]:
    """The same (R, C) indices of every sample set."""
    samples = _ordered(samples)
    for one in samples:
        if indices.max() >= len(one.images):
            raise CollectedError(
                f"{len(one.images)} images, and image {indices.max()} is wanted",
                f"generate_samples/{one.instance}",
                "raise generate_samples.num_samples in params.yaml",
            )
    several = len({one.member["model"] for one in samples}) > 1
    return {
        "images": np.stack([one.images[indices] for one in samples]),
        "labels": np.stack([one.labels[indices] for one in samples]),
        "groups": _texts(group_title(one.member, several) for one in samples),
        "columns": _texts(columns),
        "instances": _texts(one.instance for one in samples),
        "distances": np.zeros(0),
        "class_names": class_names,
    }


def _texts(values: Iterable[str]) -> np.ndarray:
    return np.array(list(values), dtype=np.str_)


def shown_classes(class_names: Sequence[str]) -> list[int]:
    """The paper's ten classes where the dataset has them all, else its first ten."""
    names = [str(name) for name in class_names]
    if set(PAPER_CLASSES) <= set(names):
        return [names.index(name) for name in PAPER_CLASSES]
    return list(range(min(SHOWN_CLASSES, len(names))))


def _by_class(samples: Samples, class_names: np.ndarray) -> dict[str, np.ndarray]:
    classes = shown_classes(class_names)
    found = [np.flatnonzero(samples.labels == label)[:PER_CLASS] for label in classes]
    fewest = min(len(indices) for indices in found)
    if fewest == 0:
        raise CollectedError(
            "no image of a class that is shown",
            f"generate_samples/{samples.instance}",
            "raise generate_samples.num_samples in params.yaml",
        )
    names = [str(class_names[label]) for label in classes]
    indices = np.stack([indices[:fewest] for indices in found], axis=1)
    packed = _packed([samples], indices, class_names, names)
    return {**packed, "groups": _texts([""])}


def closest_pairs(
    samples: Samples,
    data: Mapping[str, np.ndarray],
    metrics: Mapping[str, Any],
    bounds: Mapping[str, Any],
) -> dict[str, np.ndarray]:
    """The nearest pairs of a sample and a training image, and of a held-out image.

    Args:
        samples: the sample set.
        data: arrays of images.npz.
        metrics, bounds: contents of metrics.json of that set, and of bounds.json.

    Returns:
        Arrays as of `select_images`: four groups of one row, distances (2 C,).
    """
    split = bounds["reference"]["split"]
    held_out = "test" if split == "train" else "train"
    own, real = metrics["closest"], bounds["closest"]
    shown = min(len(own["samples"]), len(real["samples"]))
    training = data[f"{split}_images"], data[f"{split}_labels"]
    others = data[f"{held_out}_images"], data[f"{held_out}_labels"]
    rows = [  # (images and labels, image numbers) of each group
        ((samples.images, samples.labels), own["samples"]),
        (training, own["training"]),
        (others, real["samples"]),
        (training, real["training"]),
    ]
    neighbour = "nearest in training"
    titles = group_title(samples.member, True), neighbour, "held-out image", neighbour
    images, labels = (
        np.stack([arrays[kind][chosen[:shown]] for arrays, chosen in rows])[:, None]
        for kind in (0, 1)
    )
    return {
        "images": images,
        "labels": labels,
        "groups": _texts(titles),
        "columns": _texts(()),
        "instances": _texts([samples.instance]),
        "distances": np.concatenate([one["ratios"][:shown] for one in (own, real)]),
        "class_names": data["class_names"],
    }
