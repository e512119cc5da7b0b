"""The network that judges samples: what it learns, what it draws, and its files."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import torch

from dash_repro.data.dataset import Dataset
from dash_repro.data.prepare import prepare
from dash_repro.diffusion.noise import step_rng
from dash_repro.models.checkpoint import CheckpointError
from dash_repro.models.classifier import (
    Classifier,
    ClassifierConfig,
    load_classifier,
    save_classifier,
)
from dash_repro.resources import Counter
from dash_repro.training.classifier import augmented, planes, rate, train_classifier
from runledger.job import Interrupted

CPU = torch.device("cpu")
LOG = logging.getLogger("test")
SECTION = {
    "width": 8,
    "iterations": 12,
    "batch_size": 16,
    "learning_rate": 0.01,
    "weight_decay": 0.05,
    "flip": False,
    "seed": 3,
}


@pytest.fixture(scope="module")
def digits() -> Dataset:
    block = {"source": "digits", "name": "", "path": "", "image_size": 8}
    block |= {"channels": 1, "max_train": None, "max_test": None}
    return prepare(block)


def trained(dataset, folder, stop=lambda: False, **changed):
    return train_classifier(dataset, SECTION | changed, CPU, folder, LOG, stop)


def test_it_learns_digits_and_states_its_accuracy_on_images_it_never_saw(
    digits, tmp_path
) -> None:
    network, found = trained(digits, tmp_path, iterations=150, batch_size=32)
    assert found["test"]["accuracy"] > 0.9
    assert found["test"]["n"] == len(digits.test_images)
    images = np.repeat(digits.test_images, 3, axis=3).astype(np.float32) / 127.5 - 1
    inputs = torch.from_numpy(images.transpose(0, 3, 1, 2).copy())
    with torch.no_grad():
        features, logits = network(inputs)
    hits = logits.numpy().argmax(axis=1) == digits.test_labels
    assert found["test"]["accuracy"] == hits.mean()
    again = torch.nn.functional.linear(features, network.head.weight, network.head.bias)
    assert torch.equal(again, logits), "features are what the last layer sees"


def test_a_stopped_training_goes_on_to_the_same_bytes(digits, tmp_path) -> None:
    whole, _ = trained(digits, tmp_path / "whole")
    asked = iter(range(100))
    with pytest.raises(Interrupted):
        trained(digits, tmp_path / "cut", lambda: next(asked) == 6)
    rest, _ = trained(digits, tmp_path / "cut")
    for name, network in (("whole", whole), ("rest", rest)):
        save_classifier(tmp_path / name, network)
    assert (tmp_path / "rest").read_bytes() == (tmp_path / "whole").read_bytes()
    other, _ = trained(digits, tmp_path / "other", seed=4)
    assert not torch.equal(other.head.weight, whole.head.weight)


def test_images_are_moved_within_their_repeated_edge_and_turned() -> None:
    """Against numpy's padding and slices, with the same draws."""
    images = torch.randint(256, (40, 3, 6, 6), dtype=torch.uint8)
    for flip in (False, True):
        found = augmented(images, flip, 2, step_rng(1, 0, "x"))
        rng = step_rng(1, 0, "x")
        tops, lefts = torch.randint(5, (2, 40, 1), generator=rng)[..., 0].tolist()
        turns = (torch.rand(40, 1, generator=rng) < 0.5)[:, 0].tolist()
        for index, (top, left, turn) in enumerate(zip(tops, lefts, turns, strict=True)):
            wide = np.pad(images[index].numpy(), ((0, 0), (2, 2), (2, 2)), mode="edge")
            wanted = wide[:, top : top + 6, left : left + 6] / 127.5 - 1
            wanted = wanted[:, :, ::-1] if flip and turn else wanted
            np.testing.assert_allclose(found[index], wanted, atol=1e-6)
        assert set(turns) == {True, False}


def test_the_rate_rises_and_falls() -> None:
    rates = [rate(step, 100) for step in range(100)]
    assert np.argmax(rates) in (19, 20) and max(rates) == 1
    assert 0 < rates[0] <= 0.05 and 0 < rates[-1] < 0.01
    assert rate(0, 1) == 1


@pytest.mark.parametrize(("size", "levels"), [(8, 2), (12, 2), (28, 3), (32, 4)])
def test_its_counted_work_is_that_of_its_layers(size, levels) -> None:
    section = SECTION | {"width": 6}
    data = {"d": {"image_size": size, "channels": 1}}
    counter = Counter({"train_classifier": section, "prepare_data": data})
    network = Classifier(ClassifierConfig.from_params(section, size, 10))
    total = 0

    def add(module, _, out):
        nonlocal total
        total += 2 * out.numel() * module.weight[0].numel()

    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d):
            module.register_forward_hook(add)
    features, logits = network.eval()(torch.zeros(1, 3, size, size))
    assert counter.classifier("d") == total
    assert features.shape == (1, 6 << (levels - 1)) and logits.shape == (1, 10)


def test_a_file_that_is_no_classifier_is_refused(tmp_path) -> None:
    path = tmp_path / "model.safetensors"
    network = Classifier(ClassifierConfig(4, 2, 3))
    save_classifier(path, network)
    assert torch.equal(load_classifier(path).head.weight, network.head.weight)
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(CheckpointError, match=r"model\.safetensors"):
        load_classifier(path)
    from dash_repro.models.tensorfile import save_tensors

    save_tensors(path, {"a": torch.zeros(1)}, {"format": "other"})
    with pytest.raises(CheckpointError, match="not a file of train_classifier"):
        load_classifier(path)


def test_grey_images_have_three_equal_planes() -> None:
    grey = np.arange(16, dtype=np.uint8).reshape(1, 4, 4, 1)
    assert torch.equal(planes(grey)[0, 2], torch.from_numpy(grey[0, :, :, 0]))
