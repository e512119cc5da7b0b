"""Files of sample sets: finished chunks, and the whole set."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import numpy as np

from dash_repro.arrays import ArrayFileError, load_npz, save_npz
from dash_repro.diffusion.ddim import SamplerError
from dash_repro.diffusion.sampling import Sampling, balanced_labels

_LOG = logging.getLogger(__name__)


def shard_range(sampling: Sampling, shard: int, shards: int) -> tuple[int, int]:
    """Image range of shard i of n: whole chunks, sizes that differ by at most one.

    Args:
        shard: i, from 0.
        shards: n; those beyond the number of chunks are empty.

    Raises:
        SamplerError: i is not in 0..n-1.
    """
    if not 0 <= shard < shards:
        raise SamplerError(
            f"no shard {shard} of {shards}", "shard", "count shards from 0"
        )
    size = sampling.chunk_size
    chunks = -(-sampling.num_samples // size)
    first, after = chunks * shard // shards, chunks * (shard + 1) // shards
    return (
        min(first * size, sampling.num_samples),
        min(after * size, sampling.num_samples),
    )


def save_samples(path: Path | str, sampling: Sampling, images: np.ndarray) -> None:
    """Write samples.npz: images (N, H, W, C) uint8, labels (N,), sampling_seed.

    Raises:
        SamplerError: not the whole set.
    """
    if len(images) != sampling.num_samples:
        raise SamplerError(
            f"{len(images)} images of a set of {sampling.num_samples}",
            str(path),
            "generate the missing images",
        )
    labels = balanced_labels(range(len(images)), sampling.num_classes).numpy()
    seed = np.int64(sampling.sampling_seed)
    save_npz(path, images=images, labels=labels, sampling_seed=seed)


def _chunk_path(state: Path, chunk: int) -> Path:
    return state / f"chunk-{chunk:05d}.npz"


def save_chunk(
    state: Path | None, sampling: Sampling, chunk: int, images: np.ndarray
) -> None:
    """Atomically: a kill leaves the chunk whole or absent."""
    if state is None:
        return
    state.mkdir(parents=True, exist_ok=True)
    path = _chunk_path(state, chunk)
    partial = path.with_name(f".{path.stem}-{os.getpid()}.part")
    save_npz(partial, images=images, identity=sampling.identity())
    os.replace(partial, path)


def load_chunk(state: Path | None, sampling: Sampling, chunk: int) -> np.ndarray | None:
    """A finished chunk of this sampling, or None; a broken one is discarded."""
    if state is None or not _chunk_path(state, chunk).exists():
        return None
    path = _chunk_path(state, chunk)
    try:
        arrays = load_npz(path, ["images", "identity"])
    except ArrayFileError as error:
        _LOG.warning("made again: %s", error)
        path.unlink()
        return None
    if str(arrays["identity"]) != sampling.identity():
        _LOG.warning("made again, for it is of another sampling: %s", path)
        return None
    return arrays["images"]
