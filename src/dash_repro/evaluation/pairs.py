"""Matched pairs of two sample sets, ranked by how far their features are apart."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from dash_repro.evaluation.errors import EvaluationError
from dash_repro.evaluation.extractors import Extractor
from dash_repro.evaluation.features import extract_features


def require_matched(
    first: dict[str, np.ndarray], second: dict[str, np.ndarray]
) -> None:
    """Refuse sample sets that do not share sampling seed and labels.

    Args:
        first, second: arrays of two samples.npz.

    Raises:
        EvaluationError: image i of one is not the counterpart of image i of the other.
    """
    count = min(len(first["labels"]), len(second["labels"]))
    same_seed = first["sampling_seed"] == second["sampling_seed"]
    same_labels = np.array_equal(first["labels"][:count], second["labels"][:count])
    same_shape = first["images"].shape[1:] == second["images"].shape[1:]
    if not (same_seed and same_labels and same_shape):
        raise EvaluationError(
            "the two sample sets differ in sampling seed, labels or image size, so "
            "their images do not belong together in pairs",
            "inputs of rank_pairs",
            "compare sets of the same dataset and sampling seed",
        )


def rank_pairs(
    first: np.ndarray,
    second: np.ndarray,
    extractor: Extractor,
    pool: int,
    shown: int,
    device: torch.device,
) -> dict[str, Any]:
    """The pairs that differ most, by the l2 distance of their features (Figs. D6, D7).

    Args:
        first, second: uint8 (N, H, W, C); image i of one belongs to i of the other.
        pool: the first so many pairs are ranked.
        shown: so many of them are returned.

    Returns:
        The content of pairs.json: "indices" and "distances", the farthest first (of
        equal ones the lower index), "pool" and "extractor".

    Raises:
        EvaluationError: fewer images than the pool, or a pool smaller than `shown`.
    """
    _require_pool(shown, pool, min(len(first), len(second)))
    features = [
        extract_features(images[:pool], extractor, device)[0].astype(np.float64)
        for images in (first, second)
    ]
    distances = np.linalg.norm(features[0] - features[1], axis=1)
    worst = np.argsort(-distances, kind="stable")[:shown]
    return {
        "extractor": extractor.name,
        "indices": worst.tolist(),
        "distances": distances[worst].tolist(),
        "pool": pool,
    }


def _require_pool(shown: int, pool: int, available: int) -> None:
    if not 1 <= shown <= pool <= available:
        raise EvaluationError(
            f"{shown} pairs of the first {pool}, of {available} that there are",
            "rank_pairs.pool and rank_pairs.shown in params.yaml",
            "generate more images, or lower the pool",
        )
