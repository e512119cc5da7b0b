"""Euclidean distances between sets of features, block by block."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

BLOCK = 1000  # rows of a block: of 10,000 columns, 80 MB


def distances(rows: np.ndarray, columns: np.ndarray) -> Iterator[np.ndarray]:
    """||x_i - y_j||, in blocks of BLOCK rows x.

    In float64, and about the columns' mean, so that what is near does not drown in the
    rounding of what is large.

    Args:
        rows: (N, D).
        columns: (M, D).

    Yields:
        (BLOCK or fewer, M).
    """
    centre = columns.mean(axis=0, dtype=np.float64)
    others = columns - centre
    squares = np.square(others).sum(axis=1)
    for start in range(0, len(rows), BLOCK):
        some = rows[start : start + BLOCK] - centre
        squared = np.square(some).sum(axis=1)[:, None] + squares - 2 * some @ others.T
        yield np.sqrt(squared.clip(min=0.0))


def nearest(rows: np.ndarray, columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The nearest of the columns to each row: its number and its distance, both (N,).

    Args:
        rows, columns: see `distances`.
    """
    found = [
        (block.argmin(axis=1), block.min(axis=1)) for block in distances(rows, columns)
    ]
    numbers, far = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return numbers, far
