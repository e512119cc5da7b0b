"""Inputs of an evaluation that must belong together."""

from __future__ import annotations

from dash_repro.data.dataset import Dataset
from dash_repro.evaluation.errors import EvaluationError
from dash_repro.models.unet import UNetConfig


def require_same_images(config: UNetConfig, dataset: Dataset, where: object) -> None:
    """Refuse a network for other images than the dataset's.

    Raises:
        EvaluationError: number of classes or image size differ.
    """
    network = (config.num_classes, config.image_size)
    images = (dataset.num_classes, dataset.image_size)
    if network != images:
        raise EvaluationError(
            f"the network is for {network[0]} classes at {network[1]} px, the dataset "
            f"has {images[0]} at {images[1]} px",
            str(where),
            "use the checkpoint and the images of the same dataset",
        )
