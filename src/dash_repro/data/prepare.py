"""From a block of `prepare_data` in params.yaml to a dataset."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from dash_repro.data.cifar import read_torchvision
from dash_repro.data.dataset import (
    Dataset,
    DatasetError,
    balanced_subset,
    check_dataset,
)
from dash_repro.data.digits import read_digits
from dash_repro.data.folder import read_folder
from dash_repro.data.glyphs import read_glyphs
from dash_repro.data.images import to_channels

# A source gets the block and returns an RGB Dataset at image_size; it may stop at
# max_train and max_test images, and prepare() makes sure of them, and of channels. It
# may note what it read and left out.
SOURCES: dict[str, Callable[[Mapping[str, Any], dict[str, Any]], Dataset]] = {
    "torchvision": read_torchvision,
    "folder": read_folder,
    "digits": read_digits,
    "glyphs": read_glyphs,
}


def prepare(block: Mapping[str, Any], notes: dict[str, Any] | None = None) -> Dataset:
    """The dataset of one block of `prepare_data`.

    Args:
        block: `source`, `name`, `path`, `image_size`, `channels`, `max_train`,
            `max_test`.
        notes: gets what a source says of its files, for the log and the record.

    Raises:
        DatasetError: the source is unknown, or its files are missing or broken.
    """
    source = block["source"]
    if source not in SOURCES:
        raise DatasetError(
            f"unknown source {source!r}",
            "prepare_data in params.yaml",
            f"use one of {', '.join(sorted(SOURCES))}",
        )
    dataset = check_dataset(
        SOURCES[source](block, {} if notes is None else notes), f"source {source}"
    )
    train = _limited(dataset, "train", block)
    test = _limited(dataset, "test", block)
    return Dataset(*train, *test, class_names=dataset.class_names)


def _limited(
    dataset: Dataset, split: str, block: Mapping[str, Any]
) -> tuple[np.ndarray, np.ndarray]:
    images, labels = dataset.split(split)
    kept = balanced_subset(labels, block[f"max_{split}"], dataset.num_classes)
    return to_channels(images[kept], block["channels"]), labels[kept]
