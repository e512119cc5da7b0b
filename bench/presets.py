"""Sizes of the benchmark: small ones for a CPU, the paper's for a GPU."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Preset:
    """What is measured, and how long.

    Attributes:
        params: which params.yaml gives network, schedule and numerics: what is
            measured is the recipe that runs.
        image_size, classes, images: of the synthetic data.
        teacher_width, widths: of the networks; widths[0] is the main student's.
        packs: students trained together.
        launches: see dash_repro.launch.
        batch: images a training step.
        warm_up, blocks, block_steps: of the timings, interleaved.
        block_seconds: a block ends after this long, if it has 3 steps by then.
        sustained: steps of the long run, 0: none.
        samples, sample_chunk, plain_chunk, sample_steps: of the sampling.
        gate_samples: of the Frechet gate.
        matmul, copy_mb: size of the matrices, of the copied memory.
    """

    params: str
    image_size: int
    classes: int
    images: int
    teacher_width: int
    widths: tuple[int, ...]
    packs: tuple[int, ...]
    launches: tuple[str, ...]
    batch: int
    warm_up: int
    blocks: int
    block_steps: int
    block_seconds: float
    sustained: int
    samples: int
    sample_chunk: int
    plain_chunk: int
    sample_steps: int
    gate_samples: int
    matmul: int
    copy_mb: int


PRESETS = {
    # the demo's networks, so that the figures speak of `make demo`; 3 minutes of a core
    "cpu": Preset(
        params="config/demo.params.yaml",
        image_size=16,
        classes=10,
        images=1000,
        teacher_width=32,
        widths=(16, 8, 24),
        packs=(1, 2, 4, 8),
        launches=("eager",),
        batch=16,
        warm_up=2,
        blocks=5,
        block_steps=5,
        block_seconds=math.inf,
        sustained=0,
        samples=96,
        sample_chunk=16,  # as the plain one: on a CPU larger ones leave the cache
        plain_chunk=16,
        sample_steps=10,
        gate_samples=128,
        matmul=1024,
        copy_mb=64,
    ),
    # Tables A1, A2 of the paper
    "gpu": Preset(
        params="params.yaml",
        image_size=32,
        classes=10,
        images=50_000,
        teacher_width=128,
        widths=(64, 48, 96),
        packs=(1, 2, 4, 8, 16),
        launches=("eager", "graph", "compile"),
        batch=64,
        warm_up=50,
        blocks=5,
        block_steps=200,
        block_seconds=20.0,
        sustained=2000,
        samples=50_000,
        sample_chunk=1000,
        plain_chunk=100,
        sample_steps=50,
        gate_samples=10_000,
        matmul=8192,
        copy_mb=1024,
    ),
}
# first contact (bench/contact.py): the paper's sizes in minutes, and a rehearsal in
# seconds of a CPU
PRESETS["contact"] = replace(
    PRESETS["gpu"],
    packs=(1, 4, 16),
    warm_up=10,
    blocks=3,
    block_steps=50,
    block_seconds=1.5,
    sustained=0,
    samples=4000,
    gate_samples=2000,
)
PRESETS["rehearsal"] = replace(
    PRESETS["cpu"],
    image_size=8,
    classes=3,
    images=96,
    teacher_width=8,
    widths=(8,),
    packs=(1, 2),
    batch=4,
    warm_up=1,
    blocks=1,
    block_steps=1,
    samples=8,
    sample_chunk=4,
    plain_chunk=4,
    sample_steps=2,
    gate_samples=32,
    matmul=128,
    copy_mb=1,
)
