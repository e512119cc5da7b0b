"""Reference statistics, all metrics of a sample set, profiles and ranked pairs."""

import tracemalloc
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from dash_repro.arrays import ArrayFileError
from dash_repro.data.dataset import Dataset
from dash_repro.evaluation.bounds import measure_bounds, uniform_noise
from dash_repro.evaluation.errors import EvaluationError
from dash_repro.evaluation.extractors import Extractor
from dash_repro.evaluation.features import extract_features
from dash_repro.evaluation.metrics import compute_metrics
from dash_repro.evaluation.pairs import rank_pairs, require_matched
from dash_repro.evaluation.profile import LiveTensors, profile_model
from dash_repro.evaluation.progress import LogProgress
from dash_repro.evaluation.reference import (
    build_reference,
    load_reference,
    save_reference,
)
from dash_repro.evaluation.sample_metrics.frechet import (
    frechet_distance,
    gaussian_statistics,
)
from dash_repro.evaluation.sample_metrics.inception_score import inception_score
from dash_repro.evaluation.sample_metrics.kid import kid
from dash_repro.models.flops import count_flops
from dash_repro.models.unet import UNet, UNetConfig

CPU = torch.device("cpu")
SETTINGS = {
    "is_splits": 2,
    "kid_subsets": 3,
    "kid_subset_size": 20,
    "infinity_points": 3,
    "infinity_least": 10,
    "precision_k": 2,
    "precision_images": 30,
    "closest_pairs": 4,
    "shuffle_seed": 0,
}


@pytest.fixture
def extractor():
    """Six features that a test can compute by hand: means of quarters, in 0..1."""

    def forward(images):
        pooled = torch.nn.functional.adaptive_avg_pool2d(images / 255, (1, 2))
        features = pooled.flatten(1)
        return features, features.softmax(dim=1)

    return Extractor("toy", "toy 1", "{short}_toy", 6, _same, forward)


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


def test_reference_holds_the_statistics_of_one_split(dataset, extractor):
    reference = build_reference(dataset, extractor, "train", CPU)
    mean, cov = gaussian_statistics(_features(dataset.train_images))
    np.testing.assert_allclose(reference.mu, mean, rtol=1e-5)
    np.testing.assert_allclose(reference.sigma, cov, rtol=1e-3, atol=1e-7)
    assert reference.n == 50
    assert reference.features.dtype == np.float32 and reference.features.shape == (
        50,
        6,
    )


def test_reference_is_saved_whole(dataset, extractor, tmp_path):
    reference = build_reference(dataset, extractor, "train", CPU)
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
    reference = build_reference(dataset, extractor, "train", CPU)
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
        assert entry["interval"][0] < entry["value"] < entry["interval"][1]
    keys = {"name", "value", "standard_error", "interval"}
    assert set(found["metrics"]["frechet"]) == keys
    assert set(found["metrics"]["kid"]) == keys | {"std"}
    assert (found["extractor"], found["num_samples"]) == ("toy", 40)
    assert found["reference"] == {"split": "train", "n": 50}


