"""Reference statistics, all metrics of a sample set, profiles and ranked pairs."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from dash_repro.arrays import ArrayFileError
from dash_repro.data.dataset import Dataset
from dash_repro.evaluation.errors import EvaluationError
from dash_repro.evaluation.extractors import Extractor
from dash_repro.evaluation.features import extract_features
from dash_repro.evaluation.frechet import frechet_distance, gaussian_statistics
from dash_repro.evaluation.inception_score import inception_score
from dash_repro.evaluation.kid import kid
from dash_repro.evaluation.metrics import compute_metrics
from dash_repro.evaluation.pairs import rank_pairs, require_matched
from dash_repro.evaluation.profile import LiveTensors, profile_model
from dash_repro.evaluation.progress import LogProgress
from dash_repro.evaluation.reference import (
    build_reference,
    load_reference,
    save_reference,
)
from dash_repro.models.flops import count_flops
from dash_repro.models.unet import UNet, UNetConfig

CPU = torch.device("cpu")
SPLITS = {"split": "train", "floor_split": "test"}
SETTINGS = {"is_splits": 2, "kid_subsets": 3, "kid_subset_size": 20, "shuffle_seed": 0}


@pytest.fixture
def extractor():
    """Six features that a test can compute by hand: means of quarters, in 0..1."""

    def forward(images):
        pooled = torch.nn.functional.adaptive_avg_pool2d(images / 255, (1, 2))
        features = pooled.flatten(1)
        return features, features.softmax(dim=1)

    return Extractor("toy", "toy 1", "fd_toy", "is_toy", "kid_toy", 6, _same, forward)


def _same(image):
    return image


@pytest.fixture
def dataset():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (80, 4, 4, 3), dtype=np.uint8)
    labels = np.arange(80, dtype=np.int64) % 2
    names = np.array(["a", "b"])
    return Dataset(images[:50], labels[:50], images[50:], labels[50:], names)


def _features(images):
    halves = images.astype(np.float64).reshape(-1, 4, 2, 2, 3) / 255
    return halves.mean(axis=(1, 3)).transpose(0, 2, 1).reshape(-1, 6)


def test_reference_holds_statistics_of_one_split_and_the_floor_of_another(
    dataset, extractor
):
    reference = build_reference(dataset, extractor, SPLITS, SETTINGS, CPU)
    mean, cov = gaussian_statistics(_features(dataset.train_images))
    np.testing.assert_allclose(reference.mu, mean, rtol=1e-5)
    np.testing.assert_allclose(reference.sigma, cov, rtol=1e-3, atol=1e-7)
    assert (reference.n, reference.floor_n) == (50, 30)
    floor = frechet_distance(
        *gaussian_statistics(_features(dataset.test_images)), mean, cov
    )
    assert reference.floor_frechet == pytest.approx(floor, rel=1e-3)
    assert reference.features.dtype == np.float32 and reference.features.shape == (
        50,
        6,
    )


def test_reference_keeps_a_bounded_number_of_features(dataset, extractor, monkeypatch):
    import dash_repro.evaluation.reference as module

    monkeypatch.setattr(module, "KEPT_FEATURES", 20)
    reference = build_reference(dataset, extractor, SPLITS, SETTINGS, CPU)
    rows = {row.tobytes() for row in _features(dataset.train_images).astype(np.float32)}
    assert reference.features.shape == (20, 6) and reference.n == 50
    found, _ = extract_features(dataset.train_images, extractor, CPU)
    positions = [np.flatnonzero((found == row).all(1))[0] for row in reference.features]
    assert positions == sorted(set(positions)) and positions != list(range(20))
    assert len(rows) == 50


def test_reference_is_saved_whole(dataset, extractor, tmp_path):
    reference = build_reference(dataset, extractor, SPLITS, SETTINGS, CPU)
    path = tmp_path / "reference.npz"
    save_reference(path, reference)
    loaded = load_reference(path)
    for name, value in vars(reference).items():
        np.testing.assert_array_equal(getattr(loaded, name), value)
        assert type(getattr(loaded, name)) is type(value), name
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(ArrayFileError, match=r"not a whole \.npz"):
        load_reference(path)
    save_reference(path, replace(reference, sigma=np.eye(5)))
    with pytest.raises(ArrayFileError, match="do not fit"):
        load_reference(path)


def test_metrics_are_those_of_the_features(dataset, extractor):
    reference = build_reference(dataset, extractor, SPLITS, SETTINGS, CPU)
    images = np.random.default_rng(1).integers(60, 256, (40, 4, 4, 3), dtype=np.uint8)
    found = compute_metrics(images, reference, extractor, SETTINGS, CPU)
    features, probabilities = extract_features(images, extractor, CPU)
    expected = {
        "frechet": (
            "fd_toy",
            frechet_distance(
                *gaussian_statistics(features), reference.mu, reference.sigma
            ),
        ),
        "inception_score": ("is_toy", inception_score(probabilities, 2, 0)[0]),
        "kid": ("kid_toy", kid(features, reference.features, 3, 20, 0)[0]),
    }
    for metric, (name, value) in expected.items():
        entry = found["metrics"][metric]
        assert entry["name"] == name
        assert entry["value"] == pytest.approx(value, rel=1e-9)
    assert set(found["metrics"]["kid"]) == {"name", "value", "std"}
    assert (found["extractor"], found["num_samples"]) == ("toy", 40)
    assert found["reference"] == {"split": "train", "n": 50}
    assert found["floor"]["n"] == 30
    assert found["floor"]["frechet"] == reference.floor_frechet


def test_the_reference_itself_is_at_zero_and_noise_is_far(dataset, extractor):
    reference = build_reference(dataset, extractor, SPLITS, SETTINGS, CPU)

    def frechet(images):
        found = compute_metrics(images, reference, extractor, SETTINGS, CPU)
        return found["metrics"]["frechet"]["value"]

    assert frechet(dataset.train_images) == pytest.approx(0, abs=1e-7)
    assert frechet(dataset.test_images) == pytest.approx(reference.floor_frechet)
    assert frechet(dataset.train_images // 2) > 10 * reference.floor_frechet


def test_two_extractors_or_modes_are_never_compared(dataset, extractor):
    reference = build_reference(dataset, extractor, SPLITS, SETTINGS, CPU)
    other = replace(extractor, identity="toy 2")
    with pytest.raises(EvaluationError, match=r"'toy 1'.*'toy 2'"):
        compute_metrics(dataset.test_images, reference, other, SETTINGS, CPU)


def test_fewer_samples_than_the_settings_need_are_refused(dataset, extractor):
    with pytest.raises(EvaluationError, match="kid_subset_size"):
        build_reference(
            dataset, extractor, SPLITS, {**SETTINGS, "kid_subset_size": 31}, CPU
        )
    reference = build_reference(dataset, extractor, SPLITS, SETTINGS, CPU)
    with pytest.raises(EvaluationError, match="30 images cannot be shared among 31"):
        compute_metrics(
            dataset.test_images,
            reference,
            extractor,
            {**SETTINGS, "is_splits": 31},
            CPU,
        )


def test_a_network_that_gives_nan_is_refused(extractor):
    broken = replace(extractor, forward=lambda x: (x.flatten(1) / 0 * 0, x.flatten(1)))
    with pytest.raises(EvaluationError, match="2 of 2 rows hold NaN"):
        extract_features(np.ones((2, 4, 4, 3), np.uint8), broken, CPU)


# pairs


def test_pairs_are_ranked_by_distance_of_features(extractor):
    rng = np.random.default_rng(0)
    first, second = rng.integers(0, 256, (2, 30, 4, 4, 3), dtype=np.uint8)
    second[3], second[25] = 255 - first[3] // 2, 0
    first[25] = 255  # the farthest of all, but beyond the pool
    found = rank_pairs(first, second, extractor, pool=20, shown=4, device=CPU)
    distances = np.linalg.norm(_features(first) - _features(second), axis=1)
    worst = sorted(range(20), key=lambda index: -distances[index])[:4]
    assert found["indices"] == worst
    assert found["distances"] == pytest.approx(distances[worst].tolist(), rel=1e-5)
    assert (found["pool"], found["extractor"]) == (20, "toy")


def test_equal_distances_rank_by_index(extractor):
    images = np.zeros((5, 4, 4, 3), np.uint8)
    assert rank_pairs(images, images, extractor, 5, 3, CPU)["indices"] == [0, 1, 2]


@pytest.mark.parametrize(("pool", "shown"), [(6, 2), (3, 4), (3, 0)])
def test_pools_that_cannot_be_are_refused(extractor, pool, shown):
    images = np.zeros((5, 4, 4, 3), np.uint8)
    with pytest.raises(EvaluationError, match=r"rank_pairs\.pool"):
        rank_pairs(images, images, extractor, pool, shown, CPU)


def test_sets_of_other_noise_labels_or_size_are_no_pairs():
    one = {
        "images": np.zeros((6, 4, 4, 3), np.uint8),
        "labels": np.arange(6) % 2,
        "sampling_seed": np.int64(0),
    }
    require_matched(one, {**one, "labels": one["labels"][:4]})
    for change in (
        {"sampling_seed": np.int64(1)},
        {"labels": np.arange(6) % 3},
        {"images": np.zeros((6, 8, 8, 3), np.uint8)},
    ):
        with pytest.raises(EvaluationError, match="do not belong together"):
            require_matched(one, {**one, **change})


# profile


def test_profile_counts_and_measures():
    config = UNetConfig(
        width=8,
        blocks=1,
        num_classes=3,
        channel_mult=(1, 2),
        attention_resolution=4,
        dropout=0.1,
        norm_groups=4,
        norm_eps=1e-6,
        image_size=8,
    )
    model = UNet(config).eval()
    found = profile_model(model, batch_size=2, steps=7, repeats=3, device=CPU)
    assert found["parameters"] == sum(p.numel() for p in model.parameters())
    assert found["forward_flops"] == count_flops(model)
    assert found["sampling_flops"] == 14 * found["forward_flops"]
    assert found["guided_forward_s"] > 0
    assert found["sampling_latency_s"] == pytest.approx(7 * found["guided_forward_s"])
    assert found["peak_memory_kind"] == "cpu_tensors" and found["device"]
    again = profile_model(model, batch_size=2, steps=7, repeats=1, device=CPU)
    assert again["peak_memory_bytes"] == found["peak_memory_bytes"]
    assert found["peak_memory_bytes"] > 4 * found["parameters"]
    with pytest.raises(EvaluationError, match="repeats 0"):
        profile_model(model, batch_size=2, steps=7, repeats=0, device=CPU)


def test_live_tensors_counts_storages_that_live_at_a_time():
    held = torch.ones(10, dtype=torch.uint8)
    with LiveTensors([held, held[:3]]) as live:
        assert live.live == 10  # a view has no memory of its own
        first = torch.ones(100, dtype=torch.uint8)
        first.add_(1)
        second = first[:50]
        del first
        assert live.live == 110
        del second
        assert live.live == 10
        third = torch.ones(60, dtype=torch.uint8)
        assert (live.live, live.peak) == (70, 110)
        del third


# progress


def test_progress_says_the_last_of_each_pass():
    lines = []

    class Log:
        def info(self, *message):
            lines.append(message[1:4])

    report = LogProgress(Log(), "images", every=3600)
    for done, total in ((2, 5), (4, 5), (5, 5), (2, 3), (3, 3)):
        report(done, total)
    assert lines == [("images", 5, 5), ("images", 3, 3)]
