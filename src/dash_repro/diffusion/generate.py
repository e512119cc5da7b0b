"""Image sets in fixed chunks: any range, sharding or restart gives the same bytes.

Image i of a sampling seed has the noise of (seed, i) and the label i mod classes. It is
always computed with the same neighbours: those of its chunk, the last one padded.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from dash_repro.diffusion.ddim import SamplerError, ddim_sample
from dash_repro.diffusion.levels import to_uint8
from dash_repro.diffusion.noise import image_noise
from dash_repro.diffusion.sample_files import load_chunk, save_chunk
from dash_repro.diffusion.sampling import Sampling, balanced_labels
from dash_repro.diffusion.schedule import Schedule
from dash_repro.models.eps import EpsModel

# called with (images done, images in all) after each chunk; may raise to stop
Progress = Callable[[int, int], None]


def sample_chunk(
    model: EpsModel,
    schedule: Schedule,
    sampling: Sampling,
    chunk: int,
    device: torch.device | str = "cpu",
) -> Tensor:
    """All chunk_size images of a chunk, before rounding.

    Returns:
        (chunk_size, C, H, W) float32 on the device; image j has index
        chunk * chunk_size + j, also where that is beyond num_samples.

    Raises:
        SamplerError: the network gives values that are not finite.
    """
    first = chunk * sampling.chunk_size
    indices = range(first, first + sampling.chunk_size)

    def noise(step: int) -> Tensor:
        return image_noise(sampling.sampling_seed, indices, sampling.shape, step)

    images = ddim_sample(
        model,
        schedule,
        noise(0).to(device),
        balanced_labels(indices, sampling.num_classes),
        sampling.num_classes,
        sampling.steps,
        sampling.guidance_scale(schedule.timesteps),
        sampling.eta,
        sampling.clip_x0,
        lambda step: noise(step + 1),
        sampling.use_clipped_model_output,
    )
    if not bool(torch.isfinite(images).all()):
        raise SamplerError(
            f"images {first} to {first + sampling.chunk_size - 1} are not finite",
            "the network's output",
            "the checkpoint is of a training that diverged: look at its history.csv",
        )
    return images


def generate(
    model: EpsModel,
    schedule: Schedule,
    sampling: Sampling,
    start: int = 0,
    stop: int | None = None,
    state: Path | None = None,
    device: torch.device | str = "cpu",
    progress: Progress | None = None,
) -> np.ndarray:
    """Images start..stop of a sample set, chunk by chunk.

    Args:
        model: eps model, on the device.
        start, stop: range of image indices; stop=None: to the end of the set.
        state: folder for finished chunks; those found there are not made again.
        progress: called after each chunk, once it is saved.

    Returns:
        (stop - start, H, W, C) uint8.

    Raises:
        SamplerError: a range outside the set, or values that are not finite.
    """
    stop = sampling.num_samples if stop is None else stop
    if not 0 <= start <= stop <= sampling.num_samples:
        raise SamplerError(
            f"no range of a set of {sampling.num_samples}: {start} to {stop}",
            "generate",
            "ask for a range inside the set",
        )
    size, parts = sampling.chunk_size, []
    for chunk in range(start // size, -(-stop // size) if stop > start else 0):
        images = load_chunk(state, sampling, chunk)
        if images is None:
            images = to_uint8(sample_chunk(model, schedule, sampling, chunk, device))
            save_chunk(state, sampling, chunk, images)
        low, high = max(start - chunk * size, 0), min(stop - chunk * size, size)
        parts.append(images[low:high])
        if progress is not None:
            progress(chunk * size + high - start, stop - start)
    channels, height, width = sampling.shape
    return np.concatenate([np.empty((0, height, width, channels), np.uint8), *parts])


def log_progress(log: logging.Logger, every: float = 10.0) -> Progress:
    """A `Progress` that writes a plain line at most every so many seconds."""
    began, last = time.monotonic(), [float("-inf")]

    def report(done: int, total: int) -> None:
        now = time.monotonic()
        if done < total and now - last[0] < every:
            return
        last[0] = now
        rate = done / max(now - began, 1e-9)
        log.info(
            "images %d/%d, %.1f images/s, %.0f s left",
            *(done, total, rate, (total - done) / rate),
        )

    return report
