"""The feature extractors that params.yaml can name, and what each makes of images."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dash_repro.evaluation.errors import EvaluationError


@dataclass(frozen=True)
class Extractor:
    """A network that turns images into features and class probabilities.

    Attributes:
        name: as in params.yaml.
        identity: name and everything that moves features, so that statistics of one
            are never compared with another's.
        frechet_name, inception_score_name, kid_name: of the metrics made with it;
            only the Inception network's are called FID, IS, KID.
        dimension: D, of the features.
        resize: one image, uint8 (H, W, 3), to uint8 or float32 (h, w, 3) in 0..255.
        forward: float32 (B, 3, h, w) in 0..255 to features (B, D) and class
            probabilities (B, C).
    """

    name: str
    identity: str
    frechet_name: str
    inception_score_name: str
    kid_name: str
    dimension: int
    resize: Callable[[np.ndarray], np.ndarray]
    forward: Callable[[Tensor], tuple[Tensor, Tensor]]


def _inception(config: Mapping[str, Any], device: torch.device) -> Extractor:
    from dash_repro.evaluation.inception import build_inception

    return build_inception(config, device)


def _effnetlite0(config: Mapping[str, Any], device: torch.device) -> Extractor:
    from dash_repro.evaluation.effnetlite0 import build_effnetlite0

    return build_effnetlite0(device)


EXTRACTORS: dict[str, Callable[[Mapping[str, Any], torch.device], Extractor]] = {
    "inception": _inception,
    "effnetlite0": _effnetlite0,
}


def build_extractor(config: Mapping[str, Any], device: torch.device) -> Extractor:
    """The extractor of section `extractor` of params.yaml, on a device.

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
    return EXTRACTORS[name](config, device)
