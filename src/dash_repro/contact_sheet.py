"""Several sets of generated images as one picture, for looking at."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

MARGIN = 8  # pixels around a set
TITLE = 16  # pixels for a line of text
GAP = 2  # white pixels between images
TARGET = 64  # pixels that an image is enlarged to, about


def contact_sheet(
    grids: Sequence[tuple[str, np.ndarray]], scale: int | None = None
) -> Image.Image:
    """One picture of titled grids, side by side.

    Args:
        grids: (title, images (N, H, W, 3) uint8); a grid is as square as it can be.
        scale: enlargement, by repeating pixels; None: to about 64 pixels an image.
    """
    side = grids[0][1].shape[1]
    scale = scale or max(1, round(TARGET / side))
    pictures = [(title, _tile(images, scale)) for title, images in grids]
    widths = [
        max(picture.width, round(ImageDraw.Draw(picture).textlength(title)))
        for title, picture in pictures
    ]
    height = max(picture.height for _, picture in pictures)
    size = (sum(widths) + MARGIN * (len(grids) + 1), height + TITLE + 2 * MARGIN)
    sheet = Image.new("RGB", size, "white")
    draw, left = ImageDraw.Draw(sheet), MARGIN
    for (title, picture), width in zip(pictures, widths, strict=True):
        draw.text((left, MARGIN // 2), title, fill="black")
        sheet.paste(picture, (left, MARGIN + TITLE))
        left += width + MARGIN
    return sheet


def _tile(images: np.ndarray, scale: int) -> Image.Image:
    """Images row by row in a grid with white gaps; what is left over stays white."""
    count, height, width, _ = images.shape
    columns = math.ceil(math.sqrt(count))
    rows = math.ceil(count / columns)
    step_y, step_x = height * scale + GAP, width * scale + GAP
    size = (rows * step_y - GAP, columns * step_x - GAP, 3)
    picture = np.full(size, 255, dtype=np.uint8)
    for index, image in enumerate(images):
        top, left = (index // columns) * step_y, (index % columns) * step_x
        large = image.repeat(scale, axis=0).repeat(scale, axis=1)
        picture[top : top + height * scale, left : left + width * scale] = large
    return Image.fromarray(picture)
