"""The stage programs of data and evaluation, from file to file, with a stand-in Job."""

import json
import logging
import zipfile

import compute_metrics
import extract_reference
import measure_calibration
import numpy as np
import prepare_data
import profile_model
import pytest
import rank_pairs
import torch
import train_classifier
from vit_weights import clip_state, config, dinov2_state

from dash_repro.arrays import ArrayFileError, save_npz
from dash_repro.data.dataset import load_dataset
from dash_repro.diffusion.schedule import Schedule, ScheduleError
from dash_repro.evaluation.errors import EvaluationError
from dash_repro.evaluation.extractors import build_extractor
from dash_repro.evaluation.reference import load_reference
from dash_repro.evaluation.sample_metrics.frechet import frechet_to_reference
from dash_repro.evaluation.sample_metrics.inception_score import inception_score
from dash_repro.models.checkpoint import CheckpointError, save_checkpoint
from dash_repro.models.classifier import Classifier, load_classifier, save_classifier
from dash_repro.models.unet import UNet, UNetConfig

pytestmark = pytest.mark.slow

PARAMS = {
    "prepare_data": {
        "tiny": {
            "source": "digits",
            "name": "",
            "path": "",
            "image_size": 8,
            "channels": 3,
            "max_train": 60,
            "max_test": 40,
        }
    },
    "extractor": {"name": "effnetlite0"},
    "train_classifier": {
        "width": 8,
        "iterations": 120,
        "batch_size": 16,
        "learning_rate": 0.01,
        "weight_decay": 0.05,
        "flip": False,
        "seed": 0,
    },
    "extract_reference": {"split": "train", "floor_split": "test", "floor_sets": 2},
    "generate_samples": {"num_samples": 40},
    "compute_metrics": {
        "is_splits": 2,
        "kid_subsets": 2,
        "kid_subset_size": 10,
        "infinity_points": 3,
        "infinity_least": 10,
        "precision_k": 2,
        "precision_images": 30,
        "closest_pairs": 4,
        "shuffle_seed": 0,
    },
    "diffusion": Schedule(20, "cosine", 0.008, 1e-4, 0.9999).to_dict(),
    "measure_calibration": {
        "pairs": 12,
        "bins": 2,
        "seed": 0,
        "batch_size": 5,
        "cos_undefined_below": 0.1,
        "numerics": "fp32",
    },
    "profile_model": {"batch_size": 2, "steps": 4, "repeats": 1},
    "rank_pairs": {"pool": 12, "shown": 3},
}
MADE = ("metrics.json", "features.npz")


class StandInJob:
    """The part of runledger's Job that these programs use."""

    def __init__(self, folder, files=(), **item):
        self.folder, self.files, self.item = folder, list(files), item
        self.params, self.notes = PARAMS, {}
        self.log = logging.getLogger("test")

    def inputs(self, stage):
        return [
            (path.parent.name, path) for made_by, path in self.files if made_by == stage
        ]

    def input(self, stage, name=None):
        ((_, path),) = self.inputs(stage)
        assert name in (None, path.name)
        return path

    def output(self, name):
        return self.folder / name

    @property
    def state(self):
        return self.folder

    def stop_requested(self):
        return False

    def note(self, **values):
        self.notes.update(json.loads(json.dumps(values)))


@pytest.fixture(autouse=True)
def _keep_torch_settings():
    """configure() changes the process; the other tests want it as it was."""
    threads = torch.get_num_threads()
    deterministic = torch.are_deterministic_algorithms_enabled()
    yield
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(deterministic)


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    job = StandInJob(tmp_path_factory.mktemp("tiny"), dataset="tiny")
    prepare_data.run(job)
    assert job.notes == {"images": {"train": 60, "test": 40}, "classes": 10}
    return job.output("images.npz")


