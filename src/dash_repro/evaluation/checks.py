"""Inputs of an evaluation that must belong together."""

from __future__ import annotations

from dash_repro.data.dataset import Dataset
from dash_repro.evaluation.errors import EvaluationError
from dash_repro.models.unet import UNetConfig


def require_same_images(config: UNetConfig, dataset: Dataset, where: object) -> None:
    """Refuse a network for other images than the dataset's.

    Raises:
        EvaluationError: number of classes, image size or channels differ.
    """
    network = (config.num_classes, config.image_size, config.channels)
    images = (dataset.num_classes, dataset.image_size, dataset.channels)
    if network != images:
        raise EvaluationError(
            f"the network is for (classes, pixels, channels) {network}, the dataset "
            f"has {images}",
            str(where),
            "use the checkpoint and the images of the same dataset",
        )
