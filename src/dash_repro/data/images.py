"""Images to one size, deterministically."""

from __future__ import annotations

import numpy as np
from PIL import Image


def fit_image(image: Image.Image, size: int) -> np.ndarray:
    """Crop the central square and resize it (bicubic, antialiased when shrinking).

    Args:
        image: any mode and size; converted to RGB.
        size: edge of the result, in pixels.

    Returns:
        uint8 (size, size, 3). An RGB image of that size passes through unchanged.
    """
    image = image.convert("RGB")
    edge = min(image.size)
    if image.size != (edge, edge):
        left, top = ((length - edge) // 2 for length in image.size)
        image = image.crop((left, top, left + edge, top + edge))
    if edge != size:
        image = image.resize((size, size), Image.Resampling.BICUBIC)
    return np.asarray(image, dtype=np.uint8)


def fit_images(images: np.ndarray, size: int) -> np.ndarray:
    """`fit_image` for each of uint8 (N, H, W, 3)."""
    if images.shape[1:3] == (size, size):
        return np.ascontiguousarray(images, dtype=np.uint8)
    return np.stack([fit_image(Image.fromarray(image), size) for image in images])