@pytest.fixture(scope="module")
def classifier(images, tmp_path_factory):
    folder = tmp_path_factory.mktemp("classifier")
    train_classifier.run(StandInJob(folder, [("prepare_data", images)], dataset="tiny"))
    found = json.loads((folder / "accuracy.json").read_text())
    assert found["test"]["accuracy"] > 0.5 and found["train"]["n"] == 60
    return "train_classifier", folder / "model.safetensors"


def _samples(folder, images, name, labels=None):
    path = folder / name / "samples.npz"
    path.parent.mkdir()
    labels = np.arange(len(images)) % 10 if labels is None else labels
    save_npz(path, images=images, labels=labels, sampling_seed=np.int64(0))
    return "generate_samples", path


def _checkpoint(folder, role, classes=10, cosine_s=0.008, channels=3):
    config = UNetConfig(
        width=8,
        blocks=1,
        num_classes=classes,
        channel_mult=(1, 2),
        attention_resolution=4,
        dropout=0.0,
        norm_groups=4,
        norm_eps=1e-6,
        image_size=8,
        channels=channels,
    )
    torch.manual_seed(role == "teacher")
    model = UNet(config)
    for values in model.parameters():  # the last layer starts at zero: no gap at all
        torch.nn.init.normal_(values, std=0.2)
    folder.mkdir()
    path = folder / "model.safetensors"
    schedule = Schedule(20, "cosine", cosine_s, 1e-4, 0.9999).to_dict()
    save_checkpoint(path, model.state_dict(), config, schedule, role, 1)
    return f"train_{role}", path


def test_metrics_from_images_to_json(images, classifier, tmp_path):
    job = StandInJob(tmp_path, [("prepare_data", images), classifier], dataset="tiny")
    extract_reference.run(job)
    reference = ("extract_reference", job.output("reference.npz"))
    assert job.notes["n"] == 60

    labels = load_dataset(images).test_labels

    def measure(name, array, labels=labels):
        files = [reference, classifier, _samples(tmp_path, array, name, labels)]
        compute_metrics.run(StandInJob(tmp_path, files, dataset="tiny"))
        return json.loads((tmp_path / "metrics.json").read_text())

    real = load_dataset(images).test_images
    found = measure("real", real)
    assert found["metrics"]["frechet"]["name"] == "fd_effnetlite0"
    bounds = json.loads((tmp_path / "bounds.json").read_text())["bounds"]
    assert [found["metrics"]] == bounds["real"]["sets"]
    assert found["num_samples"] == 40
    assert {bounds[name]["n"] for name in bounds} == {40}
    accuracy = json.loads((classifier[1].parent / "accuracy.json").read_text())
    right = found["metrics"]["class_accuracy"]
    assert right["value"] == accuracy["test"]["accuracy"]
    assert right["extractor"] == "classifier" and right["standard_error"] > 0
    assert bounds["constant"]["sets"][0]["class_accuracy"]["value"] == 0.1
    assert found["metrics"]["nearest"]["value"] == pytest.approx(1), "held out"
    first = [(tmp_path / name).read_bytes() for name in MADE]
    measure("again", real)
    assert [(tmp_path / name).read_bytes() for name in MADE] == first
    with zipfile.ZipFile(tmp_path / "features.npz") as archive:
        assert {member.date_time[0] for member in archive.infolist()} == {1980}
    kept = np.load(tmp_path / "features.npz")
    assert kept["features"].dtype == kept["probabilities"].dtype == np.float16
    assert len(kept["features"]) == len(kept["probabilities"]) == 40
    assert kept["recognised"].mean() == right["value"]
    mu, sigma = (np.load(reference[1])[name] for name in ("mu", "sigma"))
    again = frechet_to_reference(kept["features"].astype(float), mu, sigma)
    assert again == pytest.approx(found["metrics"]["frechet"]["value"], rel=1e-3)
    score, _ = inception_score(kept["probabilities"].astype(float), 2, 0)
    wanted = found["metrics"]["inception_score"]["value"]
    assert score == pytest.approx(wanted, rel=1e-3)
    other = measure("other", real, (labels + 1) % 10)["metrics"]
    assert other.pop("class_accuracy")["value"] <= 1 - right["value"]
    assert other == {k: v for k, v in found["metrics"].items() if k in other}
    noise = np.random.default_rng(0).integers(0, 256, real.shape, dtype=np.uint8)
    worse = measure("noise", noise)["metrics"]
    assert worse["frechet"]["value"] > 2 * found["metrics"]["frechet"]["value"]
    assert worse["kid"]["value"] > found["metrics"]["kid"]["value"] + 0.01


