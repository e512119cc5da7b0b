"""A labelled image dataset: one file, two splits, and the checks it must pass."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dash_repro.arrays import load_npz, save_npz
from runledger.errors import UserError

SPLITS = ("train", "test")
CHANNELS = (1, 3)  # grey, RGB
ARRAYS = (
    "train_images",
    "train_labels",
    "test_images",
    "test_labels",
    "class_names",
)


class DatasetError(UserError):
    """A dataset that is missing, incomplete or not what params.yaml says."""


@dataclass(frozen=True)
class Dataset:
    """Two labelled splits of square images, grey (C = 1) or RGB (C = 3).

    Attributes:
        train_images, test_images: uint8 (N, H, H, C).
        train_labels, test_labels: int64 (N,) in [0, C).
        class_names: str, one a class.
    """

    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
    class_names: np.ndarray

    @property
    def num_classes(self) -> int:
        """The number of classes."""
        return len(self.class_names)

    @property
    def image_size(self) -> int:
        """H, in pixels."""
        return int(self.train_images.shape[1])

    @property
    def channels(self) -> int:
        """C, 1 or 3."""
        return int(self.train_images.shape[3])

    def split(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Images and labels of "train" or "test"."""
        if name not in SPLITS:
            raise DatasetError(f"unknown split {name!r}", "", f"use one of {SPLITS}")
        return getattr(self, f"{name}_images"), getattr(self, f"{name}_labels")


def check_dataset(dataset: Dataset, where: object) -> Dataset:
    """Return the dataset if it keeps the promises of `Dataset`.

    Raises:
        DatasetError: a wrong shape, type or label, or a class without an image.
    """
    shape = dataset.train_images.shape[1:]
    for name in SPLITS:
        images, labels = dataset.split(name)
        problem = _problem(images, labels, shape, dataset.num_classes)
        if problem:
            remedy = "delete the file and run prepare_data again"
            raise DatasetError(f"{name} split: {problem}", str(where), remedy)
    return dataset


def _problem(
    images: np.ndarray, labels: np.ndarray, shape: tuple[int, ...], classes: int
) -> str:
    square = len(shape) == 3 and shape[0] == shape[1] and shape[2] in CHANNELS
    if images.dtype != np.uint8 or images.shape[1:] != shape or not square:
        found = f"images are {images.dtype} {images.shape}"
        return f"{found}, not uint8 (N, H, H, C) with C = 1 or 3, as in train"
    if labels.dtype != np.int64 or labels.shape != (len(images),):
        return f"labels are {labels.dtype} {labels.shape} for {len(images)} images"
    found = np.unique(labels)
    if not np.array_equal(found, np.arange(classes)):
        return f"labels do not cover 0..{classes - 1}; there are {len(found)} of them"
    return ""


def save_dataset(path: Path | str, dataset: Dataset) -> None:
    """Write images.npz; equal datasets give equal bytes."""
    check_dataset(dataset, path)
    save_npz(path, **{name: getattr(dataset, name) for name in ARRAYS})


def load_dataset(path: Path | str) -> Dataset:
    """Read images.npz.

    Raises:
        ArrayFileError: the file is missing, cut short or lacks an array.
        DatasetError: its arrays do not make a dataset.
    """
    arrays = load_npz(path, ARRAYS)
    return check_dataset(Dataset(**{name: arrays[name] for name in ARRAYS}), path)


def class_quotas(limit: int, num_classes: int) -> list[int]:
    """Share `limit` images among the classes; the first get one more if it is uneven.

    Raises:
        DatasetError: the limit leaves a class without an image.
    """
    if limit < num_classes:
        raise DatasetError(
            f"a limit of {limit} images leaves some of {num_classes} classes empty",
            "max_train or max_test of prepare_data in params.yaml",
            f"set it to at least {num_classes}, or to null for all",
        )
    base, extra = divmod(limit, num_classes)
    return [base + (label < extra) for label in range(num_classes)]


def balanced_subset(
    labels: np.ndarray, limit: int | None, num_classes: int
) -> np.ndarray:
    """Indices of the first images of each class, at most `limit`, in stored order.

    A class with fewer images than its share gives all it has, so that the subset is
    smaller than the limit rather than unbalanced in favour of the others.
    """
    if limit is None:
        return np.arange(len(labels))
    kept = [
        np.flatnonzero(labels == label)[:quota]
        for label, quota in enumerate(class_quotas(limit, num_classes))
    ]
    return np.sort(np.concatenate(kept))
