"""Noise as a function of (seed, index) and (seed, step) only."""

import numpy as np
import torch

from dash_repro.diffusion.noise import image_noise, step_rng, step_seed

SHAPE = (3, 8, 8)
# of sampling seed 0, images 0 and 49999
PINNED = [
    [-0.8041732907295227, -0.16555245220661163, -2.870976448059082, 0.5614509582519531],
    [0.1002662181854248, -0.32367995381355286, -0.2936645448207855, 0.6814141869544983],
]


def test_noise_of_an_index_does_not_depend_on_the_others() -> None:
    everything = image_noise(0, range(40), SHAPE)
    assert everything.dtype == torch.float32 and everything.shape == (40, *SHAPE)
    for i in (0, 7, 39):
        assert torch.equal(image_noise(0, [i], SHAPE)[0], everything[i])
    backwards = image_noise(0, reversed(range(40)), SHAPE)
    assert torch.equal(backwards.flip(0), everything)
    assert image_noise(0, [], SHAPE).shape == (0, *SHAPE)


def test_seed_index_step_and_stream_all_matter() -> None:
    base = image_noise(3, [5], SHAPE)
    for other in (
        image_noise(5, [3], SHAPE),
        image_noise(4, [5], SHAPE),
        image_noise(3, [6], SHAPE),
        image_noise(3, [5], SHAPE, step=1),
        image_noise(3, [5], SHAPE, stream="calibration"),
    ):
        correlation = np.corrcoef(base.flatten(), other.flatten())[0, 1]
        assert abs(correlation) < 4 / np.sqrt(base.numel())
    assert torch.equal(base, image_noise(3, [5], SHAPE))


def test_draws_of_an_image_are_not_one_sequence_shifted() -> None:
    """A counter that starts one block later would give the same numbers again."""
    draws = [image_noise(3, [5], SHAPE, step=step).flatten().numpy() for step in (0, 1)]
    assert np.isin(draws[0], draws[1]).mean() < 0.01


def test_noise_is_philox_keyed_by_the_index() -> None:
    """Pinned values: another NumPy or another keying would change every sample."""
    made = image_noise(0, [0, 49999], (4,)).numpy()
    pinned = np.array(PINNED, dtype=np.float32)
    np.testing.assert_array_equal(made, pinned)


def test_no_two_images_share_noise() -> None:
    """A 32-bit seed an image, as torch's CPU generator has, would collide by now."""
    made = image_noise(0, range(50000), (2,)).numpy()
    assert len(np.unique(made, axis=0)) == 50000


def normal(values: np.ndarray) -> bool:
    """Kolmogorov's test of the standard normal distribution, at one in a thousand."""
    n = len(values)
    level = torch.special.ndtr(torch.from_numpy(np.sort(values))).numpy()
    steps = np.arange(n + 1) / n
    distance = max((steps[1:] - level).max(), (level - steps[:-1]).max())
    return distance * np.sqrt(n) < 1.949


def test_noise_is_standard_normal_and_independent() -> None:
    made = image_noise(1, range(400), (3, 16, 16)).double().numpy()
    values = made.ravel()
    n = values.size
    assert abs(values.mean()) < 4 / np.sqrt(n)
    assert abs(values.var() - 1) < 4 * np.sqrt(2 / n)
    assert abs((values**4).mean() - 3) < 4 * np.sqrt(96 / n)
    assert normal(values[:100000])
    neighbours = (made[1:] * made[:-1]).mean()
    assert abs(neighbours) < 4 / np.sqrt(n)
    assert abs((made[..., 1:] * made[..., :-1]).mean()) < 4 / np.sqrt(n)
    position_means = made.mean(axis=0) * np.sqrt(400)
    assert normal(position_means.ravel())


def test_step_rng_is_a_function_of_seed_and_step() -> None:
    first = torch.randn(5, generator=step_rng(42, 1000))
    step_rng(42, 999)
    torch.manual_seed(7)
    assert torch.equal(torch.randn(5, generator=step_rng(42, 1000)), first)
    for other in (step_rng(42, 1001), step_rng(43, 1000), step_rng(42, 1000, "init")):
        assert not torch.equal(torch.randn(5, generator=other), first)


def test_no_two_steps_share_a_generator() -> None:
    """torch's CPU generator uses the low 32 bits of its seed only."""
    low = {step_seed(42, step) & 0xFFFFFFFF for step in range(200000)}
    assert len(low) == 200000
    seeds = np.array([step_seed(42, step) >> 32 for step in range(2000)])
    assert len(np.unique(seeds)) == 2000 and seeds.max() > 2**31


def test_draws_of_consecutive_steps_are_uncorrelated() -> None:
    rows = torch.stack(
        [torch.randn(50, generator=step_rng(0, step)) for step in range(2000)]
    ).double()
    n = rows.numel()
    assert abs(rows.mean()) < 4 / np.sqrt(n)
    assert abs((rows[1:] * rows[:-1]).mean()) < 4 / np.sqrt(n)
    first = torch.stack([row[0] for row in rows])
    assert normal(first.numpy())
