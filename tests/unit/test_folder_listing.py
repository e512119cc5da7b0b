"""A folder's images are those of ImageFolder, and what is left out is said."""

from __future__ import annotations

import json
import logging
import os
import unicodedata
from pathlib import Path

import pytest
from paper_fixtures import FakeJob
from PIL import Image
from torchvision.datasets import ImageFolder
from torchvision.datasets.folder import IMG_EXTENSIONS

from dash_repro.data.dataset import DatasetError
from dash_repro.data.listing import EXTENSIONS, HIDDEN, list_splits
from dash_repro.data.sources.folder import account_lines, read_folder
from runledger.canonical import canonical

COMPOSED = unicodedata.normalize("NFC", "café")
DECOMPOSED = unicodedata.normalize("NFD", "café")


def image(path: Path, colour: str = "red") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8), colour).save(path)
    return path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for split in ("train", "test"):
        for name in ("bee", "ant"):
            image(tmp_path / split / name / "0.png")
    return tmp_path


def read(root: Path, notes: dict | None = None, **limits):
    block = {"path": str(root), "image_size": 8, "max_train": None, "max_test": None}
    return read_folder({**block, **limits}, {} if notes is None else notes)


def test_the_endings_are_torchvisions() -> None:
    assert set(EXTENSIONS) == set(IMG_EXTENSIONS)


def test_the_same_files_in_the_same_order_as_imagefolder(root) -> None:
    train = root / "train"
    for name in (
        *("ant/10.png", "ant/9.JPG", "ant/B.Webp", "ant/a.bmp", "ant/x.tiff"),
        *("ant/sub/1.png", "ant/sub-2/1.png", "ant/sub/inner/z.pgm", "ant/Sub/0.ppm"),
        *("bee/é.png", "bee/space in name.tif", "Wasp/1.jpeg", "10/1.png", "9/1.png"),
    ):
        image(train / name)
    for name in ("Wasp", "10", "9"):
        image(root / "test" / name / "1.png")
    (train / "ant" / "notes.txt").write_text("x")
    other = image(root.parent / f"{root.name}-linked" / "deep" / "1.png")
    (train / "bee" / "linked").symlink_to(other.parent.parent)
    theirs = ImageFolder(str(train))
    ours = list_splits(root)["train"].files
    assert list(ours) == theirs.classes
    found = [(str(path), i) for i, own in enumerate(ours.values()) for path in own]
    assert found == theirs.samples
    assert len(found) == 2 + 14 + 1


def test_what_is_left_out_is_counted_and_named(root) -> None:
    place = root / "train" / "ant"
    for name in ("a.gif", "b.GIF", "c.gif", "d.gif", "notes.txt", "README"):
        (place / name).write_bytes(b"x")
    for name in (".DS_Store", "Thumbs.db", "._0.png", "desktop.ini"):
        (place / name).write_bytes(b"x")
    image(place / ".hidden" / "0.png")
    image(root / "train" / ".ipynb_checkpoints" / "0.png")
    image(root / "train" / "__MACOSX" / "0.png")
    (root / "train" / "labels.csv").write_text("x")
    image(root / "val" / "ant" / "0.png")
    notes: dict = {}
    dataset = read(root, notes)
    assert dataset.class_names.tolist() == ["ant", "bee"]
    assert len(dataset.train_images) == 2
    left = notes["train"].pop("left_out")
    assert notes == {"train": {"read": 2}, "test": {"read": 2}, "not_read": ["val"]}
    assert {what: one["count"] for what, one in left.items()} == {
        "files ending in .gif": 4,
        "files ending in .txt": 1,
        "other files": 1,
        "files beside the class folders": 1,
        HIDDEN: 7,
    }
    assert left["files ending in .gif"]["for_example"] == [
        *("ant/a.gif", "ant/b.GIF", "ant/c.gif")
    ]


def test_the_account_is_said_in_plain_lines_and_fits_a_record(root) -> None:
    for index in range(3):
        image(root / "train" / "ant" / f"more{index}.png")
    (root / "train" / "ant" / "a.gif").write_bytes(b"x")
    notes: dict = {}
    read(root, notes, max_train=2)
    assert json.loads(canonical(notes)) == notes
    assert list(account_lines(notes)) == [
        (False, "train: 2 images read; 3 more are beyond max_train"),
        (True, "train: left out files ending in .gif (1), such as ant/a.gif"),
        (False, "test: 2 images read"),
    ]
    assert list(account_lines({})) == []  # the other sources have nothing to say


def test_the_stage_says_it_in_log_and_record(root, tmp_path, caplog) -> None:
    import prepare_data

    (root / "train" / "ant" / "a.gif").write_bytes(b"x")
    block = {"source": "folder", "path": str(root), "image_size": 8}
    block |= {"channels": 3, "max_train": None, "max_test": None}
    job = FakeJob({"dataset": "own"}, {"prepare_data": {"own": block}}, out=tmp_path)
    with caplog.at_level(logging.INFO):
        prepare_data.run(job)
    said = {(one.levelname, one.getMessage()) for one in caplog.records}
    left_out = "train: left out files ending in .gif (1), such as ant/a.gif"
    assert {("WARNING", left_out), ("INFO", "test: 2 images read")} <= said
    assert job.notes["train"]["left_out"]["files ending in .gif"]["count"] == 1
    assert job.notes["images"] == {"train": 2, "test": 2}