def test_the_reference_itself_is_at_zero_and_noise_is_far(dataset, extractor):
    reference = build_reference(dataset, extractor, "train", CPU)

    def frechet(images):
        found = compute_metrics(images, reference, extractor, SETTINGS, CPU)
        return found["metrics"]["frechet"]["value"]

    assert frechet(dataset.train_images) == pytest.approx(0, abs=1e-7)
    assert frechet(dataset.train_images // 2) > 10 * frechet(dataset.test_images) > 0


def _bounds(dataset, extractor, num_samples, sets=4):
    params = {
        "generate_samples": {"num_samples": num_samples},
        "extract_reference": {"floor_split": "test", "floor_sets": sets},
        "compute_metrics": SETTINGS,
    }
    reference = build_reference(dataset, extractor, "train", CPU)
    return reference, measure_bounds(dataset, reference, extractor, params, CPU)


def test_real_images_bound_in_subsets_as_large_as_the_samples(dataset, extractor):
    reference, found = _bounds(dataset, extractor, num_samples=24)
    real = found["bounds"]["real"]
    values = [one["frechet"]["value"] for one in real["sets"]]
    assert real["n"] == 24 and len(set(values)) == len(values) == 4
    # what some 24 of the 30 can give, and no more than they can
    features, rng = _features(dataset.test_images), np.random.default_rng(9)
    drawn = [
        frechet_distance(
            *gaussian_statistics(features[rng.permutation(30)[:24]]),
            *(reference.mu, reference.sigma),
        )
        for _ in range(300)
    ]
    assert all(min(drawn) * 0.8 < value < max(drawn) * 1.2 for value in values)
    assert found == _bounds(dataset, extractor, 24)[1], "another run, other subsets"


@pytest.mark.parametrize("num_samples", [30, 45])
def test_real_images_bound_once_where_there_are_no_more(
    dataset, extractor, num_samples
):
    reference, found = _bounds(dataset, extractor, num_samples)
    real = found["bounds"]["real"]
    assert real["n"] == 30 and len(real["sets"]) == 1
    wanted = compute_metrics(dataset.test_images, reference, extractor, SETTINGS, CPU)
    assert real["sets"][0] == wanted["metrics"]
    assert found["bounds"]["noise"]["n"] == num_samples


def test_a_constant_image_is_at_the_distance_that_its_formula_says(dataset, extractor):
    """Its covariance is zero: |m1 - m2|^2 + tr S2; its classes tell nothing: IS 1."""
    reference, found = _bounds(dataset, extractor, 24)
    constant = found["bounds"]["constant"]
    average = np.rint(dataset.train_images.mean(axis=0)).astype(np.uint8)
    shift = ((_features(average[None])[0] - reference.mu) ** 2).sum()
    (metrics,) = constant["sets"]
    wanted = shift + np.trace(reference.sigma)
    assert metrics["frechet"]["value"] == pytest.approx(wanted, rel=1e-5)
    assert metrics["inception_score"]["value"] == pytest.approx(1)
    assert constant["n"] == 24
    names = {metrics[metric]["name"] for metric in metrics}
    assert names == {
        *("fd_toy", "fd_inf_toy", "is_toy", "kid_toy", "precision_toy", "recall_toy")
    }
    assert found["extractor"] == "toy"


def test_noise_is_uniform_and_repeatable(dataset, extractor):
    images = uniform_noise((500, 4, 4, 1), 3)
    assert images.dtype == np.uint8 and (images == uniform_noise(images.shape, 3)).all()
    counts = np.bincount(images.reshape(-1), minlength=256)
    assert (counts > 0).all() and abs(images.mean() - 127.5) < 3
    reference, found = _bounds(dataset, extractor, 24)
    images = uniform_noise((24, 4, 4, 3), SETTINGS["shuffle_seed"])
    wanted = compute_metrics(images, reference, extractor, SETTINGS, CPU)
    assert found["bounds"]["noise"]["sets"] == [wanted["metrics"]]


def test_grey_images_are_measured_as_rgb(dataset, extractor):
    grey = dataset.train_images[..., :1]
    found, _ = extract_features(grey, extractor, CPU)
    wanted, _ = extract_features(np.repeat(grey, 3, axis=3), extractor, CPU)
    np.testing.assert_array_equal(found, wanted)


def test_two_extractors_or_modes_are_never_compared(dataset, extractor):
    reference = build_reference(dataset, extractor, "train", CPU)
    other = replace(extractor, identity="toy 2")
    with pytest.raises(EvaluationError, match=r"'toy 1'.*'toy 2'"):
        compute_metrics(dataset.test_images, reference, other, SETTINGS, CPU)


def test_fewer_samples_than_the_settings_need_are_refused(dataset, extractor):
    with pytest.raises(EvaluationError, match="kid_subset_size"):
        _bounds(dataset, extractor, 19)
    reference = build_reference(dataset, extractor, "train", CPU)
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


def test_memory_follows_the_features_and_nothing_is_kept_twice():
    """50,000 images with 2,048 features must fit 4 GiB: 2.5 GiB were measured."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 255, (6000, 4, 4, 3), dtype=np.uint8)

    def forward(batch):
        wide = batch.flatten(1).repeat(1, 6)  # 288 features
        return wide, wide[:, :3].softmax(1)

    extractor = SimpleNamespace(resize=lambda x: x.astype(np.float32), forward=forward)
    tracemalloc.start()
    try:
        features, _ = extract_features(images, extractor, CPU)
        once = features.nbytes
        assert tracemalloc.get_traced_memory()[1] < 1.4 * once
        tracemalloc.reset_peak()
        gaussian_statistics(features)  # a copy in float64, 288 x 288
        assert tracemalloc.get_traced_memory()[1] < (1 + 2 + 0.6) * once
        tracemalloc.reset_peak()
        kid(features, features[:500], 2, 100, 0)
        assert tracemalloc.get_traced_memory()[1] < 1.5 * once
    finally:
        tracemalloc.stop()