def test_the_classifier_is_an_extractor_of_its_own_features(
    images, classifier, tmp_path, monkeypatch
):
    """Its penultimate layer; another classifier's reference is refused."""
    monkeypatch.setitem(PARAMS, "extractor", {"name": "classifier"})
    job = StandInJob(tmp_path, [("prepare_data", images), classifier], dataset="tiny")
    extract_reference.run(job)
    reference = load_reference(tmp_path / "reference.npz")
    train = load_dataset(images).train_images
    network = load_classifier(classifier[1])
    inputs = torch.from_numpy(train.transpose(0, 3, 1, 2) / 127.5 - 1).float()
    features = network(inputs)[0].double().numpy()
    assert features.shape == (60, 16)
    np.testing.assert_allclose(reference.mu, features.mean(axis=0), atol=1e-5)
    np.testing.assert_allclose(reference.features, features, atol=1e-5)
    samples = _samples(tmp_path, train[:40], "some")
    files = [("extract_reference", tmp_path / "reference.npz"), classifier, samples]
    compute_metrics.run(StandInJob(tmp_path, files, dataset="tiny"))
    found = json.loads((tmp_path / "metrics.json").read_text())
    assert found["metrics"]["frechet"]["name"] == "fd_classifier"
    assert found["metrics"]["nearest"]["value"] == pytest.approx(0, abs=1e-3)
    save_classifier(tmp_path / "model.safetensors", Classifier(network.config))
    files[1] = "train_classifier", tmp_path / "model.safetensors"
    with pytest.raises(EvaluationError, match="made with extractor"):
        compute_metrics.run(StandInJob(tmp_path, files, dataset="tiny"))
    with pytest.raises(EvaluationError, match="the stage train_classifier"):
        build_extractor({"name": "classifier"}, torch.device("cpu"))


@pytest.mark.parametrize("name", ["dinov2", "clip"])
def test_other_networks_features_go_from_images_to_json(
    images, classifier, tmp_path, monkeypatch, name
):
    """Real images are near themselves and noise is far; there are no class scores."""
    weights = tmp_path / "weights.pth"
    torch.save({"dinov2": dinov2_state, "clip": clip_state}[name](), weights)
    monkeypatch.setitem(PARAMS, "extractor", config(name, weights))
    job = StandInJob(tmp_path, [("prepare_data", images), classifier], dataset="tiny")
    extract_reference.run(job)
    bounds = json.loads((tmp_path / "bounds.json").read_text())["bounds"]
    near, far = (bounds[of]["sets"][0]["frechet"]["value"] for of in ("real", "noise"))
    assert 0 < near < far / 2
    samples = _samples(tmp_path, load_dataset(images).train_images[:40], "some")
    files = [("extract_reference", tmp_path / "reference.npz"), classifier, samples]
    compute_metrics.run(StandInJob(tmp_path, files, dataset="tiny"))
    found = json.loads((tmp_path / "metrics.json").read_text())
    assert found["extractor"] == name
    assert found["metrics"]["frechet"]["name"] == f"fd_{name}"
    assert found["metrics"]["frechet"]["value"] < far / 2
    assert found["metrics"]["nearest"]["value"] == pytest.approx(0, abs=1e-3)
    assert "inception_score" not in found["metrics"]
    assert "class_accuracy" in found["metrics"]


