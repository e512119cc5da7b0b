"""Training students, those of one teacher and seed side by side (Section 3.5)."""

from __future__ import annotations

import gc
import json
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dash_repro.diffusion.schedule import Schedule, require_same_schedule
from dash_repro.launch import launch_mode
from dash_repro.models.checkpoint import (
    Checkpoint,
    load_checkpoint,
    require_same_images,
)
from dash_repro.models.pruning import prune_channels
from dash_repro.models.unet import UNetConfig, build_unet
from dash_repro.objectives.curriculum import load_curriculum
from dash_repro.objectives.objective import (
    DistillObjective,
    NoiseObjective,
    feature_channels,
    student_objective,
)
from dash_repro.objectives.weights import TimestepWeights, student_weights
from dash_repro.training.batches import batch_source, load_images
from dash_repro.training.frozen import FrozenTeacher
from dash_repro.training.learner import Learner, history_csv
from dash_repro.training.loop import Task, train
from dash_repro.training.memory import GIB, free_bytes, pack_bytes, too_large
from dash_repro.training.observers import GapMonitor
from dash_repro.training.settings import Cadence, TrainSettings
from runledger.job import Job

COLUMNS = ["step", "loss", "lr", "grad_norm"]
COLUMNS += ["rho", "cos", "gap_mse", "err_cond", "err_uncond"]


def train_students(jobs: list[Job], device: torch.device) -> bool:
    """Train students, writing and finishing each as it is done; resumes by itself.

    Those that share data, teacher, seed and settings are trained on the same batches
    and one teacher forward; which jobs come together does not change their bytes.

    Args:
        jobs: each item names dataset, student (a block of `students:`), width, seed.
        device: from `runtime.configure`.

    Returns:
        False if asked to stop before the end; the states are saved.
    """
    groups: dict[str, list[Job]] = {}
    for job in jobs:
        groups.setdefault(_shared(job), []).append(job)
    for group in groups.values():
        try:
            complete = _train_fitting(group, device)
        except Exception as error:
            # what they share is broken; other groups may be whole
            for job in group:
                if job.status == "open":
                    job.fail(error)
            continue
        if not complete:
            return False
    return True


def _train_fitting(jobs: list[Job], device: torch.device) -> bool:
    """Train students of a group, in halves where all of them do not fit the GPU.

    They go on from their saved states: which train together changes no result.
    """
    try:
        return _train_group(jobs, device)
    except torch.OutOfMemoryError as error:
        said = str(error).splitlines()[0]
        traceback.clear_frames(error.__traceback__)
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
    left = [job for job in jobs if job.status == "open"]
    if len(left) == 1:
        raise too_large(left[0].id, None)
    for job in left:
        job.log.warning("%d students do not fit the GPU, halved: %s", len(left), said)
    middle = len(left) // 2
    parts = (left[:middle], left[middle:])
    return all(_train_fitting(part, device) for part in parts)


def _shared(job: Job) -> str:
    """What students must have in common to be trained side by side."""
    teacher = job.input("train_teacher", "model.safetensors")
    sections = [job.params["train_student"], job.params["diffusion"]]
    parts = [str(job.input("prepare_data")), str(teacher), job.item["seed"], *sections]
    return json.dumps(parts, sort_keys=True)


def _train_group(jobs: list[Job], device: torch.device) -> bool:
    """Train students that share everything of `_shared`.

    Raises:
        torch.OutOfMemoryError: they do not fit the GPU, as foreseen or as found.
    """
    first = jobs[0]
    section = first.params["train_student"]
    settings = TrainSettings.from_params(section)
    schedule = Schedule.from_params(first.params["diffusion"])
    data = load_images(first.input("prepare_data"))
    checkpoint = load_network(first, "train_teacher", schedule, data)
    launch = launch_mode(device.type)
    _require_memory(jobs, checkpoint.config, settings, launch, device)
    seed = first.item["seed"]
    source = batch_source(data, schedule, settings, seed, "student", device)
    teacher = FrozenTeacher(checkpoint.model, device, settings.numerics, launch)
    fixed = source.fixed(section["monitor_batch"])
    every = section["monitor_every"]
    monitor = GapMonitor(teacher, fixed, every, settings.iterations)
    tasks = []
    for job in jobs:
        try:
            learner = build_student(job, checkpoint, schedule, settings, device)
        except Exception as error:
            job.fail(error)
            continue
        names = tuple(data["class_names"])
        tasks.append(_task(job, learner, monitor, schedule, names))
    stop = first.stop_requested
    return train(tasks, source, teacher, Cadence.from_environment(), stop, launch)


