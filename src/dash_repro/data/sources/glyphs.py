"""100 characters in matplotlib's fonts: a drawn stand-in for CIFAR-100."""

from __future__ import annotations

import colorsys
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from dash_repro.data.dataset import Dataset, class_quotas
from dash_repro.data.source import source

# No two look alike at another size or slant (no O beside 0, no C beside c).
CHARACTERS = (
    "ABCDEFGHIJKLMNPQRSTUVWXYZabdefghijmnqrty123456789"
    "ΓΔΘΛΞΠΣΦΨΩαβγδεζλμξπστφωБДЖИЛЦЧШЩЫЭЮЯ@#$%&*+=?!~§¶€"
)
FONTS = (
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
TRAIN_PER_CLASS, TEST_PER_CLASS = 100, 20  # where max_train, max_test are null
WHITE, BLACK = (255, 255, 255), (0, 0, 0)
OVERSAMPLING = 4  # drawn this many times larger, then averaged


@source("glyphs")
def read_glyphs(block: Mapping[str, Any], notes: dict[str, Any]) -> Dataset:
    """Draw as many images as asked for; each a function of (class, split, index).

    Args:
        block: `image_size`, `channels`, `max_train`, `max_test` (null: 100 and 20 a
            class).
        notes: not used; nothing is left out.
    """
    arrays = []
    for split, per_class in enumerate((TRAIN_PER_CLASS, TEST_PER_CLASS)):
        limit = block["max_test" if split else "max_train"]
        limit = per_class * len(CHARACTERS) if limit is None else limit
        quotas = class_quotas(limit, len(CHARACTERS))
        images = [
            draw_glyph(label, split, index, block["image_size"], block["channels"])
            for label, quota in enumerate(quotas)
            for index in range(quota)
        ]
        labels = np.repeat(np.arange(len(CHARACTERS), dtype=np.int64), quotas)
        arrays += [np.stack(images), labels]
    return Dataset(*arrays, class_names=np.array(list(CHARACTERS)))


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
