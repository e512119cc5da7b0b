"""Widths, lengths and batches for a budget of time and a measured speed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from dash_repro.evaluation.extractors import EXTRACTORS
from dash_repro.objectives.kinds import OBJECTIVES
from dash_repro.resources import network_cost
from runledger.errors import UserError

BACKWARD = 3  # forward and backward, in forwards
STUDENT_SHARE = 0.6  # iterations of a student, of the teacher's, as in Table A1
SAMPLING_SHARE = 0.15  # of the budget, for samples and their features
PAPER_WIDTH, PAPER_IMAGES = 128, 25e6  # of the teacher, and images it saw (Table A1)
PROCESSES = 9  # that start one after the other: from the images to the page
LEAST_ITERATIONS = 100
LEAST_SAMPLES = 50  # a grid shows 35
EXTRACTOR_ONLINE, EXTRACTOR_OFFLINE = "inception", "effnetlite0"


@dataclass(frozen=True)
class Size:
    """Networks that go together: base channels, blocks a level, groups of GroupNorm."""

    teacher: int
    student: int
    blocks: int
    groups: tuple[int, ...]


SIZES = (  # the last is the paper's
    Size(16, 12, 1, (4,)),
    Size(32, 16, 2, (4,)),
    Size(64, 32, 2, (8,)),
    Size(128, 64, 2, (32, 24)),
)


@dataclass(frozen=True)
class Machine:
    """What the choice must know of a machine.

    Attributes:
        gpu: whether it trains on one.
        cores: processes at once, on a CPU.
        startup: seconds until a process has its libraries.
        rate: of a role's training, FLOP a second, as `speed.training_rate` measures it.
    """

    gpu: bool
    cores: int
    startup: float
    rate: Callable[[str, Size], float]


@dataclass(frozen=True)
class Task:
    """What is to be made, where, and in which time.

    Attributes:
        image: side and channels.
        train_images: how many there are.
        extractor: of features.
        machine: measured.
        budget: seconds.
    """

    image: tuple[int, int]
    train_images: int
    extractor: str
    machine: Machine
    budget: float


@dataclass(frozen=True)
class Choice:
    """What was chosen, and how long it takes.

    Attributes:
        size: the networks.
        iterations: of the teacher.
        student_iterations: of each student.
        samples: of each network.
        seconds: by part, in the order in which they run.
    """

    size: Size
    iterations: int
    student_iterations: int
    samples: int
    seconds: Mapping[str, float]


def levels(size: int) -> tuple[list[int], int]:
    """Width multipliers and the side with attention, for images of a size.

    The paper's for 32 pixels; smaller images are halved down to 4 pixels.
    """
    halvings = 0
    while halvings < 3 and size % 2 ** (halvings + 1) == 0 and size >> halvings >= 8:
        halvings += 1
    sides = [size >> level for level in range(halvings + 1)]
    attention = 16 if 16 in sides and size > 16 else sides[min(1, halvings)]
    return [1, *[2] * halvings], attention


def batch_size(gpu: bool) -> int:
    """Images an iteration: the paper's; on a CPU small ones learn most a second."""
    return 64 if gpu else 16


def steps(gpu: bool) -> int:
    """DDIM steps of a sample."""
    return 50 if gpu else 20


def choose(network: Callable[[Size], Mapping[str, Any]], task: Task) -> Choice:
    """The largest networks that a budget lets see enough images.

    A network of the paper's width needs what the paper's saw; a narrower one less, by
    the square of its width (its parameters). The smallest is taken where none has it.

    Args:
        network: section `network` of params.yaml, for a size.
        task: what is to be made.

    Raises:
        UserError: the budget is too short for anything.
    """
    best: Choice | None = None
    for size in SIZES:  # the speed of a width is measured when it is asked for
        found = _for_size(size, network(size), task)
        needed = 0.9 * PAPER_IMAGES * (size.teacher / PAPER_WIDTH) ** 2
        enough = found.iterations * batch_size(task.machine.gpu) >= needed
        if enough or best is None:
            best = found
        if not enough:
            break
    if best.iterations < LEAST_ITERATIONS:
        fixed = sum(best.seconds.values()) - best.seconds["teacher"]
        least = fixed + LEAST_ITERATIONS * best.seconds["teacher"] / best.iterations
        raise UserError(
            f"a budget of {task.budget / 60:.0f} minutes is too short: starting "
            f"programs and sampling alone take {fixed / 60:.0f}",
            "--budget",
            f"give at least {least * 1.5 / 60:.0f}m",
        )
    return best


def _for_size(size: Size, network: Mapping[str, Any], task: Task) -> Choice:
    machine = task.machine
    teacher, _ = network_cost(network, size.teacher, size.blocks, *task.image)
    student, _ = network_cost(network, size.student, 1, *task.image)
    rate_t = machine.rate("train_teacher", size)
    rate_s = machine.rate("train_student", size)
    batch = batch_size(machine.gpu)
    passes = [OBJECTIVES[name].passes for name in ("branches", "noise")]
    each = [
        batch * (own * student * BACKWARD / rate_s + of_teacher * teacher / rate_t)
        for own, of_teacher in passes
    ]
    beside = not machine.gpu and machine.cores > 1
    per_step = {
        "teacher": batch * teacher * BACKWARD / rate_t,
        "students": max(each) if beside else sum(each),
    }
    features = EXTRACTORS[task.extractor].flop / rate_t
    one = 2 * steps(machine.gpu) * (teacher / rate_t + 2 * student / rate_s)
    one = (one + 3 * features) / (min(machine.cores, 3) if beside else 1)
    starts = PROCESSES * machine.startup
    reference = task.train_images * features
    left = max(task.budget - starts - reference, 0.0)
    most = 50_000 if machine.gpu else max(1000, min(task.train_images, 10_000))
    samples = _round(int(min(max(SAMPLING_SHARE * left / one, LEAST_SAMPLES), most)))
    left = max(left - samples * one, 0.0)
    both = per_step["teacher"] + STUDENT_SHARE * per_step["students"]
    iterations = _round(max(1, min(int(left / both), int(PAPER_IMAGES / batch))))
    of_students = max(1, round(STUDENT_SHARE * iterations))
    return Choice(
        size,
        iterations,
        of_students,
        samples,
        {
            "starting programs": starts,
            "teacher": iterations * per_step["teacher"],
            "students": of_students * per_step["students"],
            "samples and metrics": samples * one + reference,
        },
    )


def _round(number: int) -> int:
    """Two digits, never more than the number."""
    unit = 10 ** max(len(str(number)) - 2, 0)
    return number // unit * unit
