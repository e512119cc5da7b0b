"""Every source of images, on good and on broken input."""

import hashlib
import pickle
import tarfile

import numpy as np
import pytest
from PIL import Image

from dash_repro.data.dataset import DatasetError
from dash_repro.data.images import to_channels
from dash_repro.data.prepare import prepare
from dash_repro.data.sources.glyphs import CHARACTERS, FONTS, draw_glyph
from dash_repro.data.sources.letters import LETTERS, MORE_FONTS, draw_letter

NOWHERE = "http://127.0.0.1:9/archive.tar.gz"  # the discard port: refused at once


def _block(source, **changes):
    block = {"source": source, "name": "", "path": "", "image_size": 16, "channels": 3}
    return {**block, "max_train": None, "max_test": None, **changes}


# torchvision: small files in the official format, the md5 constants set to theirs


def _md5(path):
    return hashlib.md5(path.read_bytes()).hexdigest()


def _batch(rng, count, key, classes):
    """Rows of 3072 bytes (red, green, blue planes), as the official batches."""
    rows = rng.integers(0, 256, (count, 3072), dtype=np.uint8)
    return {"data": rows, key: [i % classes for i in range(count)]}


@pytest.fixture
def cifar(tmp_path, monkeypatch):
    """Writes an archive of a torchvision class; its pickled content is returned."""

    def write(name, key, classes):
        import torchvision.datasets  # seconds to import

        kind = getattr(torchvision.datasets, name)
        folder = tmp_path / "made" / kind.base_folder
        folder.mkdir(parents=True)
        rng, content = np.random.default_rng(0), {}
        for attribute, count in (("train_list", classes), ("test_list", classes)):
            lines = []
            for file, _ in getattr(kind, attribute):
                content[file] = _batch(rng, count, key, classes)
                (folder / file).write_bytes(pickle.dumps(content[file], protocol=2))
                lines.append([file, _md5(folder / file)])
            monkeypatch.setattr(kind, attribute, lines)
        meta = {kind.meta["key"]: [f"class {i}" for i in range(classes)]}
        path = folder / kind.meta["filename"]
        path.write_bytes(pickle.dumps(meta, protocol=2))
        monkeypatch.setattr(kind, "meta", {**kind.meta, "md5": _md5(path)})
        root = tmp_path / "archives"
        root.mkdir()
        with tarfile.open(root / kind.filename, "w:gz") as archive:
            archive.add(folder, kind.base_folder)
        monkeypatch.setattr(kind, "tgz_md5", _md5(root / kind.filename))
        monkeypatch.setattr(kind, "url", NOWHERE)
        return root, content

    return write


@pytest.mark.slow
def test_cifar10_reads_an_archive_put_in_place(cifar):
    root, content = cifar("CIFAR10", "labels", 10)
    block = _block("torchvision", name="CIFAR10", path=str(root), image_size=32)
    dataset = prepare(block)
    assert dataset.train_images.shape == (50, 32, 32, 3)
    # Image 12 is the third of data_batch_2; planes are red, green, blue, row by row.
    row = content["data_batch_2"]["data"][2]
    assert dataset.train_images[12, 1, 3].tolist() == [
        row[plane * 1024 + 32 + 3] for plane in range(3)
    ]
    assert dataset.train_labels[12] == 2
    test = content["test_batch"]["data"].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    np.testing.assert_array_equal(dataset.test_images, test)
    assert dataset.class_names[3] == "class 3"


@pytest.mark.slow
def test_cifar100_has_its_fine_labels_and_can_be_limited(cifar):
    root, content = cifar("CIFAR100", "fine_labels", 100)
    block = _block("torchvision", name="CIFAR100", path=str(root), max_train=100)
    dataset = prepare(block)
    assert dataset.num_classes == 100 and dataset.image_size == 16
    assert dataset.train_labels.tolist() == content["train"]["fine_labels"]
    assert dataset.train_images.shape == (100, 16, 16, 3)


@pytest.mark.slow
def test_cifar_absent_without_network_says_what_to_download(tmp_path, monkeypatch):
    import torchvision.datasets

    monkeypatch.setattr(torchvision.datasets.CIFAR10, "url", NOWHERE)
    block = _block("torchvision", name="CIFAR10", path=str(tmp_path / "c10"))
    with pytest.raises(DatasetError) as caught:
        prepare(block)
    for part in (NOWHERE, "c58f30108f718f92721af3b95e74349a", "cifar-10-python.tar.gz"):
        assert part in str(caught.value)


