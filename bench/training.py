"""The training part of the benchmark: plain steps, ours, packs, widths, saving."""

from __future__ import annotations

import logging
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from bench.gates import Gate
from bench.machine import wait
from bench.measure import Row, Variant, time_steps
from bench.work import OurTraining, Work
from dash_repro.training.state import load_state, save_state

Measured = tuple[list[Row], list[Gate]]


def student_rows(work: Work) -> Measured:
    """B0, B1 and packs of the main width; then B1 and one student of the others."""
    preset = work.preset
    main, *others = preset.widths
    variants = [*plain_steps(work, main), *packs(work, preset.launches)]
    rows = timed(work, variants)
    for width in others:
        variants = [*plain_steps(work, width)][1:]
        rows += timed(work, [*variants, *alone(work, width, preset.launches)])
    return rows, []


def teacher_rows(work: Work) -> Measured:
    """The teacher's step."""
    variants = [*plain_steps(work, None), *alone(work, None, work.preset.launches)]
    return timed(work, variants), []


def plain_steps(work: Work, width: int | None) -> Iterator[Variant]:
    """B0, and B1 where the data are resident; width None: of the teacher."""
    for resident in (False, True):
        name = "B1: plain, data on the device, no logging" if resident else "B0: plain"
        flops, images = work.step_flops(width), work.preset.batch
        row = Row(_title(width), name, "eager", flops=flops, images=images)
        yield Variant(row, lambda r=resident: work.plain(width, r).step)


def packs(work: Work, launches: Sequence[str]) -> Iterator[Variant]:
    """Our packs of the main width, under these launches.

    On a GPU an eager pack is as slow as its students one after the other: it is not
    measured.
    """
    for launch in launches:
        single = launch == "eager" and work.device.type == "cuda"
        for pack in work.preset.packs[:1] if single else work.preset.packs:
            yield ours(work, work.preset.widths[0], pack, launch)


def alone(work: Work, width: int | None, launches: Sequence[str]) -> Iterator[Variant]:
    """One network, under these launches; width None: the teacher."""
    return (ours(work, width, 1, launch) for launch in launches)


def sustained_rows(work: Work) -> Measured:
    """A long run of the best launch at the largest pack."""
    preset = work.preset
    if not preset.sustained:
        return [], []
    pack, launch = preset.packs[-1], preset.launches[-1]
    variant = ours(work, preset.widths[0], pack, launch, "Sustained")
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


def ours(
    work: Work, width: int | None, pack: int, launch: str, title: str = ""
) -> Variant:
    """The project's step."""
    flops, images = work.step_flops(width, pack), work.preset.batch
    name = "ours" if width is None else f"ours, K = {pack}"
    title = title or _title(width)
    row = Row(title, name, launch, pack, flops=flops, images=images)
    numerics = work.numerics
    return Variant(row, lambda: OurTraining(work, width, pack, launch, numerics).step)


def _title(width: int | None) -> str:
    return "Teacher step" if width is None else f"DASH step, student width {width}"


def timed(work: Work, variants: Iterable[Variant]) -> list[Row]:
    """These variants with the preset's repeats; the first takes turns with each."""
    preset = work.preset
    return time_steps(
        list(variants),
        preset.warm_up,
        preset.blocks,
        preset.block_steps,
        work.device,
        preset.block_seconds,
    )
