"""The stage program: from a checkpoint and a job to samples.npz."""

import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import generate_samples
import numpy as np
import pytest
import torch

from dash_repro.arrays import load_npz
from dash_repro.diffusion.generate import generate
from dash_repro.diffusion.sampling import Sampling
from dash_repro.diffusion.schedule import Schedule, ScheduleError
from dash_repro.models.checkpoint import load_checkpoint, save_checkpoint
from dash_repro.models.precision import inference_network
from dash_repro.models.unet import UNetConfig, build_unet
from runledger.job import Interrupted

PARAMS = {
    "diffusion": {
        "timesteps": 20,
        "schedule": "cosine",
        "cosine_s": 0.008,
        "beta_min": 1e-4,
        "beta_max": 0.9999,
    },
    "generate_samples": {
        "num_samples": 10,
        "eta": 0.0,
        "clip_x0": True,
        "use_clipped_model_output": False,
        "chunk_size": 4,
        "numerics": "fp32",
    },
    "tag": {"w_min": 1.0, "w_max": 4.0, "beta": 5.0},
}
ITEM = {
    "dataset": "digits",
    "model": "dash-w8",
    "seed": 42,
    "sampler": "cfg4.0-k4-n3",
    "guidance": "constant",
    "scale": 4.0,
    "steps": 4,
    "sampling_seed": 3,
    "model_stage": "train_student",
}


@dataclass
class StandInJob:
    """The part of runledger.job.Job that the stage uses."""

    folder: Path
    item: dict[str, Any]
    params: dict[str, Any]
    stop_after: int = 10**9
    asked: int = 0
    lines: list[dict[str, int]] = field(default_factory=list)
    notes: dict[str, Any] = field(default_factory=dict)
    log: logging.Logger = field(default_factory=lambda: logging.getLogger("job"))

    @property
    def state(self) -> Path:
        return self.folder / "state"

    def note(self, **fields: Any) -> None:
        self.notes.update(fields)

    def input(self, stage: str, name: str) -> Path:
        return self.folder / stage / name

    def output(self, name: str) -> Path:
        return self.folder / name

    def progress(self, **values: int) -> None:
        self.lines.append(values)

    def stop_requested(self) -> bool:
        self.asked += 1
        return self.asked > self.stop_after


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A student's and a teacher's checkpoint, with different weights."""
    config = UNetConfig(8, 1, 3, (1, 2), 4, 0.1, 4, 1e-6, 8)
    for seed, role in enumerate(("student", "teacher")):
        net = build_unet(config, seed)
        path = tmp_path / f"train_{role}" / "model.safetensors"
        path.parent.mkdir()
        schedule = PARAMS["diffusion"]
        save_checkpoint(path, net.state_dict(), config, schedule, role, step=1)
    return tmp_path


@pytest.fixture(autouse=True)
def _arithmetic_as_before():
    """The stage makes torch deterministic; other tests keep what they had."""
    threads = torch.get_num_threads()
    yield
    torch.use_deterministic_algorithms(False)
    torch.set_num_threads(threads)


def made(folder: Path) -> dict[str, np.ndarray]:
    return load_npz(folder / "samples.npz", ["images", "labels", "sampling_seed"])


def test_samples_are_those_of_the_library(folder: Path) -> None:
    job = StandInJob(folder, ITEM, PARAMS)
    generate_samples.run(job)
    arrays = made(folder)
    checkpoint = load_checkpoint(folder / "train_student" / "model.safetensors")
    sampling = Sampling.from_params(PARAMS, ITEM, num_classes=3, shape=(3, 8, 8))
    schedule = Schedule.from_params(PARAMS["diffusion"])
    network = inference_network(checkpoint.model, "fp32", "cpu")
    expected = generate(network, schedule, sampling)
    np.testing.assert_array_equal(arrays["images"], expected)
    assert arrays["labels"].tolist() == [0, 1, 2, 0, 1, 2, 0, 1, 2, 0]
    assert arrays["sampling_seed"] == 3
    assert job.notes["compute"]["launch"] == "eager"
    assert job.lines == [{"images": n, "of": 10} for n in (4, 8, 10)]


def test_identity_decides_model_and_guidance(folder: Path) -> None:
    images = []
    for change in (
        {},
        {"model_stage": "train_teacher"},
        {"guidance": "tag"},
        {"guidance": "tag", "scale": 3.0},
        {"steps": 10},
        {"sampling_seed": 0},
    ):
        generate_samples.run(StandInJob(folder, ITEM | change, PARAMS))
        images.append(made(folder)["images"].tobytes())
    assert len(set(images)) == len(images)


def test_interrupted_in_a_chunk_and_resumed(folder: Path) -> None:
    generate_samples.run(StandInJob(folder, ITEM, PARAMS))
    undisturbed = (folder / "samples.npz").read_bytes()
    (folder / "samples.npz").unlink()
    for chunk in (folder / "state" / "chunks").iterdir():
        chunk.unlink()
    with pytest.raises(Interrupted):
        generate_samples.run(StandInJob(folder, ITEM, PARAMS, stop_after=6))
    assert not (folder / "samples.npz").exists()
    second = StandInJob(folder, ITEM, PARAMS)
    generate_samples.run(second)
    assert second.asked == 8, "one chunk of four steps was finished before"
    assert (folder / "samples.npz").read_bytes() == undisturbed


def test_another_schedule_is_refused(folder: Path) -> None:
    params = PARAMS | {"diffusion": PARAMS["diffusion"] | {"cosine_s": 0.01}}
    with pytest.raises(ScheduleError, match="cosine_s") as caught:
        generate_samples.run(StandInJob(folder, ITEM, params))
    assert "model.safetensors" in str(caught.value)
    assert not (folder / "samples.npz").exists()


def test_half_precision_is_close_to_single(folder: Path) -> None:
    """Weights and activations are fp16, the state float32: levels differ by a few."""
    images = {}
    for numerics in ("fp32", "fp16"):
        settings = PARAMS["generate_samples"] | {"numerics": numerics}
        job = StandInJob(folder, ITEM, PARAMS | {"generate_samples": settings})
        generate_samples.run(job)
        with np.load(folder / "samples.npz") as arrays:
            images[numerics] = arrays["images"].astype(int)
        (folder / "samples.npz").unlink()
    apart = np.abs(images["fp16"] - images["fp32"])
    assert 0 < apart.mean() < 0.5
