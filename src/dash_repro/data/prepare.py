"""From a block of `prepare_data` in params.yaml to a dataset."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from dash_repro.data.dataset import (
    Dataset,
    DatasetError,
    balanced_subset,
    check_dataset,
)
from dash_repro.data.images import to_channels
from dash_repro.data.sources import SOURCES


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
        SOURCES[source].read(block, {} if notes is None else notes), f"source {source}"
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