@pytest.mark.slow
def test_cifar_archive_cut_short_is_not_used(cifar):
    root, _ = cifar("CIFAR10", "labels", 10)
    archive = root / "cifar-10-python.tar.gz"
    archive.write_bytes(archive.read_bytes()[:-200])
    with pytest.raises(DatasetError, match="could not be downloaded"):
        prepare(_block("torchvision", name="CIFAR10", path=str(root)))


def test_cifar_files_are_checked_at_each_reading_wherever_they_lie(cifar):
    """So where they lie need not count: the md5 says that the bytes are the same."""
    root, content = cifar("CIFAR10", "labels", 10)
    first = prepare(_block("torchvision", name="CIFAR10", path=str(root)))
    moved = root.rename(root.with_name("elsewhere"))
    block = _block("torchvision", name="CIFAR10", path=str(moved))
    np.testing.assert_array_equal(prepare(block).train_images, first.train_images)
    batch = moved / "cifar-10-batches-py" / "data_batch_3"
    batch.write_bytes(pickle.dumps(content["data_batch_2"], protocol=2))
    np.testing.assert_array_equal(prepare(block).train_images, first.train_images)
    batch.write_bytes(pickle.dumps(content["data_batch_2"], protocol=2))
    (moved / "cifar-10-python.tar.gz").unlink()
    with pytest.raises(DatasetError, match="could not be downloaded"):
        prepare(block)


def test_unknown_names_and_sources_are_refused(tmp_path):
    with pytest.raises(DatasetError, match=r"'cifar01'.*\n.*\n.*CIFAR10, CIFAR100"):
        prepare(_block("torchvision", name="cifar01", path=str(tmp_path)))
    with pytest.raises(DatasetError, match="unknown source 'web'"):
        prepare(_block("web"))


# folder


def _write(path, colour, size=(16, 16)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)


@pytest.fixture
def folder(tmp_path):
    """Two classes, three images each way, of several kinds and sizes."""
    for split in ("train", "test"):
        for label, name in enumerate(("bee", "ant")):
            for index, suffix in enumerate(("png", "JPG", "jpeg")):
                file = tmp_path / split / name / f"{index}.{suffix}"
                _write(file, (50 * label, 80 * index, 200))
    return tmp_path


def test_folder_reads_classes_and_files_in_the_order_of_their_names(folder):
    (folder / "train" / "ant" / "notes.txt").write_text("not an image")
    dataset = prepare(_block("folder", path=str(folder)))
    assert dataset.class_names.tolist() == ["ant", "bee"]
    assert dataset.train_labels.tolist() == [0, 0, 0, 1, 1, 1]
    # "ant" was written with red 50; its first file is the PNG, exact.
    assert dataset.train_images[0, 0, 0].tolist() == [50, 0, 200]
    middle = dataset.train_images[4, 8, 8].tolist()  # of a JPEG: nearly exact
    assert middle == pytest.approx([0, 80, 200], abs=3)


def test_folder_crops_and_resizes_other_shapes(folder):
    wide = np.zeros((20, 60, 3), dtype=np.uint8)
    wide[:, 20:40] = [0, 255, 0]  # the central square
    Image.fromarray(wide).save(folder / "train" / "ant" / "0.png")
    grey = Image.new("L", (4, 4), 90)
    grey.save(folder / "train" / "bee" / "0.png")
    dataset = prepare(_block("folder", path=str(folder)))
    assert (dataset.train_images[0] == [0, 255, 0]).all()
    assert (dataset.train_images[3] == 90).all()


def test_folder_limits_are_balanced_and_read_no_more(folder):
    (folder / "train" / "bee" / "2.jpeg").write_bytes(b"broken, but not needed")
    dataset = prepare(_block("folder", path=str(folder), max_train=3, max_test=2))
    assert dataset.train_labels.tolist() == [0, 0, 1]
    assert dataset.test_labels.tolist() == [0, 1]


