"""How far samples lie from the training images, beside images that were held out.

A network that copies its training images makes samples nearer to them than new images
of the same kind are.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from dash_repro.evaluation.distances import nearest
from dash_repro.evaluation.errors import EvaluationError
from dash_repro.evaluation.jackknife import GROUPS, group_of, standard_error
from dash_repro.evaluation.metric import Measured, metric

if TYPE_CHECKING:
    from dash_repro.evaluation.reference import Reference


@metric("nearest", label="NN ratio", short="nn")
def of_images(
    features: np.ndarray,
    classes: np.ndarray,
    reference: Reference,
    settings: Mapping[str, Any],
) -> Measured | None:
    """Median distance to the nearest training image, over that of held-out images.

    About 1: samples are as far from the training images as new images are; far below
    1: they are copies. None where the reference has no held-out images. See
    metric.Metric.

    Raises:
        EvaluationError: more than half of the held-out images are training images.
    """
    if math.isnan(reference.held_out_distance):
        return None
    if reference.held_out_distance == 0:
        raise EvaluationError(
            "more than half of the held-out images have the features of a training "
            "image, so that copying cannot be told from generating",
            "extract_reference.floor_split; the dataset",
            "remove from one split what is in the other, too",
        )
    ratios = nearest(features, reference.features)[1] / reference.held_out_distance
    group = group_of(len(ratios))
    without = None
    if group is not None:
        without = [np.median(ratios[group != g]) for g in range(GROUPS)]
    return Measured(float(np.median(ratios)), standard_error=standard_error(without))


def closest(
    features: np.ndarray, reference: Reference, shown: int
) -> dict[str, list[Any]]:
    """The pairs of a sample and a training image that lie nearest to each other.

    Args:
        features: (N, D), of samples.
        reference: of the training images.
        shown: most pairs; each sample is in one at the most.

    Returns:
        "samples" and "training": image numbers; "ratios": their distances over the
        median distance of held-out images (null where there are none). The nearest
        pair first, of equal ones the lower sample.
    """
    numbers, far = nearest(features, reference.features)
    first = np.argsort(far, kind="stable")[:shown]
    usual = reference.held_out_distance
    return {
        "samples": first.tolist(),
        "training": numbers[first].tolist(),
        "ratios": None if math.isnan(usual) else (far[first] / usual).tolist(),
    }
