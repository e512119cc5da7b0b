"""The capital letters in 21 of matplotlib's fonts, each affinely changed."""

from __future__ import annotations

import string
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

LETTERS = string.ascii_uppercase
MORE_FONTS = (  # these lack the Greek and Cyrillic letters of `glyphs`
    "DejaVuSans-BoldOblique",
    "DejaVuSansMono-Oblique",
    "DejaVuSansMono-BoldOblique",
    "DejaVuSerif-BoldItalic",
    "STIXGeneralBolIta",
    "cmr10",
    "cmb10",
    "cmss10",
    "cmtt10",
    "cmti10",
)
TRAIN, TEST = 800, 100  # images of a letter, where max_train and max_test are null


@source("letters", images=(TRAIN * len(LETTERS), TEST * len(LETTERS)))
def read_letters(block: Mapping[str, Any], notes: dict[str, Any]) -> Dataset:
    """Draw as many images as asked for; each a function of (class, split, index).

    Args:
        block: `image_size`, `channels`, `max_train`, `max_test` (null: 800 and 100 a
            letter).
        notes: not used; nothing is left out.
    """
    return drawn(block, LETTERS, (TRAIN, TEST), draw_letter)


def draw_letter(
    label: int, split: int, index: int, size: int, channels: int = 1
) -> np.ndarray:
    """One letter with its own font, affine change and, in colour, colours.

    The change is a rotation by at most 15 degrees, a shear by at most 0.2, a width of
    0.8 to 1.2 times the font's, a height of 0.6 to 0.9 of the image, less where it
    would be cut, and a shift by at most 0.06 of the image.

    Args:
        label: which of `LETTERS`.
        split: 0 for training, 1 for test images; the two never share a draw.
        index: of the image within class and split.
        size: edge in pixels.
        channels: 3: in two colours; 1: white on black, like the digits.

    Returns:
        uint8 (size, size, 3).
    """
    rng = np.random.Generator(np.random.Philox(key=[label, split * 2**32 + index]))
    edge = size * OVERSAMPLING
    fonts = FONTS + MORE_FONTS
    font = typeface(fonts[int(rng.random() * len(fonts))], edge)
    ink = ink_of(LETTERS[label], font)
    angle, shear = np.deg2rad(rng.uniform(-15, 15)), rng.uniform(-0.2, 0.2)
    high, wide = rng.uniform(0.6, 0.9), rng.uniform(0.8, 1.2)
    turn = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    change = turn @ np.array([[1, shear], [0, 1]]) @ np.diag([wide, 1.0])
    half = np.array(ink.size) / 2
    reach = np.abs(change) @ half  # of the changed ink, from its centre
    factor = min(high * edge / ink.height, 0.48 * edge / reach.max())
    room = np.minimum(0.06 * edge, 0.49 * edge - factor * reach)
    centre = edge / 2 + room * rng.uniform(-1, 1, 2)
    back = np.linalg.inv(factor * change)  # from the image to the ink, for Pillow
    matrix = tuple(np.column_stack([back, half - back @ centre]).ravel())
    mask = ink.transform(
        (edge, edge), Image.Transform.AFFINE, matrix, Image.Resampling.BICUBIC
    )
    front, ground = colours(rng) if channels == 3 else (WHITE, BLACK)
    canvas = Image.new("RGB", (edge, edge), ground)
    canvas.paste(front, (0, 0), mask)
    return np.asarray(canvas.resize((size, size), Image.Resampling.BOX))
