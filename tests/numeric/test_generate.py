"""Sample sets: same bytes for any range, sharding or restart."""

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from dash_repro.arrays import load_npz
from dash_repro.diffusion.ddim import SamplerError, ddim_sample
from dash_repro.diffusion.generate import (
    generate,
    log_progress,
    sample_chunk,
)
from dash_repro.diffusion.levels import to_uint8
from dash_repro.diffusion.noise import image_noise
from dash_repro.diffusion.sample_files import save_samples, shard_range
from dash_repro.diffusion.sampling import Sampling, balanced_labels
from dash_repro.diffusion.schedule import Schedule
from dash_repro.models.precision import halve, inference_network
from dash_repro.models.unet import UNetConfig, build_unet
from runledger.errors import UserError

SCHEDULE = Schedule(40, "cosine", 0.008, 1e-4, 0.9999)
SAMPLING = Sampling(
    num_samples=22,
    num_classes=3,
    shape=(3, 8, 8),
    sampling_seed=5,
    steps=8,
    guidance="constant",
    scale=4.0,
    w_min=1.0,
    beta=5.0,
    eta=0.0,
    clip_x0=True,
    use_clipped_model_output=False,
    chunk_size=4,
)


class TinyNet(nn.Module):
    """A convolutional eps network that counts its calls and keeps its inputs."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.first = nn.Conv2d(3, 16, 3, padding=1)
        self.norm = nn.GroupNorm(4, 16)
        self.label = nn.Embedding(4, 16)
        self.conv_out = nn.Conv2d(16, 3, 3, padding=1)
        self.inputs: list[Tensor] = []

    def forward(self, x: Tensor, t: Tensor, y: Tensor) -> Tensor:
        self.inputs.append(x.clone())
        h = self.first(x) + self.label(y)[:, :, None, None]
        h = torch.tanh(self.norm(h)) * (1 + t[:, None, None, None] / 40)
        return 0.5 * x + self.conv_out(h)


NET = TinyNet()


@pytest.fixture(scope="module")
def whole() -> np.ndarray:
    return generate(NET, SCHEDULE, SAMPLING)


def test_the_set_has_content(whole: np.ndarray) -> None:
    assert whole.shape == (22, 8, 8, 3) and whole.dtype == np.uint8
    assert whole.std() > 20 and len(np.unique(whole, axis=0)) == 22


@pytest.mark.parametrize("start, stop", [(0, 1), (3, 9), (4, 8), (19, 22), (21, 22)])
def test_a_range_alone_has_the_same_bytes(
    whole: np.ndarray, start: int, stop: int
) -> None:
    made = generate(NET, SCHEDULE, SAMPLING, start, stop)
    np.testing.assert_array_equal(made, whole[start:stop])


def test_empty_and_impossible_ranges() -> None:
    assert generate(NET, SCHEDULE, SAMPLING, 7, 7).shape == (0, 8, 8, 3)
    for start, stop in ((5, 4), (0, 23), (-1, 4)):
        with pytest.raises(SamplerError, match=f"no range .* {start} to {stop}"):
            generate(NET, SCHEDULE, SAMPLING, start, stop)


def test_the_last_chunk_is_padded(whole: np.ndarray) -> None:
    """A larger set begins with the smaller one, and every batch is full."""
    larger = generate(NET, SCHEDULE, replace(SAMPLING, num_samples=24))
    np.testing.assert_array_equal(larger[:22], whole)
    net = TinyNet()
    generate(net, SCHEDULE, SAMPLING, 20, 22)
    assert {len(x) for x in net.inputs} == {2 * 4}


def test_order_of_chunks_does_not_matter(whole: np.ndarray) -> None:
    parts = [generate(NET, SCHEDULE, SAMPLING, i, i + 1)[0] for i in (21, 2, 13, 0)]
    np.testing.assert_array_equal(parts, whole[[21, 2, 13, 0]])


@pytest.mark.parametrize("size", [1, 3, 22, 64])
def test_other_chunk_sizes_agree_before_rounding(size: int) -> None:
    def all_floats(sampling: Sampling) -> Tensor:
        chunks = range(-(-22 // sampling.chunk_size))
        made = [sample_chunk(NET, SCHEDULE, sampling, chunk) for chunk in chunks]
        return torch.cat(made)[:22]

    floats = all_floats(SAMPLING)
    other = all_floats(replace(SAMPLING, chunk_size=size))
    assert (floats - other).abs().max() < 1e-4


def test_models_and_guidance_start_from_the_same_noise() -> None:
    nets = [TinyNet(0), TinyNet(1)]
    generate(nets[0], SCHEDULE, SAMPLING, 4, 8)
    tag = replace(SAMPLING, guidance="tag", chunk_size=2, num_samples=8)
    generate(nets[1], SCHEDULE, tag, 4, 8)
    expected = image_noise(5, range(4, 8), (3, 8, 8))
    assert torch.equal(nets[0].inputs[0][:4], expected)
    assert torch.equal(nets[1].inputs[0][:2], expected[:2])
    assert torch.equal(nets[1].inputs[8][:2], expected[2:])


def test_settings_reach_the_sampler(whole: np.ndarray) -> None:
    for change in (
        {"sampling_seed": 6},
        {"scale": 1.5},
        {"guidance": "tag"},
        {"steps": 4},
        {"eta": 0.5},
    ):
        made = generate(NET, SCHEDULE, replace(SAMPLING, **change), 0, 4)
        assert (made != whole[:4]).mean() > 0.1, change
    tag = replace(SAMPLING, guidance="tag", scale=4.0).guidance_scale(1000)
    assert round(tag(0), 2) == 3.77 and round(tag(999), 2) == 1.23
    assert replace(SAMPLING, scale=1.5).guidance_scale(1000)(999) == 1.5
    with pytest.raises(SamplerError, match="unknown guidance 'cfg'"):
        generate(NET, SCHEDULE, replace(SAMPLING, guidance="cfg"))


def test_random_steps_are_a_function_of_the_index() -> None:
    noisy = replace(SAMPLING, eta=1.0)
    made = generate(NET, SCHEDULE, noisy)
    np.testing.assert_array_equal(generate(NET, SCHEDULE, noisy, 9, 14), made[9:14])


class Killed(Exception):
    """Stands in for a kill between two chunks."""


def test_a_killed_run_resumes_to_the_same_bytes(
    whole: np.ndarray, tmp_path: Path
) -> None:
    def kill(done: int, total: int) -> None:
        assert total == 22
        if done >= 12:
            raise Killed

    first, second = TinyNet(), TinyNet()
    with pytest.raises(Killed):
        generate(first, SCHEDULE, SAMPLING, state=tmp_path, progress=kill)
    assert len(first.inputs) == 3 * 8
    assert len(list(tmp_path.iterdir())) == 3
    made = generate(second, SCHEDULE, SAMPLING, state=tmp_path)
    assert len(second.inputs) == 3 * 8, "finished chunks were made again"
    np.testing.assert_array_equal(made, whole)


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "seed", "source"])
def test_a_broken_chunk_is_discarded_and_remade(
    whole: np.ndarray, tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    generate(NET, SCHEDULE, SAMPLING, state=tmp_path)
    path = sorted(tmp_path.iterdir())[2]
    content = bytearray(path.read_bytes())
    if damage == "cut":
        del content[len(content) // 2 :]
    elif damage == "flipped":
        content[400] ^= 255
    elif damage == "empty":
        content.clear()
    path.write_bytes(content)
    foreign = {"seed": {"sampling_seed": 9}, "source": {"source": "other"}}
    if damage in foreign:
        other = replace(SAMPLING, **foreign[damage])
        generate(TinyNet(1), SCHEDULE, other, 8, 12, state=tmp_path)
    net = TinyNet()
    made = generate(net, SCHEDULE, SAMPLING, state=tmp_path)
    np.testing.assert_array_equal(made, whole)
    assert len(net.inputs) == 8, "exactly the broken chunk is made again"
    assert "made again" in caplog.text and path.name in caplog.text
    again = TinyNet()
    generate(again, SCHEDULE, SAMPLING, state=tmp_path)
    assert not again.inputs, "the remade chunk was not kept"


@pytest.mark.parametrize("shards", [1, 2, 4, 6, 9])
def test_shards_share_the_chunks_evenly(shards: int) -> None:
    """A stage's share of the work is whole chunks, of four images here."""
    ranges = [shard_range(SAMPLING, shard, shards) for shard in range(shards)]
    assert [i for start, stop in ranges for i in range(start, stop)] == list(range(22))
    assert all(start % 4 == 0 or start == stop for start, stop in ranges)
    sizes = [-(-(stop - start) // 4) for start, stop in ranges]
    assert max(sizes) - min(sizes) <= 1
    with pytest.raises(SamplerError, match=f"no shard {shards} of {shards}"):
        shard_range(SAMPLING, shards, shards)


def test_a_set_that_is_not_whole_is_refused(whole: np.ndarray, tmp_path: Path) -> None:
    with pytest.raises(SamplerError, match="16 images of a set of 22"):
        save_samples(tmp_path / "samples.npz", SAMPLING, whole[:16])
    assert not list(tmp_path.iterdir())


def test_samples_file(whole: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / "samples.npz"
    save_samples(path, SAMPLING, whole)
    arrays = load_npz(path, ["images", "labels", "sampling_seed"])
    np.testing.assert_array_equal(arrays["images"], whole)
    np.testing.assert_array_equal(arrays["labels"], np.arange(22) % 3)
    assert arrays["labels"].dtype == np.int64
    assert arrays["sampling_seed"].dtype == np.int64 and arrays["sampling_seed"] == 5


def test_labels_are_balanced_over_the_set() -> None:
    counts = torch.bincount(balanced_labels(range(50000), 10))
    assert counts.tolist() == [5000] * 10
    counts = torch.bincount(balanced_labels(range(1005), 100))
    assert counts.max() - counts.min() == 1
    assert balanced_labels([7, 3, 12], 5).tolist() == [2, 3, 2]


def test_to_uint8_rounds_clamps_and_reorders() -> None:
    levels = torch.tensor([-1.0, 1.0, -3.0, 2.0, 0.0, 0.6 / 127.5 - 1, 0.4 / 127.5 - 1])
    made = to_uint8(levels.reshape(1, 1, 1, 7))
    assert made.ravel().tolist() == [0, 255, 0, 255, 128, 1, 0]
    every = torch.arange(256) / 127.5 - 1
    assert (to_uint8(every.reshape(1, 1, 16, 16)).ravel() == np.arange(256)).all()
    colours = torch.tensor([-1.0, 0.0, 1.0]).reshape(1, 3, 1, 1).expand(2, 3, 4, 5)
    assert to_uint8(colours).shape == (2, 4, 5, 3)
    assert to_uint8(colours)[1, 3, 2].tolist() == [0, 128, 255]


def test_values_that_are_not_finite_are_an_error(tmp_path: Path) -> None:
    def diverged(x: Tensor, t: Tensor, y: Tensor) -> Tensor:
        return torch.full_like(x, float("nan"))

    with pytest.raises(SamplerError, match="images 4 to 7 are not finite"):
        generate(diverged, SCHEDULE, SAMPLING, 4, 8, state=tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_network_runs_frozen_and_in_a_precision_that_is_known() -> None:
    with pytest.raises(UserError, match="fp8"):
        inference_network(TinyNet(), "fp8", "cpu")
    net = inference_network(TinyNet().train(), "fp32", "cpu")
    assert not net.training
    assert not any(weight.requires_grad for weight in net.parameters())


def test_half_precision_spares_norms_and_the_last_convolution() -> None:
    config = UNetConfig(16, 1, 3, (1, 2), 8, 0.1, 8, 1e-6, 16)
    net = build_unet(config, seed=0).eval()
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(4, 3, 16, 16, generator=generator)
    t, y = torch.tensor([0, 300, 600, 999]), torch.tensor([0, 1, 2, 3])
    with torch.no_grad():
        full = net(x, t, y)
        half = halve(net)(x, t, y)
    assert half.dtype == torch.float32
    assert net.conv_in.weight.dtype == torch.float16
    assert net.norm_out.weight.dtype == torch.float32
    relative = (half - full).square().mean().sqrt() / full.square().mean().sqrt()
    assert 0 < relative < 2e-3


def test_progress_is_logged_as_plain_lines(caplog: pytest.LogCaptureFixture) -> None:
    log = logging.getLogger("sampling-test")
    with caplog.at_level(logging.INFO, log.name):
        generate(NET, SCHEDULE, SAMPLING, progress=log_progress(log, every=0.0))
    assert len(caplog.messages) == 6
    assert caplog.messages[0].startswith("images 4/22, ")
    assert caplog.messages[-1].startswith("images 22/22, ")
    caplog.clear()
    with caplog.at_level(logging.INFO, log.name):
        generate(NET, SCHEDULE, SAMPLING, progress=log_progress(log, every=60.0))
    assert [line.split(",")[0] for line in caplog.messages] == [
        "images 4/22",
        "images 22/22",
    ]


def test_the_noise_of_a_step_is_not_that_of_the_start_again():
    """With eta above 0: image and step number the draws, the start is number 0."""
    noisy = replace(SAMPLING, eta=0.7)
    indices = range(4, 8)

    def drawn(number):
        return image_noise(noisy.sampling_seed, indices, noisy.shape, number)

    def sampled(first):
        return ddim_sample(
            NET,
            SCHEDULE,
            drawn(0),
            balanced_labels(indices, noisy.num_classes),
            noisy.num_classes,
            noisy.steps,
            noisy.guidance_scale(SCHEDULE.timesteps),
            noisy.eta,
            noisy.clip_x0,
            lambda step: drawn(step + first),
        )

    found = sample_chunk(NET, SCHEDULE, noisy, 1)
    assert torch.equal(found, sampled(1))
    assert not torch.allclose(found, sampled(0), atol=1e-3)