@pytest.mark.parametrize("content", [b"", b"no image", None])
def test_folder_names_an_unreadable_image(folder, content):
    path = folder / "test" / "bee" / "1.JPG"
    # None: a whole header with the pixels cut short
    path.write_bytes(path.read_bytes()[:-300] if content is None else content)
    with pytest.raises(DatasetError, match="not a readable image") as caught:
        prepare(_block("folder", path=str(folder)))
    assert caught.value.where == str(path)


def test_folder_names_an_empty_class(folder):
    for file in (folder / "train" / "bee").iterdir():
        file.rename(file.with_suffix(".gif"))
    with pytest.raises(DatasetError, match="no images") as caught:
        prepare(_block("folder", path=str(folder)))
    assert caught.value.where == str(folder / "train" / "bee")


def test_folder_lists_classes_that_differ(folder):
    (folder / "train" / "bee").rename(folder / "train" / "wasp")
    with pytest.raises(DatasetError, match=r"train \['wasp'\].*test \['bee'\]"):
        prepare(_block("folder", path=str(folder)))


def test_folder_that_is_absent_is_named(tmp_path):
    with pytest.raises(DatasetError, match="no such folder") as caught:
        prepare(_block("folder", path=str(tmp_path / "photos")))
    assert caught.value.where == str(tmp_path / "photos" / "train")


# built in


