"""The features of train_classifier: a space made for the dataset, without downloads."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from dash_repro.evaluation.errors import EvaluationError
from dash_repro.evaluation.extractor import Extractor, extractor

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    import torch
    from torch import Tensor


@extractor("classifier", stage="train_classifier")
def build_classifier(
    config: Mapping[str, Any], device: torch.device, *made: Path
) -> Extractor:
    """Load the network of train_classifier.

    Its features are what its last layer sees, its classes those of the dataset.

    Args:
        config: not used.
        device: for the network.
        made: its file; only the dataset's own stage has one.

    Raises:
        EvaluationError: no file, where nothing has trained a classifier.
        CheckpointError: the file is missing, cut short or of another kind.
    """
    from dash_repro.diffusion.levels import to_model_range
    from dash_repro.models.classifier import load_classifier

    if not made:
        raise EvaluationError(
            "extractor classifier is made by the stage train_classifier",
            "extractor.name in params.yaml",
            "run it in a workspace, or use another extractor here",
        )
    (path,) = made
    network = load_classifier(path).to(device)

    def forward(images: Tensor) -> tuple[Tensor, Tensor]:
        features, logits = network(to_model_range(images))
        return features, logits.softmax(dim=1)

    return Extractor(
        name="classifier",
        identity=f"classifier {hashlib.sha256(path.read_bytes()).hexdigest()}",
        naming="{short}_classifier",
        dimension=network.config.channels[-1],
        resize=_as_they_are,
        forward=forward,
    )


def _as_they_are(image: np.ndarray) -> np.ndarray:
    return image
