"""A feature extractor, and where each registers, from its own module.

Imports nothing heavy: params and the Snakefile read which there are, and their cost.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dash_repro.evaluation.errors import EvaluationError
from runledger.plugins import Registry

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    import torch
    from torch import Tensor

    Build = Callable[..., "Extractor"]

KEPT_IMAGES = 10_000  # at most, of a set: whose features are stored


@dataclass(frozen=True)
class Extractor:
    """A network that turns images into features and class probabilities.

    Attributes:
        name: as in params.yaml.
        identity: name and everything that moves features, so that statistics of one
            are never compared with another's.
        naming: name of a metric made with it, of the metric's {label} or {short}; only
            the Inception network's metrics bear the label: FID, IS, KID.
        dimension: D, of the features.
        resize: one image, uint8 (H, W, 3), to uint8 or float32 (h, w, 3) in 0..255.
        forward: float32 (B, 3, h, w) in 0..255 to features (B, D) and class
            probabilities (B, C).
    """

    name: str
    identity: str
    naming: str
    dimension: int
    resize: Callable[[np.ndarray], np.ndarray]
    forward: Callable[[Tensor], tuple[Tensor, Tensor]]

    def metric_name(self, metric: Any) -> str:
        """What a metric of sample_metrics may be called with these features."""
        return self.naming.format(label=metric.label, short=metric.short)


@dataclass(frozen=True)
class Builder:
    """How an extractor is made, and what it costs.

    Attributes:
        build: from section `extractor` of params.yaml and a device; where a stage makes
            the weights, also from their file.
        flop: of one image, two operations a multiply-add.
        stage: that makes its weights, and counts its work; "" where none does.
    """

    build: Build
    flop: float
    stage: str = ""


EXTRACTORS = Registry[Builder]("extractor")


def extractor(
    name: str, flop: float = 0.0, stage: str = ""
) -> Callable[[Build], Build]:
    """Register an extractor that the decorated function builds; see Builder."""
    return EXTRACTORS.decorator(name, lambda build: Builder(build, flop, stage))


def build_extractor(
    config: Mapping[str, Any], device: torch.device, *made: Path
) -> Extractor:
    """The extractor of section `extractor` of params.yaml, on a device.

    Args:
        config: that section.
        device: for the network.
        made: file of its weights, where a stage makes them.

    Raises:
        EvaluationError: unknown name or mode, or a package it needs is missing.
        WeightsError: its weights are missing or not the right ones.
    """
    name = config["name"]
    if name not in EXTRACTORS:
        raise EvaluationError(
            f"unknown extractor {name!r}",
            "extractor.name in params.yaml",
            f"use one of {', '.join(sorted(EXTRACTORS))}",
        )
    builder = EXTRACTORS[name]
    return builder.build(config, device, *(made if builder.stage else ()))
