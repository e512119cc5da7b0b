"""Every kind of image file: read as a viewer shows it, or refused by name; and said."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dash_repro.data.dataset import DatasetError
from dash_repro.data.images import (
    FIRST_FRAME,
    NO_PROFILE,
    ON_WHITE,
    SCALED,
    TURNED,
    as_rgb,
)
from dash_repro.data.sources.folder import read_folder

SIDE = 8


def stored(image: Image.Image, form: str, **options: object) -> Image.Image:
    """The image after a file of that format."""
    file = io.BytesIO()
    image.save(file, form, **options)
    file.seek(0)
    return Image.open(file)


def pixels(image: Image.Image) -> tuple[np.ndarray, list[str]]:
    rgb, done = as_rgb(image)
    assert rgb.mode == "RGB"
    return np.asarray(rgb), done


def photograph() -> Image.Image:
    """RGB noise: no two pixels alike, so that any turn or loss is seen."""
    rng = np.random.default_rng(0)
    return Image.fromarray(rng.integers(0, 256, (5, 7, 3), dtype=np.uint8))


def exif(orientation: int) -> Image.Exif:
    found = Image.Exif()
    found[0x0112] = orientation
    return found


# what needs nothing has the pixels that ImageFolder gives


@pytest.mark.parametrize(
    ("image", "form"),
    [
        (photograph(), "PNG"),
        (photograph(), "JPEG"),
        (photograph(), "BMP"),
        (photograph(), "WEBP"),
        (photograph(), "PPM"),
        (photograph().convert("L"), "TIFF"),
        (photograph().convert("1"), "PNG"),
        (photograph().quantize(16), "PNG"),
        (photograph().convert("RGBA"), "PNG"),
        (photograph().convert("YCbCr"), "TIFF"),
    ],
)
def test_plain_images_have_pillows_pixels(image, form) -> None:
    found, done = pixels(stored(image, form))
    np.testing.assert_array_equal(found, stored(image, form).convert("RGB"))
    assert done == []


# 16 bits


GREY16 = np.array([[0, 128, 257, 25_700], [32_768, 65_280, 65_406, 65_535]], np.uint16)
GREY8 = np.array([[0, 0, 1, 100], [128, 254, 254, 255]], np.uint8)  # v * 255 / 65535


@pytest.mark.parametrize("form", ["PNG", "TIFF", "PPM"])
def test_16_bit_grey_is_scaled(form) -> None:
    found, done = pixels(stored(Image.fromarray(GREY16), form))
    np.testing.assert_array_equal(found, np.repeat(GREY8[..., None], 3, axis=2))
    assert done == [SCALED]


def test_16_bit_grey_of_the_other_byte_order_is_scaled() -> None:
    data = GREY16.astype(">u2").tobytes()
    height, width = GREY16.shape
    tags = [(256, width), (257, height), (258, 16), (259, 1), (262, 1), (273, 8)]
    tags += [(277, 1), (278, height), (279, len(data))]
    entries = b"".join(struct.pack(">HHIHH", tag, 3, 1, v, 0) for tag, v in tags)
    head = b"MM" + struct.pack(">HI", 42, 8 + len(data))
    file = head + data + struct.pack(">H", len(tags)) + entries + bytes(4)
    image = Image.open(io.BytesIO(file))
    assert image.mode == "I;16B"
    np.testing.assert_array_equal(pixels(image)[0][..., 0], GREY8)


def test_the_transparent_value_of_16_bit_grey_is_white() -> None:
    found, _ = pixels(stored(Image.fromarray(GREY16), "PNG", transparency=257))
    assert found[0, 2].tolist() == [255, 255, 255]
    assert found[0, 3].tolist() == [100, 100, 100]


@pytest.mark.parametrize("kind", [np.int32, np.float32])
def test_modes_without_a_white_are_refused(kind) -> None:
    image = stored(Image.fromarray(GREY16.astype(kind)), "TIFF")
    with pytest.raises(ValueError, match=r"mode [IF]\), and nothing says which is whi"):
        as_rgb(image)


# orientation


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["PNG", "TIFF", "WEBP"])
def test_images_are_upright(form, orientation) -> None:
    upright = np.asarray(photograph())
    lying = {  # how a camera stores what the orientation puts right
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright),
        7: upright[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(upright, -1),
    }[orientation]
    lossless = {"lossless": True} if form == "WEBP" else {}
    image = Image.fromarray(np.ascontiguousarray(lying))
    found, done = pixels(stored(image, form, exif=exif(orientation), **lossless))
    np.testing.assert_array_equal(found, upright)
    # Pillow itself turns a TIFF.
    assert done == ([TURNED] if orientation > 1 and form != "TIFF" else [])


def test_an_orientation_that_does_not_exist_changes_nothing() -> None:
    found, done = pixels(stored(photograph(), "PNG", exif=exif(9)))
    np.testing.assert_array_equal(found, photograph())
    assert done == []


# transparency: hidden colours stay hidden


def test_transparent_pixels_are_white_and_half_ones_are_mixed() -> None:
    image = Image.new("RGBA", (3, 1))
    image.putdata([(9, 200, 7, 255), (9, 200, 7, 0), (0, 100, 255, 128)])
    found, done = pixels(stored(image, "PNG"))
    assert found[0, 0].tolist() == [9, 200, 7]
    assert found[0, 1].tolist() == [255, 255, 255]
    expected = [255 - 128, 100 * 128 / 255 + 127, 255]
    assert found[0, 2].tolist() == pytest.approx(expected, abs=1)
    assert done == [ON_WHITE]


@pytest.mark.parametrize("mode", ["LA", "La", "PA", "RGBa"])
def test_other_modes_with_transparency_are_laid_on_white(mode) -> None:
    image = Image.new("LA", (1, 1), (40, 0))
    for step in {"La": ["La"], "RGBa": ["RGBA", "RGBa"]}.get(mode, []):
        image = image.convert(step)
    if mode == "PA":
        image = Image.new("PA", (1, 1), (0, 0))
        image.putpalette([40, 40, 40])
    assert image.mode == mode
    found, done = pixels(image)
    assert found.tolist() == [[[255, 255, 255]]] and done == [ON_WHITE]


def test_a_transparent_colour_is_white_in_every_mode() -> None:
    palette = Image.new("P", (2, 1))
    palette.putpalette([255, 0, 0, 0, 0, 255])
    palette.putdata([0, 1])
    grey = Image.new("L", (2, 1))
    grey.putdata([10, 20])
    colour = Image.new("RGB", (2, 1))
    colour.putdata([(1, 2, 3), (4, 5, 6)])
    for image, value, left in (
        (palette, 0, [0, 0, 255]),
        (grey, 10, [20, 20, 20]),
        (colour, (1, 2, 3), [4, 5, 6]),
    ):
        found, done = pixels(stored(image, "PNG", transparency=value))
        assert found.tolist() == [[[255, 255, 255], left]], image.mode
        assert done == [ON_WHITE]


def test_transparency_and_orientation_together() -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.putdata([0, 1])
    found, done = pixels(stored(image, "PNG", transparency=0, exif=exif(6)))
    assert found.tolist() == [[[255, 255, 255]], [[0, 0, 255]]]
    assert done == [TURNED, ON_WHITE]


# frames, CMYK


@pytest.mark.parametrize("form", ["PNG", "WEBP", "TIFF", "GIF"])
def test_the_first_of_several_frames_is_taken_and_said(form) -> None:
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    lossless = {"lossless": True} if form == "WEBP" else {}
    options = {"save_all": True, "append_images": frames[1:], **lossless}
    found, done = pixels(stored(frames[0], form, **options))
    assert (found == [255, 0, 0]).all() and done == [FIRST_FRAME]


def test_a_phones_mpo_is_one_photograph() -> None:
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "blue")]
    file = io.BytesIO()
    frames[0].save(file, "MPO", save_all=True, append_images=frames[1:])
    image = Image.open(io.BytesIO(file.getvalue()))
    assert image.format == "MPO" and image.n_frames == 2
    found, done = pixels(image)
    assert found[0, 0].tolist() == pytest.approx([255, 0, 0], abs=3) and done == []


def test_cmyk_is_converted_and_said() -> None:
    image = Image.new("CMYK", (16, 16), (255, 0, 0, 0))
    found, done = pixels(stored(image, "JPEG"))
    assert found[0, 0].tolist() == pytest.approx([0, 255, 255], abs=3)
    assert done == [NO_PROFILE]


# in a folder: refused by name, said in the notes


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for split in ("train", "test"):
        (tmp_path / split / "a").mkdir(parents=True)
        Image.new("RGB", (SIDE, SIDE), "red").save(tmp_path / split / "a" / "0.png")
    return tmp_path


def read(folder: Path, notes: dict | None = None):
    block = {"path": str(folder), "image_size": SIDE}
    limits = {"max_train": None, "max_test": None}
    return read_folder({**block, **limits}, {} if notes is None else notes)


def test_what_was_done_to_images_is_counted(folder) -> None:
    place = folder / "train" / "a"
    Image.fromarray(GREY16).save(place / "1.png")
    Image.fromarray(GREY16).save(place / "2.tif")
    Image.new("RGBA", (SIDE, SIDE)).save(place / "3.webp")
    notes: dict = {}
    dataset = read(folder, notes)
    assert notes["train"] == {"read": 4, "changed": {SCALED: 2, ON_WHITE: 1}}
    assert notes["test"] == {"read": 1}
    assert (dataset.train_images[3] == 255).all()


def test_every_damaged_file_is_named_at_once(folder) -> None:
    place = folder / "train" / "a"
    (place / "empty.png").touch()
    whole = (place / "0.png").read_bytes()
    (place / "cut.png").write_bytes(whole[: len(whole) // 2])
    (place / "page.jpg").write_text("<html>not found</html>")
    Image.fromarray(GREY16.astype(np.float32)).save(place / "real.tif")
    with pytest.raises(DatasetError) as caught:
        read(folder)
    said = caught.value.what
    assert said.startswith("4 files are not readable images")
    for name, why in [
        ("empty.png", "the file is empty"),
        ("cut.png", "not a readable image: "),
        ("page.jpg", "cannot identify image file"),
        ("real.tif", "32-bit real numbers (mode F)"),
    ]:
        line = next(line for line in said.splitlines() if f"/{name}: " in line)
        assert why in line


def test_one_damaged_file_of_many_is_where(folder) -> None:
    (folder / "test" / "a" / "1.png").touch()
    with pytest.raises(
        DatasetError, match="not a readable image: the file is empty"
    ) as e:
        read(folder)
    assert e.value.where == str(folder / "test" / "a" / "1.png")


def test_long_lists_of_damaged_files_are_cut(folder) -> None:
    for index in range(50):
        (folder / "train" / "a" / f"x{index}.png").touch()
    with pytest.raises(DatasetError, match=r"50 files(.|\n)*\.\.\. and 30 more"):
        read(folder)