def _require_memory(
    jobs: list[Job],
    teacher: UNetConfig,
    settings: TrainSettings,
    launch: str,
    device: torch.device,
) -> None:
    """Refuse at once what would run out of memory after minutes of warming up."""
    free = free_bytes(device)
    if free is None or len(jobs) == 1:
        return
    students = [(_config(job, teacher), 2) for job in jobs]
    args = (teacher, settings.batch_size, settings.numerics, launch)
    needed = pack_bytes(students, *args)
    if needed > free:
        raise torch.OutOfMemoryError(
            f"about {needed / GIB:.1f} GiB are needed, {free / GIB:.1f} are free"
        )


def _config(job: Job, teacher: UNetConfig) -> UNetConfig:
    """The network of a student: its own width and blocks, its teacher's images."""
    own = job.params["students"][job.item["student"]]["blocks"]
    return UNetConfig.from_params(
        job.params["network"],
        job.item["width"],
        own or job.params["train_student"]["blocks"],
        teacher.num_classes,
        teacher.image_size,
        teacher.channels,
    )


def load_network(
    job: Job, stage: str, schedule: Schedule, data: Mapping[str, np.ndarray]
) -> Checkpoint:
    """A stage's network, if it belongs to this schedule and these data."""
    path = job.input(stage, "model.safetensors")
    checkpoint = load_checkpoint(path)
    require_same_schedule(checkpoint.schedule, schedule, path)
    images = (len(data["class_names"]), *data["train_images"].shape[2:])
    require_same_images(checkpoint.config, images, path)
    return checkpoint


def build_student(
    job: Job,
    teacher: Checkpoint,
    schedule: Schedule,
    settings: TrainSettings,
    device: torch.device,
) -> Learner:
    """A student at its start, a function of its params and seed.

    Raises:
        UserError: its block of `students:` contradicts itself, its width fits no
            group count, or the exported weighting is of another schedule.
    """
    block, seed = job.params["students"][job.item["student"]], job.item["seed"]
    config = _config(job, teacher.config)
    model = build_unet(config, seed, block["null_init_std"])
    if block["init"] == "pruned":
        # from its file, for the frozen teacher in memory may be in half precision
        path = job.input("train_teacher", "model.safetensors")
        prune_channels(load_checkpoint(path).model, model)
    return Learner(
        job.id,
        model,
        _objective(job, config, teacher.config, settings, schedule),
        weights_of(job, block, schedule),
        settings,
        seed=seed,
        lambda_lr=block["lambda_lr"],
        device=device,
        launch=launch_mode(device.type),
    )


def weights_of(
    job: Job, block: Mapping[str, Any], schedule: Schedule
) -> TimestepWeights:
    """How a block of `students:` weights timesteps, from what its teacher exports."""
    curriculum = load_curriculum(job.input("export_tirt", "tirt.safetensors"), schedule)
    return student_weights(
        block["weighting"],
        curriculum.omega_hat,
        curriculum.weighting,
        schedule.snr(),
        block["normalizer"],
    )


def _objective(
    job: Job,
    config: UNetConfig,
    teacher: UNetConfig,
    settings: TrainSettings,
    schedule: Schedule,
) -> NoiseObjective | DistillObjective:
    """The student's objective; projections of feature maps start from the seed."""
    block = job.params["students"][job.item["student"]]
    tag = {"w_min": block["guidance_min"], "beta": block["guidance_beta"]}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(job.item["seed"])
        return student_objective(
            block,
            settings.label_dropout_mode,
            schedule.timesteps,
            tag,
            feature_channels(config, teacher),
        )


def _task(
    job: Job,
    learner: Learner,
    monitor: GapMonitor,
    schedule: Schedule,
    class_names: tuple[str, ...],
) -> Task:
    def finish(done: Learner) -> None:
        write_student(job, done, schedule, class_names)
        job.finish()

    def write(path: Path) -> None:
        learner.save_network(path, schedule, "student", class_names)

    fail: Callable[[Exception], None] = job.fail
    return Task(learner, monitor, job.state, job.log, write, finish, fail, job.progress)


def write_student(
    job: Job, learner: Learner, schedule: Schedule, class_names: tuple[str, ...]
) -> None:
    """The two files of a trained student."""
    text = history_csv(learner.history, COLUMNS)
    job.output("history.csv").write_text(text, encoding="utf-8")
    path = job.output("model.safetensors")
    learner.save_network(path, schedule, "student", class_names)
