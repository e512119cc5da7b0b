"""Randomness as a function of what it is for: (seed, image index) or (seed, step)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

_MASK32 = 0xFFFFFFFF


def image_noise(
    seed: int,
    indices: Iterable[int],
    shape: tuple[int, ...],
    step: int = 0,
    stream: str = "sample",
) -> Tensor:
    """Standard normal noise of images, each a function of (seed, index) only.

    A Philox counter generator keyed by (stream and seed, index): images never share
    noise, and the values do not depend on the machine, or on how many are drawn.

    Args:
        seed: the sampling seed.
        indices: image indices, non-negative.
        shape: of one image.
        step: the draw: 0 is the starting noise, k + 1 that of sampler step k.
        stream: what the noise is for; other streams are independent.

    Returns:
        (N, *shape) float32 on the CPU.
    """
    wanted = [int(index) for index in indices]
    values = np.empty((len(wanted), int(np.prod(shape))), dtype=np.float32)
    philox = np.random.Philox(key=0)
    generator = np.random.Generator(philox)
    first = _hash64(stream, seed)
    for row, index in enumerate(wanted):
        philox.state = _philox_state(first, index, step)
        generator.standard_normal(dtype=np.float32, out=values[row])
    return torch.from_numpy(values.reshape(len(wanted), *shape))


def step_seed(seed: int, step: int, stream: str = "train") -> int:
    """A 64-bit generator seed for (seed, step); no two steps of a run share one.

    The low half is a bijection of the step, since torch's CPU generator uses no more
    than 32 bits of its seed: a plain hash would repeat steps of a long training.
    """
    key = _hash64(stream, seed)
    low = _mix32((step ^ key) & _MASK32)
    return (_hash64(stream, seed, step) & ~_MASK32) | low


def step_rng(seed: int, step: int, stream: str = "train") -> torch.Generator:
    """A fresh CPU generator whose draws depend on (seed, step, stream) only."""
    return torch.Generator().manual_seed(step_seed(seed, step, stream))


def _philox_state(first: int, second: int, step: int) -> dict[str, object]:
    """Philox at the start of the sequence of key (first, second), counter word step."""
    counter = np.array([0, 0, 0, step], dtype=np.uint64)
    key = np.array([first, second], dtype=np.uint64)
    return {
        "bit_generator": "Philox",
        "state": {"counter": counter, "key": key},
        "buffer": np.zeros(4, dtype=np.uint64),
        "buffer_pos": 4,
        "has_uint32": 0,
        "uinteger": 0,
    }


def _hash64(*parts: object) -> int:
    text = "\0".join(str(part) for part in parts).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big")


def _mix32(value: int) -> int:
    """A mixing bijection of 32-bit integers: xor-shifts and odd multiplications."""
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        value ^= value >> shift
        value = (value * factor) & _MASK32
    return value ^ (value >> 16)
