"""A metric of a set of images, and where each registers, from its own module."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from runledger.plugins import Registry

if TYPE_CHECKING:
    from dash_repro.evaluation.reference import Reference

    Measure = Callable[
        [np.ndarray, np.ndarray, Reference, Mapping[str, Any]], "Measured | None"
    ]


class Measured(NamedTuple):
    """A metric of one set of images.

    Attributes:
        value: the metric.
        std: its spread over splits or subsets; None: it has none.
        standard_error: over sets of as many images (jackknife.py); None: not known.
    """

    value: float
    std: float | None = None
    standard_error: float | None = None


@dataclass(frozen=True)
class Metric:
    """One metric; its key in metrics.json is the name under which it registers.

    Attributes:
        label: its name with the Inception network's features: FID.
        short: the part of its name with other features that says what it is: fd.
        measure: from features (N, D), class probabilities (N, C), the reference and
            section compute_metrics to what was measured; None: it cannot be here.
    """

    label: str
    short: str
    measure: Measure


METRICS = Registry[Metric]("metric")


def metric(name: str, label: str, short: str) -> Callable[[Measure], Measure]:
    """Register a metric that the decorated function measures."""
    return METRICS.decorator(name, lambda measure: Metric(label, short, measure))
