"""What datasets of drawn characters share: fonts, ink, colours and layout."""

from __future__ import annotations

import colorsys
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from dash_repro.data.dataset import Dataset, class_quotas

FONTS = (  # of matplotlib's, those that have the Greek and Cyrillic letters, too
    "DejaVuSans",
    "DejaVuSans-Bold",
    "DejaVuSans-Oblique",
    "DejaVuSansMono",
    "DejaVuSansMono-Bold",
    "DejaVuSerif",
    "DejaVuSerif-Bold",
    "DejaVuSerif-Italic",
    "STIXGeneral",
    "STIXGeneralBol",
    "STIXGeneralItalic",
)
WHITE, BLACK = (255, 255, 255), (0, 0, 0)
OVERSAMPLING = 4  # drawn this many times larger, then averaged


def drawn(
    block: Mapping[str, Any],
    characters: Sequence[str],
    per_class: tuple[int, int],
    draw: Callable[[int, int, int, int, int], np.ndarray],
) -> Dataset:
    """A dataset whose every image is a function of (class, split, index).

    Args:
        block: `image_size`, `channels`, `max_train`, `max_test`.
        characters: one a class, its name.
        per_class: training and test images of a class where the block's limit is null.
        draw: gives uint8 (size, size, 3) of label, split (0 for training, 1 for test),
            index, size and channels.
    """
    arrays = []
    limits = block["max_train"], block["max_test"]
    for split, (limit, each) in enumerate(zip(limits, per_class, strict=True)):
        total = each * len(characters) if limit is None else limit
        quotas = class_quotas(total, len(characters))
        images = [
            draw(label, split, index, block["image_size"], block["channels"])
            for label, quota in enumerate(quotas)
            for index in range(quota)
        ]
        labels = np.repeat(np.arange(len(characters), dtype=np.int64), quotas)
        arrays += [np.stack(images), labels]
    return Dataset(*arrays, class_names=np.array(list(characters)))


def ink_of(character: str, font: ImageFont.FreeTypeFont) -> Image.Image:
    """The character's coverage (mode L), cropped to what is drawn."""
    left, top, right, bottom = font.getbbox(character)
    image = Image.new("L", (int(right - left) + 2, int(bottom - top) + 2))
    ImageDraw.Draw(image).text((1 - left, 1 - top), character, fill=255, font=font)
    return image.crop(image.getbbox())


def colours(rng: np.random.Generator) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Two colours far apart in lightness, in either order."""
    dark = colorsys.hls_to_rgb(rng.random(), 0.08 + 0.24 * rng.random(), rng.random())
    light = colorsys.hls_to_rgb(rng.random(), 0.68 + 0.24 * rng.random(), rng.random())
    pair = [tuple(round(255 * part) for part in colour) for colour in (dark, light)]
    return (pair[1], pair[0]) if rng.random() < 0.5 else (pair[0], pair[1])


@lru_cache(maxsize=64)
def typeface(name: str, pixels: int) -> ImageFont.FreeTypeFont:
    from matplotlib import get_data_path

    path = Path(get_data_path()) / "fonts" / "ttf" / f"{name}.ttf"
    # The basic layout engine: whether Raqm is installed must not move a pixel.
    return ImageFont.truetype(str(path), pixels, layout_engine=ImageFont.Layout.BASIC)
