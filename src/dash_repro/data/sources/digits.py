"""scikit-learn's handwritten digits: real data that needs no download."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from dash_repro.data.dataset import Dataset
from dash_repro.data.images import fit_images
from dash_repro.data.source import source

TEST_EVERY = 5  # one image in five of each class is a test image


@source("digits", images=(1_400, 400))
def read_digits(block: Mapping[str, Any], notes: dict[str, Any]) -> Dataset:
    """1,797 scanned digits (8x8, 17 grey levels), enlarged, as grey RGB.

    Every fifth image of each class, in the order of the source, is a test image. The
    same writers are in both splits.

    Args:
        block: `image_size`.
        notes: not used; all there is is read.
    """
    from sklearn.datasets import load_digits  # a second to import

    scans = load_digits()
    grey = np.rint(scans.images * (255.0 / 16.0)).astype(np.uint8)
    labels = scans.target.astype(np.int64)
    images = fit_images(np.repeat(grey[..., None], 3, axis=3), block["image_size"])
    test = np.zeros(len(labels), dtype=bool)
    for label in range(10):
        test[np.flatnonzero(labels == label)[TEST_EVERY - 1 :: TEST_EVERY]] = True
    names = np.array([str(label) for label in range(10)])
    return Dataset(images[~test], labels[~test], images[test], labels[test], names)
