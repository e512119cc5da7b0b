"""images.npz: its checks, and class-balanced subsets."""

from dataclasses import replace

import numpy as np
import pytest

from dash_repro.arrays import ArrayFileError, save_npz
from dash_repro.data.dataset import (
    Dataset,
    DatasetError,
    balanced_subset,
    class_quotas,
    load_dataset,
    save_dataset,
)


@pytest.fixture
def dataset():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (9, 4, 4, 3), dtype=np.uint8)
    labels = np.arange(9, dtype=np.int64) % 3
    return Dataset(images, labels, images[:6], labels[:6], np.array(["a", "b", "ç"]))


def test_saved_and_loaded_with_equal_bytes(dataset, tmp_path):
    save_dataset(tmp_path / "one.npz", dataset)
    loaded = load_dataset(tmp_path / "one.npz")
    np.testing.assert_array_equal(loaded.train_images, dataset.train_images)
    assert loaded.class_names.tolist() == ["a", "b", "ç"]
    assert (loaded.num_classes, loaded.image_size) == (3, 4)
    save_dataset(tmp_path / "two.npz", loaded)
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()


@pytest.mark.parametrize("kept", [0.0, 0.5, 0.98])
def test_a_file_cut_short_is_named(dataset, tmp_path, kept):
    path = tmp_path / "images.npz"
    save_dataset(path, dataset)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(ArrayFileError) as caught:
        load_dataset(path)
    assert caught.value.where == str(path)


def test_a_changed_byte_is_noticed(dataset, tmp_path):
    path = tmp_path / "images.npz"
    save_dataset(path, dataset)
    content = bytearray(path.read_bytes())
    content[300] ^= 1
    path.write_bytes(content)
    with pytest.raises(ArrayFileError):
        load_dataset(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"train_images": np.zeros((9, 4, 4, 3))}, "float64"),
        ({"train_images": np.zeros((9, 3, 4, 4), np.uint8)}, "not uint8"),
        ({"test_images": np.zeros((6, 5, 5, 3), np.uint8)}, "test split"),
        ({"train_labels": np.zeros(8, np.int64)}, "for 9 images"),
        ({"train_labels": np.arange(9, dtype=np.int64)}, "do not cover 0..2"),
        ({"test_labels": np.zeros(6, np.int64)}, "do not cover 0..2"),
        ({"train_labels": np.zeros(9, np.int32)}, "int32"),
    ],
)
def test_arrays_that_make_no_dataset_are_refused(dataset, tmp_path, change, message):
    broken = replace(dataset, **change)
    with pytest.raises(DatasetError, match=message):
        save_dataset(tmp_path / "no.npz", broken)
    assert not (tmp_path / "no.npz").exists()
    save_npz(tmp_path / "images.npz", **vars(broken))
    with pytest.raises(DatasetError, match=message):
        load_dataset(tmp_path / "images.npz")


def test_quotas_share_the_limit():
    assert class_quotas(11, 4) == [3, 3, 3, 2]
    with pytest.raises(DatasetError, match="3 images leaves some of 4 classes"):
        class_quotas(3, 4)


def test_subset_takes_the_first_of_each_class_in_stored_order():
    labels = np.array([2, 0, 0, 1, 2, 0, 1, 1, 2])
    assert balanced_subset(labels, 5, 3).tolist() == [0, 1, 2, 3, 6]
    assert balanced_subset(labels, None, 3).tolist() == list(range(9))
    # Class 1 has one image: the others do not fill its share.
    assert balanced_subset(np.array([0, 0, 0, 1]), 4, 2).tolist() == [0, 1, 3]


def test_unknown_split_is_refused(dataset):
    with pytest.raises(DatasetError, match="'valid'"):
        dataset.split("valid")
