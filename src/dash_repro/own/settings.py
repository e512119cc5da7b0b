"""The params file of a run on own images: what was chosen, over the paper's values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from dash_repro.own.choice import (
    EXTRACTOR_OFFLINE,
    Choice,
    Size,
    batch_size,
    levels,
    steps,
)
from dash_repro.params.lookup import at, scalar

SHORT = 20  # iterations that the weights' average looks back on, of a short training
FASTEST = 2e-3  # learning rate
LONGEST = 110  # of a section on one line
Block = dict[str, Any]


def network(size: Size, image_size: int) -> Block:
    """Section `network`, as far as it is chosen."""
    mult, attention = levels(image_size)
    return {
        "channel_mult": mult,
        "attention_resolution": attention,
        "norm_groups": list(size.groups),
    }


def training(paper: Mapping[str, Any], iterations: int, gpu: bool) -> Block:
    """Length of a training, and what follows from it.

    A shorter one than the paper's learns faster, by the root of the ratio, and averages
    its weights over less.
    """
    longer = (paper["iterations"] / iterations) ** 0.5
    average = 1 - min(SHORT / iterations, 0.5)
    rate = max(paper["learning_rate"], min(paper["learning_rate"] * longer, FASTEST))
    return {
        "iterations": iterations,
        "batch_size": batch_size(gpu),
        "learning_rate": float(f"{rate:.1g}"),
        "ema_decay": round(min(paper["ema_decay"], average), 5),
        "monitor_batch": batch_size(gpu),
        "numerics": "fp16" if gpu else "fp32",
    }


def overlay(
    name: str,
    data: Mapping[str, Any],
    choice: Choice,
    extractor: str,
    gpu: bool,
    test_images: int,
    paper: Mapping[str, Any],
) -> Block:
    """What differs from the paper's params.

    Args:
        name: block of prepare_data.
        data: its keys.
        choice: widths and lengths.
        extractor: of features.
        gpu: whether there is one.
        test_images: how many there are, for KID's subsets of real images.
        paper: validated params of the base.
    """
    teacher = training(paper["train_teacher"], choice.iterations, gpu)
    students = training(paper["train_student"], choice.student_iterations, gpu)
    students["monitor_every"] = max(1, choice.student_iterations // 20)
    teacher |= {"width": choice.size.teacher, "blocks": choice.size.blocks}
    teacher["snapshots"] = min(40, max(2, choice.iterations // 100))
    size = data["image_size"]
    tables = {key: None for key in paper["experiments"] if key != "sampling"}
    samples = choice.samples
    kid = min(1000, max(2, samples // 2), test_images)
    found: Block = {
        "scale": "own",
        "prepare_data": {**dict.fromkeys(paper["prepare_data"]), name: dict(data)},
        "network": network(choice.size, size),
        "train_teacher": teacher,
        "teachers": {"tirt": {"lambda_lr": teacher["learning_rate"]}},
        "train_student": students,
        "train_classifier": {}
        if gpu
        else {"width": 16, "iterations": 500, "batch_size": 32},
        "generate_samples": {
            "num_samples": samples,
            "chunk_size": min(500 if gpu else 100, samples),
            "use_clipped_model_output": True,  # w = 4 asks for it (docs/sampling.md)
            "numerics": teacher["numerics"],
        },
        "extractor": {"name": extractor},
        "compute_metrics": {"kid_subset_size": kid},
        "measure_calibration": {"pairs": min(10_000, max(256, samples))},
        "profile_model": {} if gpu else {"batch_size": 16, "repeats": 3},
        "experiments": {
            **tables,
            "table3": {
                "datasets": [name],
                "seeds": [42],
                "width": choice.size.student,
                "students": ["scratch", "dash"],
            },
            "sampling": {"steps": steps(gpu)},
        },
        "rank_pairs": {"pool": min(300, samples)},
    }
    if extractor == EXTRACTOR_OFFLINE:  # its weights come with its package
        keys = ("weights_url", "weights_path", "weights_sha256")
        found["extractor"] |= dict.fromkeys(keys, "")
    return _differing(found, paper)


def _differing(found: Mapping[str, Any], paper: Mapping[str, Any]) -> Block:
    """Without what the base says, too."""
    kept: Block = {}
    for key, value in found.items():
        base = at(paper, (key,))
        if isinstance(value, Mapping) and isinstance(base, Mapping):
            inner = _differing(value, base)
            if inner:
                kept[key] = inner
        elif value != base or type(value) is not type(base):
            kept[key] = value
    return kept


SAYS = {
    "scale": "own data: nothing of the paper is shown or judged",
    "prepare_data": "null leaves a block of the base out",
    "train_teacher": "width and length are what the budget allows",
    "train_student": "0.6 of the teacher's iterations, as in the paper",
    "generate_samples": "a set of each network",
    "extractor": "effnetlite0 needs no download; inception gives FID",
    "experiments": "one teacher, DASH, and the same network from scratch",
}


def text(found: Mapping[str, Any], head: list[str], base: str) -> str:
    """The file: a comment, its base, and its sections."""
    lines = [*(f"# {line}" for line in head), f"base: {scalar(base)}"]
    for section, value in found.items():
        lines += [
            *([""] if isinstance(value, Mapping) else []),
            *_lines(section, value),
        ]
    return "\n".join(lines) + "\n"


def _lines(section: str, value: Any) -> Iterator[str]:
    says = f"  # {SAYS[section]}" if section in SAYS else ""
    line = f"{section}: {scalar(value)}"
    parts = value if isinstance(value, Mapping) else {}
    nested = any(isinstance(one, Mapping) for one in parts.values())
    if not parts or (len(line) <= LONGEST and not nested):
        yield line + says
        return
    yield f"{section}:{says}"
    yield from (f"  {key}: {scalar(one)}" for key, one in parts.items())
