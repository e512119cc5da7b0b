"""Timings of training steps: blocks of one variant after the other, again and again."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import torch

from bench.machine import spread, wait


@dataclass
class Row:
    """One measured thing.

    Attributes:
        section: heading of the table it stands in.
        name: what it is.
        launch: see dash_repro.launch; "" where it does not apply.
        pack: students in it.
        unit: of the figures, "ms/step" or "s".
        values: one a block.
        cpu: processor time of the same blocks, this process alone.
        flops: of one unit of work (a step, a whole run), 0: unknown.
        images: in one unit of work.
        note: in words.
    """

    section: str
    name: str
    launch: str = ""
    pack: int = 1
    unit: str = "ms/step"
    values: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    flops: float = 0.0
    images: int = 0
    note: str = ""

    def seconds(self) -> float:
        """Median of one unit of work, in seconds."""
        return spread(self.values)[0] * (1e-3 if self.unit == "ms/step" else 1.0)


@dataclass
class Variant:
    """A row and how to make what it measures; made late, dropped early."""

    row: Row
    make: Callable[[], Callable[[], None]]


def time_steps(
    variants: list[Variant],
    warm_up: int,
    blocks: int,
    steps: int,
    device: torch.device,
) -> list[Row]:
    """Fill the rows: `blocks` rounds of all variants, `steps` steps each.

    The first steps, which compile and record, are apart, in the row's note.
    """
    ready: list[tuple[Row, Callable[[], None]]] = []
    for variant in variants:
        step = variant.make()
        wait(device)
        start = time.perf_counter()
        for _ in range(warm_up):
            step()
        wait(device)
        first = time.perf_counter() - start
        variant.row.note = f"first {warm_up} steps {first:.2f} s"
        ready.append((variant.row, step))
    for _ in range(blocks):
        for row, step in ready:
            wait(device)
            start, used = time.perf_counter(), time.process_time()
            for _ in range(steps):
                step()
            wait(device)
            row.cpu.append((time.process_time() - used) / steps * 1e3)
            row.values.append((time.perf_counter() - start) / steps * 1e3)
    return [row for row, _ in ready]


def time_once(row: Row, work: Callable[[], None], device: torch.device) -> Row:
    """Add one run of `work`, in seconds."""
    wait(device)
    start, used = time.perf_counter(), time.process_time()
    work()
    wait(device)
    row.cpu.append(time.process_time() - used)
    row.values.append(time.perf_counter() - start)
    return row