def test_a_sample_file_cut_short_is_named(images, classifier, tmp_path):
    _, path = _samples(tmp_path, load_dataset(images).test_images, "cut")
    path.write_bytes(path.read_bytes()[:5000])
    files = [("generate_samples", path), classifier]
    job = StandInJob(tmp_path, files, dataset="tiny")
    with pytest.raises(ArrayFileError, match=r"cut/samples\.npz"):
        compute_metrics.run(job)


def test_calibration_from_checkpoints_to_json(images, tmp_path):
    files = [
        ("prepare_data", images),
        _checkpoint(tmp_path / "student", "student"),
        _checkpoint(tmp_path / "teacher", "teacher"),
    ]
    measure_calibration.run(StandInJob(tmp_path, files, dataset="tiny"))
    found = json.loads((tmp_path / "calibration.json").read_text())
    assert found["pairs"] == sum(part["n"] for part in found["bins"]) == 12
    assert found["rho"] > 0 and found["teacher_gap_norm"] > 0 and found["gap_mse"] > 0
    kept = np.load(tmp_path / "pairs.npz")
    assert kept["norm_s"].mean() / kept["norm_t"].mean() == pytest.approx(found["rho"])
    assert kept["gap_sq_err"].mean() == pytest.approx(found["gap_mse"])
    late = kept["timesteps"] >= 10
    assert late.sum() == found["bins"][1]["n"]
    assert kept["gap_sq_err"][late].mean() == pytest.approx(found["bins"][1]["gap_mse"])
    assert set(kept["indices"]) <= set(range(40))
    assert kept["labels"].tolist() == (
        load_dataset(images).test_labels[kept["indices"]].tolist()
    )
    # The teacher as its own student
    own = [files[0], ("train_student", files[2][1]), files[2]]
    measure_calibration.run(StandInJob(tmp_path, own, dataset="tiny"))
    found = json.loads((tmp_path / "calibration.json").read_text())
    assert (found["rho"], found["gap_mse"]) == (1, 0)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"classes": 9}, CheckpointError, r"\(9, 8, 3\).*\(10, 8, 3\)"),
        ({"channels": 1}, CheckpointError, r"\(10, 8, 1\).*\(10, 8, 3\)"),
        ({"cosine_s": 0.01}, ScheduleError, "another diffusion schedule"),
    ],
)
def test_checkpoints_that_do_not_belong_are_refused(
    images, tmp_path, change, error, message
):
    files = [
        ("prepare_data", images),
        _checkpoint(tmp_path / "student", "student", **change),
        _checkpoint(tmp_path / "teacher", "teacher"),
    ]
    with pytest.raises(error, match=message) as caught:
        measure_calibration.run(StandInJob(tmp_path, files, dataset="tiny"))
    assert "student" in caught.value.where


@pytest.mark.parametrize("role", ["student", "teacher"])
def test_profile_of_either_role(tmp_path, role):
    other = "teacher" if role == "student" else "student"
    files = [_checkpoint(tmp_path / role, role), (f"train_{other}", None)]
    profile_model.run(StandInJob(tmp_path, files, model_stage=f"train_{role}"))
    found = json.loads((tmp_path / "profile.json").read_text())
    assert found["sampling_flops"] == 8 * found["forward_flops"] > 0


def test_pairs_are_ranked_from_two_sample_files(images, tmp_path):
    real = load_dataset(images).test_images[:20]
    changed = real.copy()
    changed[7] = 255 - real[7]
    # The order of inputs says nothing; the identity does.
    files = [_samples(tmp_path, changed, "dash"), _samples(tmp_path, real, "tirt")]
    job = StandInJob(tmp_path, files, teacher_samples="tirt", student_samples="dash")
    rank_pairs.run(job)
    found = json.loads((tmp_path / "pairs.json").read_text())
    assert found["indices"] == [7, 0, 1] and found["distances"][1:] == [0, 0]
    assert found["distances"][0] > 0
