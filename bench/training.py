"""The training part of the benchmark: plain steps, ours, packs, widths, saving."""

from __future__ import annotations

import logging
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from bench.gates import Gate
from bench.machine import wait
from bench.measure import Row, Variant, time_steps
from bench.work import OurTraining, Work
from dash_repro.training.state import load_state, save_state

Measured = tuple[list[Row], list[Gate]]


def student_rows(work: Work) -> Measured:
    """B0, B1 and packs of the main width; then the other widths."""
    preset = work.preset
    rows = main_width(work, preset.launches)
    for width in preset.widths[1:]:
        rows += other_width(work, width, preset.launches)
    return rows, []


def other_width(work: Work, width: int, launches: Sequence[str]) -> list[Row]:
    """B1 and one student of a width, under these launches."""
    title = f"DASH step, student width {width}"
    variants = [plain(work, title, width, True)]
    variants += [ours(work, title, width, 1, each) for each in launches]
    return _timed(work, variants)


def main_width(work: Work, launches: Sequence[str]) -> list[Row]:
    """B0, B1 and our packs of the main width, under these launches.

    On a GPU an eager pack is as slow as its students one after the other: it is not
    measured.
    """
    main = work.preset.widths[0]
    title = f"DASH step, student width {main}"
    variants = [plain(work, title, main, resident) for resident in (False, True)]
    for launch in launches:
        alone = launch == "eager" and work.device.type == "cuda"
        packs = work.preset.packs[:1] if alone else work.preset.packs
        variants += [ours(work, title, main, k, launch) for k in packs]
    return _timed(work, variants)


def teacher_rows(work: Work, launches: Sequence[str]) -> list[Row]:
    """The teacher's step under these launches."""
    title = "Teacher step"
    variants = [plain(work, title, None, resident) for resident in (False, True)]
    variants += [ours(work, title, None, 1, each) for each in launches]
    return _timed(work, variants)


def sustained_rows(work: Work) -> Measured:
    """A long run of the best launch at the largest pack."""
    preset = work.preset
    if not preset.sustained:
        return [], []
    pack, launch = preset.packs[-1], preset.launches[-1]
    variant = ours(work, "Sustained", preset.widths[0], pack, launch)
    warm_up, steps = preset.warm_up, preset.sustained
    return time_steps([variant], warm_up, 1, steps, work.device), []


def state_rows(work: Work) -> Measured:
    """Seconds to write the state of one student, and to read it back."""
    training = OurTraining(work, work.preset.widths[0], 1, "eager", work.numerics)
    training.step()
    row = Row("Saving the state", "write, one student", unit="s")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for step in range(5):
            wait(work.device)
            start, used = time.perf_counter(), time.process_time()
            save_state(folder, step, *training.learners[0].state())
            row.cpu.append(time.process_time() - used)
            row.values.append(time.perf_counter() - start)
        size = max(path.stat().st_size for path in folder.iterdir())
        start = time.perf_counter()
        load_state(folder, logging.getLogger("bench"))
        reading = time.perf_counter() - start
    share = max(row.values) / max(300.0, max(row.values) / 0.01)
    row.note = (
        f"{size / 1e6:.1f} MB; reading {reading:.3f} s; the slowest write is "
        f"{share:.2%} of the time at the default cadence (one in 300 s, or rarer "
        "so that it stays under 1 %)"
    )
    return [row], []


def plain(work: Work, title: str, width: int | None, resident: bool) -> Variant:
    """B0, or B1 where the data are resident."""
    name = "B1: plain, data on the device, no logging" if resident else "B0: plain"
    flops, images = work.step_flops(width), work.preset.batch
    row = Row(title, name, "eager", flops=flops, images=images)
    return Variant(row, lambda: work.plain(width, resident).step)


def ours(work: Work, title: str, width: int | None, pack: int, launch: str) -> Variant:
    """The project's step."""
    flops, images = work.step_flops(width, pack), work.preset.batch
    name = "ours" if width is None else f"ours, K = {pack}"
    row = Row(title, name, launch, pack, flops=flops, images=images)
    numerics = work.numerics
    return Variant(row, lambda: OurTraining(work, width, pack, launch, numerics).step)


def _timed(work: Work, variants: list[Variant]) -> list[Row]:
    preset = work.preset
    return time_steps(
        variants,
        preset.warm_up,
        preset.blocks,
        preset.block_steps,
        work.device,
        preset.block_seconds,
    )