# Unicode and case


def test_one_class_spelt_by_two_systems(root) -> None:
    image(root / "train" / DECOMPOSED / "0.png", "blue")
    image(root / "test" / COMPOSED / "0.png", "blue")
    dataset = read(root)
    assert dataset.class_names.tolist() == ["ant", "bee", COMPOSED]
    assert dataset.train_images[dataset.train_labels == 2][0, 0, 0].tolist() == [
        0,
        0,
        255,
    ]


def test_two_spellings_of_a_class_in_one_split_are_refused(root) -> None:
    image(root / "train" / DECOMPOSED / "0.png")
    image(root / "train" / COMPOSED / "0.png")
    with pytest.raises(DatasetError) as caught:
        read(root)
    assert (
        "two folders of one class: 'cafe\\u0301' and 'caf\\xe9'" in caught.value.what
        or (
            "two folders of one class: 'caf\\xe9' and 'cafe\\u0301'"
            in caught.value.what
        )
    )


def test_names_that_look_alike_are_shown_with_their_codes(root) -> None:
    image(root / "train" / "сat" / "0.png")  # a Cyrillic letter
    image(root / "test" / "cat" / "0.png")
    with pytest.raises(DatasetError) as caught:
        read(root)
    assert (
        "only in train ['сat' ('\\u0441at')], only in test ['cat']" in caught.value.what
    )


def test_classes_that_differ_in_case_are_several_and_said(root) -> None:
    for split in ("train", "test"):
        image(root / split / "Ant" / "0.png")
    notes: dict = {}
    assert read(root, notes).class_names.tolist() == ["Ant", "ant", "bee"]
    assert (True, "several classes: Ant / ant") in list(account_lines(notes))


# refused by name


def test_a_name_that_is_no_text_is_refused(root) -> None:
    folder = os.fsencode(root / "train") + b"/caf\xe9"
    try:
        os.mkdir(folder)
    except OSError:
        pytest.skip("this file system wants UTF-8 names")
    with pytest.raises(DatasetError) as caught:
        read(root)
    assert r"not UTF-8: 'caf\udce9'" in str(caught.value)
    str(caught.value).encode()


def test_left_out_names_that_are_no_text_fit_log_and_record(root) -> None:
    place = os.fsencode(root / "train" / "ant")
    try:
        open(place + b"/\xe9\x1b[31m.txt", "wb").close()
    except OSError:
        pytest.skip("this file system wants UTF-8 names")
    notes: dict = {}
    read(root, notes)
    json.dumps(notes, ensure_ascii=False).encode()
    assert all(line.isprintable() for _, line in account_lines(notes))


def test_an_image_whose_name_is_no_text_is_read(root) -> None:
    place = os.fsencode(root / "train" / "ant")
    try:
        os.rename(place + b"/0.png", place + b"/\xe9.png")
    except OSError:
        pytest.skip("this file system wants UTF-8 names")
    assert len(read(root).train_images) == 2
    open(place + b"/\xe9.png", "wb").close()
    with pytest.raises(DatasetError, match=r"the file is empty") as caught:
        read(root)
    assert caught.value.where.endswith(r"ant/\udce9.png")


def test_a_link_to_nothing_is_refused_and_a_link_upwards_left_out(root) -> None:
    (root / "train" / "ant" / "loop").symlink_to(root / "train")
    notes: dict = {}
    assert len(read(root, notes).train_images) == 2
    assert "links to a folder above them" in notes["train"]["left_out"]
    (root / "train" / "ant" / "1.png").symlink_to(root / "gone.png")
    with pytest.raises(DatasetError, match="a link to nothing"):
        read(root)


def test_a_pipe_with_an_images_name_does_not_block(root) -> None:
    os.mkfifo(root / "train" / "ant" / "1.png")
    with pytest.raises(DatasetError, match="no file, or a link to nothing"):
        read(root)


def test_an_inner_folder_that_cannot_be_listed_is_named(root, monkeypatch) -> None:
    inner = str(image(root / "train" / "ant" / "inner" / "0.png").parent)
    real = os.scandir

    def refusing(path: str):
        if os.fspath(path) == inner:  # permissions do not stop a test that is root
            raise PermissionError(13, "Permission denied", path)
        return real(path)

    monkeypatch.setattr(os, "scandir", refusing)
    with pytest.raises(DatasetError, match="cannot be listed: Permission") as caught:
        read(root)
    assert caught.value.where == inner


def test_a_split_of_another_name_is_hinted_at(root) -> None:
    (root / "train").rename(root / "Training")
    with pytest.raises(DatasetError, match=r"no such folder; there is Training\n"):
        read(root)
