"""Images to RGB or grey and to one size, deterministically."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageOps

TURNED = "were turned as their EXIF orientation says"
FIRST_FRAME = "had several frames; the first was taken"
ON_WHITE = "were transparent in part; laid on white"
SCALED = "were grey of 16 bits; scaled to 8"
NO_PROFILE = "were CMYK; converted without a colour profile"
_GREY16 = ("I;16", "I;16L", "I;16B", "I;16N")
_NO_WHITE = {"I": "32-bit whole numbers", "F": "32-bit real numbers"}


def as_rgb(image: Image.Image) -> tuple[Image.Image, list[str]]:
    """An image as a viewer shows it: upright, its first frame, on white, 8 bits.

    Args:
        image: as Pillow opened it, of any mode.

    Returns:
        Mode RGB, and what had to be done for it (the constants of this module). An
        opaque 8-bit image without orientation has the pixels that Pillow's
        ``convert("RGB")`` gives, which is what torchvision's ImageFolder reads.

    Raises:
        ValueError: the mode has no scale, or Pillow cannot convert it.
        OSError, SyntaxError: the file is damaged.
    """
    image.load()  # a PNG's EXIF may follow its pixels
    done = []
    # A phone's MPO is one photograph, with previews after it.
    if image.format != "MPO" and getattr(image, "n_frames", 1) > 1:
        done.append(FIRST_FRAME)
        image.seek(0)
    orientation = image.getexif().get(0x0112, 1)
    if orientation in range(2, 9):
        done.append(TURNED)
        image = ImageOps.exif_transpose(image)
    if image.mode in _GREY16 or (image.mode == "I" and image.format == "PPM"):
        return _grey16(image), [*done, SCALED]
    if image.mode in _NO_WHITE:
        raise ValueError(
            f"pixels are {_NO_WHITE[image.mode]} (mode {image.mode}), and nothing says "
            "which is white; save it with 8 or 16 bits"
        )
    if image.mode == "CMYK":
        done.append(NO_PROFILE)
    if not image.has_transparency_data:
        return image.convert("RGB"), done
    colour = image.convert("LA" if image.mode == "La" else "RGBA").convert("RGBA")
    if colour.getchannel("A").getextrema()[0] < 255:
        done.append(ON_WHITE)
    white = Image.new("RGBA", colour.size, "white")
    return Image.alpha_composite(white, colour).convert("RGB"), done


def _grey16(image: Image.Image) -> Image.Image:
    """0..65535 to 0..255; the one value that a PNG calls transparent is white."""
    values = np.asarray(image).astype(np.int64)
    grey = np.rint(values / 257.0).astype(np.uint8)
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        grey[values == transparent] = 255
    return Image.fromarray(grey).convert("RGB")


def fit_image(image: Image.Image, size: int) -> np.ndarray:
    """Crop the central square and resize it (bicubic, antialiased when shrinking).

    Args:
        image: of mode RGB, of any size.
        size: edge of the result, in pixels.

    Returns:
        uint8 (size, size, 3). An image of that size passes through unchanged.
    """
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


def to_channels(images: np.ndarray, channels: int) -> np.ndarray:
    """RGB images as they are, or as grey ones.

    Args:
        images: uint8 (N, H, W, 3).
        channels: 3, or 1: luminance by ITU-R 601-2; what was grey keeps its values.

    Returns:
        uint8 (N, H, W, channels).
    """
    if channels == images.shape[3]:
        return images
    grey = [np.asarray(Image.fromarray(image).convert("L")) for image in images]
    return np.stack(grey)[..., None]


def to_rgb(images: np.ndarray) -> np.ndarray:
    """Grey images (..., 1) as RGB ones (..., 3) of equal channels; RGB unchanged."""
    return np.repeat(images, 3, axis=-1) if images.shape[-1] == 1 else images
