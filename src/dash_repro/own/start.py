"""`dash-repro init`: from a folder of images to a workspace that is ready to run."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from dash_repro.own import settings
from dash_repro.own.choice import (
    EXTRACTOR_OFFLINE,
    EXTRACTOR_ONLINE,
    Choice,
    Machine,
    Size,
    Task,
    choose,
)
from dash_repro.own.images import Images, link, look_at
from dash_repro.params import load_params
from dash_repro.workspace import make_workspace
from runledger import about
from runledger.errors import UserError

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def seconds_of(text: str) -> float:
    """A time such as 90m, 2h or 1h30m, in seconds (UserError)."""
    parts = re.findall(r"([0-9.]+)([smhd])", text)
    if not parts or "".join(map("".join, parts)) != text:
        raise UserError(
            f"{text!r} is not a time", "--budget", "for example 30m, 2h or 1h30m"
        )
    return sum(float(number) * UNITS[unit] for number, unit in parts)


def start(
    source: Path,
    target: Path,
    folder: Path,
    image_size: int,
    budget: float,
    say: Callable[[str], None],
) -> Path:
    """Look, measure, choose, and make the workspace.

    Args:
        source: the checkout.
        target: folder of the workspace; its params file is beside it.
        folder: the images.
        image_size: side to which they are fitted.
        budget: seconds that the run may take.
        say: prints a line.

    Returns:
        the params file.

    Raises:
        UserError: something is there already, the images are none, or the budget is
            too short.
    """
    source, target = Path(source).resolve(), Path(target).resolve()
    file = target.with_name(f"{target.name}.params.yaml")
    _require_new(source, target, file)
    images = look_at(folder)
    for line in images.summary():
        say(line)
    name = _name_of(target.name)
    place = images.root if images.split else target / "data" / name
    data = {"source": "folder", "path": str(place), "image_size": image_size}
    data["channels"] = images.channels
    paper = load_params(source / "params.yaml")
    machine, device = _machine(paper, name, data)
    extractor = EXTRACTOR_OFFLINE
    if machine.gpu or (source / paper["extractor"]["weights_path"]).exists():
        extractor = EXTRACTOR_ONLINE
    image = image_size, images.channels
    choice = choose(
        lambda size: {**paper["network"], **settings.network(size, image_size)},
        Task(image, images.count("train"), extractor, machine, budget),
    )
    tests = images.count("test")
    found = settings.overlay(name, data, choice, extractor, machine.gpu, tests, paper)
    base = os.path.relpath(source / "params.yaml", target.parent)
    text = settings.text(found, _head(images, budget, device), base)
    file.write_text(text, encoding="utf-8")
    try:
        load_params(file)
        make_workspace(source, target, file)
    except UserError:
        file.unlink()
        raise
    if not images.split:
        link(images, place)
    for line in _outcome(name, choice, machine, device, file, target):
        say(line)
    return file


def _require_new(source: Path, target: Path, file: Path) -> None:
    if not (source / "workflow" / "Snakefile").is_file():
        raise UserError(
            "this is no checkout of dash-repro",
            str(source),
            "git clone it, and run the command in its folder",
        )
    for path in (target, file):
        if path.exists():
            raise UserError(
                "this exists already", str(path), "remove it, or take another name"
            )
    if not target.parent.is_dir():
        raise UserError("no such folder", str(target.parent), "create it first")


def _name_of(text: str) -> str:
    """A folder's name as that of a dataset."""
    name = re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")[:40]
    plain = re.match(r"[a-z]", name) and isinstance(yaml.safe_load(name), str)
    return name if plain else f"images_{name}".rstrip("_")


def _machine(
    paper: Mapping[str, Any], name: str, data: Mapping[str, Any]
) -> tuple[Machine, str]:
    """This machine; each speed is measured when it is first asked for."""
    from dash_repro import runtime
    from dash_repro.own.speed import training_rate

    begin = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import torch, dash_repro.plan"], check=False)
    startup = time.perf_counter() - begin + 1.0  # and what a job does by itself
    device = runtime.configure()
    gpu = device.type == "cuda"

    @cache
    def rate(role: str, size: Size) -> float:
        teacher = role == "train_teacher"
        width = size.teacher if teacher else size.student
        blocks = size.blocks if teacher else paper[role]["blocks"]
        section = settings.training(paper[role], 1000, gpu) | {"blocks": blocks}
        network = settings.network(size, data["image_size"])
        trial = {
            **paper,
            "prepare_data": {name: data},
            "network": {**paper["network"], **network},
            role: {**paper[role], **section},
        }
        return training_rate(trial, role, width, device)

    cores = len(os.sched_getaffinity(0))
    described = str(runtime.describe()["device"])
    return Machine(gpu, cores, startup, rate), described


def _head(images: Images, budget: float, device: str) -> list[str]:
    return [
        f"Written by `dash-repro init` for {images.count('train')} training images of "
        f"{images.root.name}, a budget of {about(budget)}, and {device}.",
        "It holds what was chosen; its base has the rest. `dash-repro params KEY` says "
        "what a key is, `dash-repro params --complete FILE` prints all.",
    ]


def _outcome(
    name: str, choice: Choice, machine: Machine, device: str, file: Path, target: Path
) -> list[str]:
    """What was chosen, how to start the run, and where to look when it is through."""
    size, parts = choice.size, choice.seconds
    rate = machine.rate("train_teacher", size)
    listed = ", ".join(f"{part} {about(s)}" for part, s in parts.items())
    command = "snakemake --profile workflow/profiles/demo"
    command += f" --cores {min(machine.cores, 2)}"
    command += " --resources gpu=1" if machine.gpu else ""
    models = [
        f"results/train_student/{name}-{student}-w{size.student}-s42/model.safetensors"
        for student in ("dash", "scratch")
    ]
    return [
        f"speed      {rate / 1e9:.1f} GFLOP/s in training, on {device}",
        f"teacher    {size.teacher} channels, {choice.iterations} iterations",
        f"students   {size.student} channels, {choice.student_iterations} iterations",
        f"samples    {choice.samples} of each network",
        f"settings   {file}",
        f"workspace  {target}",
        f"time       about {about(sum(parts.values()))}: {listed}",
        "",
        f"next:      cd {shlex.quote(str(target))} && {command}",
        "then:      python -m dash_repro.audit --report results/report.html",
        "           shows the table and the grids, and",
        f"           dash-repro sample {models[0]} --compare {models[1]} -o both.png",
    ]