def test_digits_are_the_1797_of_scikit_learn_split_within_classes():
    from sklearn.datasets import load_digits

    dataset = prepare(_block("digits", image_size=8))
    images = np.concatenate([dataset.train_images, dataset.test_images])
    source = load_digits()
    expected = (source.images * 255 / 16).round().astype(np.uint8)
    assert sorted(image.tobytes() for image in images[..., 0]) == sorted(
        image.tobytes() for image in expected
    )
    assert (images[..., :1] == images).all()  # grey
    every = np.bincount(source.target)
    np.testing.assert_array_equal(np.bincount(dataset.test_labels), every // 5)
    seen = {image.tobytes() for image in dataset.train_images}
    assert not seen & {image.tobytes() for image in dataset.test_images}


def test_digits_are_enlarged_and_labelled_like_their_pictures():
    small = prepare(_block("digits", image_size=8))
    large = prepare(_block("digits", image_size=16, max_train=30))
    assert large.train_images.shape == (30, 16, 16, 3)
    assert np.bincount(large.train_labels).tolist() == [3] * 10
    # Averaged back to 8x8, image 0 is nearest to itself among all.
    back = large.train_images[0].reshape(8, 2, 8, 2, 3).mean(axis=(1, 3))
    distances = ((small.train_images - back) ** 2).sum(axis=(1, 2, 3))
    assert distances.argmin() == 0


def test_grey_images_keep_one_channel():
    rgb, grey = (prepare(_block("digits", image_size=8, channels=c)) for c in (3, 1))
    assert grey.channels == 1 and grey.image_size == 8
    np.testing.assert_array_equal(grey.train_images, rgb.train_images[..., :1])
    np.testing.assert_array_equal(grey.test_images, rgb.test_images[..., :1])


def test_colours_become_their_luminance():
    images = np.random.default_rng(0).integers(0, 256, (5, 6, 6, 3), dtype=np.uint8)
    wanted = images @ np.array([0.299, 0.587, 0.114])
    assert np.abs(to_channels(images, 1)[..., 0] - wanted).max() <= 1
    assert to_channels(images, 3) is images


def test_grey_glyphs_are_white_on_black_in_the_places_of_the_coloured():
    rgb, grey = (
        prepare(_block("glyphs", max_train=100, max_test=100, channels=c))
        for c in (3, 1)
    )
    np.testing.assert_array_equal(grey.train_labels, rgb.train_labels)
    corners = grey.train_images[:, 0, 0, 0]
    assert grey.channels == 1 and (corners == 0).mean() > 0.9
    assert (grey.train_images.max(axis=(1, 2, 3)) > 150).all()
    for one, other in zip(rgb.train_images, grey.train_images, strict=True):
        coverage = other[..., 0].astype(float).ravel()
        shades = one.mean(axis=-1).ravel()
        assert abs(np.corrcoef(coverage, shades)[0, 1]) > 0.98


@pytest.mark.parametrize(
    "characters, count, fonts",
    [(CHARACTERS, 100, FONTS), (LETTERS, 26, FONTS + MORE_FONTS)],
)
def test_every_font_has_the_characters_that_are_drawn(characters, count, fonts):
    from matplotlib import get_data_path
    from matplotlib.ft2font import FT2Font

    assert len(set(characters)) == len(characters) == count
    assert len(set(fonts)) == len(fonts)
    for font in fonts:
        known = FT2Font(f"{get_data_path()}/fonts/ttf/{font}.ttf").get_charmap()
        assert not [c for c in characters if ord(c) not in known], font


def test_glyphs_are_deterministic_distinct_and_coloured():
    block = _block("glyphs", max_train=300, max_test=100)
    dataset, again = prepare(block), prepare(block)
    np.testing.assert_array_equal(dataset.train_images, again.train_images)
    assert np.bincount(dataset.train_labels).tolist() == [3] * 100
    images = [*dataset.train_images, *dataset.test_images]
    assert len({image.tobytes() for image in images}) == 400
    spread = dataset.train_images.astype(int).std(axis=(1, 2))
    assert (spread.max(axis=1) > 15).all()  # something is drawn on each
    chroma = np.ptp(dataset.train_images.astype(int), axis=3)
    assert chroma.mean() > 20


def test_a_glyph_does_not_depend_on_how_many_are_drawn():
    few = prepare(_block("glyphs", max_train=100, max_test=100))
    many = prepare(_block("glyphs", max_train=200, max_test=100))
    np.testing.assert_array_equal(few.train_images[7], many.train_images[14])
    np.testing.assert_array_equal(few.train_images[7], draw_glyph(7, 0, 0, 16))
    assert not np.array_equal(draw_glyph(7, 0, 0, 16), draw_glyph(7, 1, 0, 16))


def test_letters_are_distinct_and_do_not_depend_on_how_many_are_drawn():
    few, many = (
        prepare(_block("letters", max_train=n, max_test=52, channels=1))
        for n in (52, 260)
    )
    assert many.train_labels.tolist() == [k for k in range(26) for _ in range(10)]
    np.testing.assert_array_equal(few.train_images[14], many.train_images[70])
    images = [*many.train_images, *many.test_images]
    assert len({image.tobytes() for image in images}) == 260 + 52
    assert [*many.class_names] == [*LETTERS]


def test_no_letter_is_cut_and_each_is_placed_scaled_and_turned_within_its_bounds():
    """From the pixels alone, by their moments: nothing of how a letter is drawn."""
    side, middles, angles = 96, [], []
    for index in range(200):
        # an I in a font without serifs would do; here O, whose middle is its centre
        image = draw_letter(LETTERS.index("O"), 0, index, side)[..., 0] / 255.0
        assert image[[0, -1]].max() == 0 and image[:, [0, -1]].max() == 0
        rows, columns = (np.flatnonzero(image.max(axis=a) > 0.5) for a in (1, 0))
        heights = np.ptp(rows) + 1
        assert 0.5 * side < heights < 0.97 * side
        assert np.ptp(columns) < 0.97 * side
        middles.append([rows.mean() / side, columns.mean() / side])
        letter = draw_letter(LETTERS.index("I"), 0, index, side)[..., 0] / 255.0
        y, x = np.nonzero(letter > 0.5)
        angles.append(np.polyfit(y, x, 1)[0])  # its slant, in x for each y
    middles = np.array(middles)
    assert np.abs(middles - 0.5).max() < 0.09
    assert (np.ptp(middles, axis=0) > 0.06).all()
    # 15 degrees and a shear of 0.2, and up to 0.3 more of an italic font
    assert np.abs(angles).max() < 0.27 + 0.2 + 0.4 and np.std(angles) > 0.1


def test_coloured_letters_have_the_shape_of_the_grey_ones():
    chroma = []
    for label in range(26):
        grey, rgb = (draw_letter(label, 1, 3, 16, channels) for channels in (1, 3))
        coverage, shades = grey[..., 0].ravel(), rgb.mean(axis=-1).ravel()
        assert abs(np.corrcoef(coverage, shades)[0, 1]) > 0.98
        chroma.append(np.ptp(rgb.astype(int), axis=2).max())
    assert np.mean(chroma) > 50
