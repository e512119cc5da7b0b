"""100 characters in matplotlib's fonts: a drawn stand-in for CIFAR-100."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image

from dash_repro.data.dataset import Dataset
from dash_repro.data.drawing import (
    BLACK,
    FONTS,
    OVERSAMPLING,
    WHITE,
    colours,
    drawn,
    ink_of,
    typeface,
)
from dash_repro.data.source import source

# No two look alike at another size or slant (no O beside 0, no C beside c).
CHARACTERS = (
    "ABCDEFGHIJKLMNPQRSTUVWXYZabdefghijmnqrty123456789"
    "ΓΔΘΛΞΠΣΦΨΩαβγδεζλμξπστφωБДЖИЛЦЧШЩЫЭЮЯ@#$%&*+=?!~§¶€"
)
TRAIN_PER_CLASS, TEST_PER_CLASS = 100, 20  # where max_train, max_test are null


@source("glyphs")
def read_glyphs(block: Mapping[str, Any], notes: dict[str, Any]) -> Dataset:
    """Draw as many images as asked for; each a function of (class, split, index).

    Args:
        block: `image_size`, `channels`, `max_train`, `max_test` (null: 100 and 20 a
            class).
        notes: not used; nothing is left out.
    """
    return drawn(block, CHARACTERS, (TRAIN_PER_CLASS, TEST_PER_CLASS), draw_glyph)


def draw_glyph(
    label: int, split: int, index: int, size: int, channels: int = 3
) -> np.ndarray:
    """One character with its own font, size, slant, place and colours.

    Args:
        label: which of `CHARACTERS`.
        split: 0 for training, 1 for test images; the two never share a draw.
        index: of the image within class and split.
        size: edge in pixels.
        channels: 3: in two colours; 1: white on black, like the digits.

    Returns:
        uint8 (size, size, 3).
    """
    rng = np.random.Generator(np.random.Philox(key=[label, split * 2**32 + index]))
    edge = size * OVERSAMPLING
    font = typeface(FONTS[int(rng.random() * len(FONTS))], round(0.85 * edge))
    ink = ink_of(CHARACTERS[label], font)
    scale = edge * (0.55 + 0.3 * rng.random()) / max(ink.size)
    ink = ink.resize(
        [max(1, round(length * scale)) for length in ink.size],
        Image.Resampling.BICUBIC,
    ).rotate(24.0 * rng.random() - 12.0, Image.Resampling.BICUBIC, expand=True)
    pair = colours(rng)  # drawn for grey ones, too: their places are the same
    front, back = pair if channels == 3 else (WHITE, BLACK)
    canvas = Image.new("RGB", (edge, edge), back)
    corner = [
        round((edge - length) * (0.5 + 0.6 * (rng.random() - 0.5)))
        for length in ink.size
    ]
    canvas.paste(Image.new("RGB", ink.size, front), corner, ink)
    return np.asarray(canvas.resize((size, size), Image.Resampling.BOX))
