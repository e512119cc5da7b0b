"""Training steps of small networks beside their convolutions and products alone.

    python -m bench.products [--output FOLDER]

A step is run once while its convolutions and matrix products, forwards and backwards,
are noted with their shapes. Each is then timed alone on random numbers of these
shapes, and counts as often as the step needs it. What a step takes beyond that is all
the rest: norms, activations, sums, noise, the optimiser, Python. Then: what K students
together cost beside K alone, where the teacher does most of the work. A CPU, one
thread; a minute.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from bench.machine import best_seconds, describe_machine, load, slug
from bench.presets import PRESETS
from bench.report import RESULTS, ROOT, write_page
from bench.work import OurTraining, Work
from dash_repro import runtime
from dash_repro.models.flops import count_flops
from dash_repro.params import load_params

aten = torch.ops.aten
PRODUCTS = {
    *(aten.convolution, aten.convolution_backward, aten.mm, aten.addmm, aten.bmm),
    aten._scaled_dot_product_flash_attention_for_cpu,
    aten._scaled_dot_product_flash_attention_for_cpu_backward,
}
CPU = torch.device("cpu")
DEMO, STUDY = "config/demo.params.yaml", "config/study.params.yaml"


@dataclass(frozen=True)
class Case:
    """Networks whose steps are measured: of a params file, at its batch size."""

    name: str
    params: str
    image_size: int
    teacher: int
    student: int
    batch: int
    packs: tuple[int, ...] = ()


CASES = (
    Case("demo", DEMO, 8, 16, 12, 16),
    Case("study, digits", STUDY, 8, 16, 8, 32),
    Case("study, letters", STUDY, 16, 16, 8, 32),
    Case("teacher of 32", DEMO, 16, 32, 8, 16, packs=(1, 4, 8, 16)),
)


@dataclass(frozen=True)
class Shape:
    """A tensor of a noted product."""

    size: tuple[int, ...]
    stride: tuple[int, ...]
    dtype: torch.dtype


class Notes(TorchDispatchMode):
    """Counts the products that run under it, by operation and shapes.

    Attributes:
        calls: {(operation, arguments, keyword arguments): how often}.
    """

    def __init__(self) -> None:
        super().__init__()
        self.calls: Counter[tuple[Any, Hashable, Hashable]] = Counter()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        """Note a product, and let everything run."""
        kwargs = kwargs or {}
        if func.overloadpacket in PRODUCTS:
            named = tuple((key, _noted(value)) for key, value in sorted(kwargs.items()))
            self.calls[func, _noted(args), named] += 1
        return func(*args, **kwargs)


def _noted(value: Any) -> Hashable:
    if isinstance(value, torch.Tensor):
        return Shape(tuple(value.shape), value.stride(), value.dtype)
    if isinstance(value, list | tuple):
        return tuple(map(_noted, value))
    return value


def _random(value: Any) -> Any:
    if isinstance(value, Shape):
        found = torch.empty_strided(value.size, value.stride, dtype=value.dtype)
        return found.normal_() if value.dtype.is_floating_point else found.zero_()
    return list(map(_random, value)) if isinstance(value, tuple) else value


def seconds_alone(calls: Counter[tuple[Any, Hashable, Hashable]]) -> float:
    """Seconds of noted products, each timed alone and counted as often as noted."""
    total = 0.0
    for (func, args, kwargs), count in calls.items():
        values = [_random(value) for value in args]
        named = {key: _random(value) for key, value in kwargs}
        total += count * best_seconds(lambda f=func, v=values, n=named: f(*v, **n), CPU)
    return total


def noted(step: Callable[[], object]) -> Counter[tuple[Any, Hashable, Hashable]]:
    """The products of a step."""
    with Notes() as notes:
        step()
    return notes.calls


def work_of(case: Case) -> Work:
    """Synthetic images and the networks of a case."""
    preset = replace(
        PRESETS["cpu"],
        params=case.params,
        image_size=case.image_size,
        teacher_width=case.teacher,
        widths=(case.student,),
        batch=case.batch,
        images=200,
    )
    return Work(preset, load_params(ROOT / case.params), CPU)


def step_row(work: Work, width: int | None) -> tuple[float, float, float]:
    """(seconds of a step, of its products alone, FLOP) of a student or the teacher."""
    step = OurTraining(work, width, 1, "eager", "fp32").step
    step()
    alone = seconds_alone(noted(step))
    return best_seconds(step, CPU), alone, work.step_flops(width)


def rows(cases: Sequence[Case]) -> Iterator[str]:
    """Lines of the page: a table of steps, and one of packs."""
    yield "| networks | step | ms a step | products alone, ms | share "
    yield "| GFLOP/s of the step | of the products alone |\n"
    yield "|---|---|---|---|---|---|---|\n"
    works = {case: work_of(case) for case in cases}
    for case, work in works.items():
        kinds = {None: f"teacher, width {case.teacher}"}
        kinds[case.student] = f"DASH, width {case.student}"
        for width, kind in kinds.items():
            step, alone, flops = step_row(work, width)
            yield (
                f"| {case.name}: {case.image_size} pixels, {case.batch} images "
                f"| {kind} | {step * 1e3:.1f} | {alone * 1e3:.1f} | {alone / step:.0%} "
                f"| {flops / step / 1e9:.1f} | {flops / alone / 1e9:.1f} |\n"
            )
    for case, work in works.items():
        if case.packs:
            yield from _packs(case, work)


def _packs(case: Case, work: Work) -> Iterator[str]:
    """What K students of one pack take, beside K times one alone."""
    teacher = count_flops(work.teacher)
    student = 3 * count_flops(work.network(case.student))
    both = teacher + student
    most = both / student
    yield (
        f"\nThe teacher of width {case.teacher} does {teacher / both:.0%} of the "
        f"counted work of a step of a student of width {case.student}, so that "
        f"packs can save a factor of {most:.1f} at most.\n\n"
        "| students together | ms a step and student | gain |\n|---|---|---|\n"
    )
    single = 0.0
    for pack in case.packs:
        step = OurTraining(work, case.student, pack, "eager", "fp32").step
        each = best_seconds(step, CPU) / pack
        single = single or each
        yield f"| {pack} | {each * 1e3:.1f} | {single / each:.2f}x |\n"


def main() -> int:
    """Measure, and write the page."""
    parser = argparse.ArgumentParser(prog="bench.products", description=__doc__)
    parser.add_argument("--output", type=Path, default=RESULTS)
    folder = parser.parse_args().output
    runtime.configure("fp32")
    torch.set_num_threads(1)
    machine = describe_machine(CPU)
    device = machine["device"]
    text = (
        f"## {device}: steps, and their convolutions and products alone\n\n"
        "`python -m bench.products`: one thread, float32; the fastest of ten each.\n\n"
    )
    text += "".join(rows(CASES))
    text += (
        f"\nLoad: {machine['load at the start']} at the start, {load()} at the end.\n"
    )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"products-{slug(device)}.md").write_text(text, "utf-8")
    if folder == RESULTS:
        write_page()
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
