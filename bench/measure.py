"""Timings of training steps: blocks of one variant after the other, again and again."""

from __future__ import annotations

import gc
import math
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
        values: one a block; none if it could not be measured, which the note explains.
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


class NotHere(Exception):
    """This machine cannot do what is to be measured; says why."""


@dataclass
class Variant:
    """A row and how to make what it measures; made late, freed early."""

    row: Row
    make: Callable[[], Callable[[], None]]


def time_steps(
    variants: list[Variant],
    warm_up: int,
    blocks: int,
    steps: int,
    device: torch.device,
    block_seconds: float = math.inf,
) -> list[Row]:
    """Fill the rows: each variant takes turns with the first, then it is freed.

    Two variants live at a time, so that the largest decides how much memory is needed
    and not their sum. One that does not fit says so in its note and has no values. The
    first steps, which compile and record, are apart, in the row's note.

    Args:
        variants: the first is what the others are compared with.
        warm_up, blocks, steps: steps before, rounds, steps of a block.
        block_seconds: a block ends earlier, after at least 3 steps, if it takes longer.
    """
    first, *others = variants
    reference = _ready(first, warm_up, device)
    for variant in others or [None]:
        own = variant and _ready(variant, warm_up, device)
        turns = [(first.row, reference), *([(variant.row, own)] if own else [])]
        _take_turns(turns, blocks, steps, device, block_seconds)
        del own, turns
        _free(device)
    return [variant.row for variant in variants]


def _ready(
    variant: Variant, warm_up: int, device: torch.device
) -> Callable[[], None] | None:
    """The variant's step after its first steps; None if it does not fit."""
    before = _from_here(device)
    try:
        step = variant.make()
        wait(device)
        start = time.perf_counter()
        for _ in range(warm_up):
            step()
        wait(device)
    except torch.OutOfMemoryError as error:
        variant.row.note = f"does not fit: {str(error).splitlines()[0]}"
        return None
    except NotHere as error:
        variant.row.note = str(error)
        return None
    first = time.perf_counter() - start
    variant.row.note = f"first {warm_up} steps {first:.2f} s{_taken(before, device)}"
    return step


def _from_here(device: torch.device) -> int:
    """Bytes taken from a GPU; their peak is counted from here on."""
    if device.type != "cuda":
        return 0
    _free(device)
    torch.cuda.reset_peak_memory_stats(device)
    return torch.cuda.memory_reserved(device)


def _taken(before: int, device: torch.device) -> str:
    """What was taken from a GPU at most since, beyond what was before, in words.

    Reserved bytes, not allocated ones: what a student of a recorded pack has freed
    stays with its stream's pool, and the next student takes memory of its own.
    """
    if device.type != "cuda":
        return ""
    return f", {(torch.cuda.max_memory_reserved(device) - before) / 2**30:.1f} GiB"


def _take_turns(
    turns: list[tuple[Row, Callable[[], None] | None]],
    blocks: int,
    steps: int,
    device: torch.device,
    block_seconds: float,
) -> None:
    for _ in range(blocks):
        for row, step in turns:
            if step is not None:
                _time_block(row, step, steps, device, block_seconds)


def _time_block(
    row: Row,
    step: Callable[[], None],
    steps: int,
    device: torch.device,
    block_seconds: float,
) -> None:
    wait(device)
    start, used = time.perf_counter(), time.process_time()
    done = 0
    while done < steps:
        step()
        done += 1
        # looked at on a GPU too: the host runs ahead of it by a few steps only
        if done >= 3 and time.perf_counter() - start > block_seconds:
            break
    wait(device)
    row.cpu.append((time.process_time() - used) / done * 1e3)
    row.values.append((time.perf_counter() - start) / done * 1e3)


def _free(device: torch.device) -> None:
    """Give back what a variant held; graphs and their pools too."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()


def time_once(row: Row, work: Callable[[], None], device: torch.device) -> Row:
    """Add one run of `work`, in seconds."""
    wait(device)
    start, used = time.perf_counter(), time.process_time()
    work()
    wait(device)
    row.cpu.append(time.process_time() - used)
    row.values.append(time.perf_counter() - start)
    return row
