"""Training students, those of one teacher and seed side by side (Section 3.5)."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

import numpy as np
import torch

from dash_repro.diffusion.schedule import Schedule, require_same_schedule
from dash_repro.launch import launch_mode
from dash_repro.models.checkpoint import (
    Checkpoint,
    CheckpointError,
    load_checkpoint,
    save_checkpoint,
)
from dash_repro.models.unet import UNetConfig, build_unet
from dash_repro.objectives.curriculum import load_curriculum
from dash_repro.objectives.objective import (
    DistillObjective,
    NoiseObjective,
    feature_channels,
    student_objective,
)
from dash_repro.objectives.weights import student_weights
from dash_repro.training.batches import batch_source, load_images
from dash_repro.training.frozen import FrozenTeacher
from dash_repro.training.learner import Learner, history_csv
from dash_repro.training.loop import Task, train
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
            complete = _train_group(group, device)
        except Exception as error:
            # what they share is broken; other groups may be whole
            for job in group:
                if job.status == "open":
                    job.fail(error)
            continue
        if not complete:
            return False
    return True


def _shared(job: Job) -> str:
    """What students must have in common to be trained side by side."""
    teacher = job.input("train_teacher", "model.safetensors")
    sections = [job.params["train_student"], job.params["diffusion"]]
    parts = [str(job.input("prepare_data")), str(teacher), job.item["seed"], *sections]
    return json.dumps(parts, sort_keys=True)


def _train_group(jobs: list[Job], device: torch.device) -> bool:
    """Train students that share everything of `_shared`."""
    first = jobs[0]
    section = first.params["train_student"]
    settings = TrainSettings.from_params(section)
    schedule = Schedule.from_params(first.params["diffusion"])
    data = load_images(first.input("prepare_data"))
    checkpoint = _load_teacher(first, schedule, data)
    seed = first.item["seed"]
    source = batch_source(data, schedule, settings, seed, "student", device)
    launch = launch_mode(device.type)
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


def _load_teacher(
    job: Job, schedule: Schedule, data: Mapping[str, np.ndarray]
) -> Checkpoint:
    """The teacher, if it belongs to this schedule and these data."""
    path = job.input("train_teacher", "model.safetensors")
    checkpoint = load_checkpoint(path)
    require_same_schedule(checkpoint.schedule, schedule, path)
    found = (len(data["class_names"]), *data["train_images"].shape[2:])
    config = checkpoint.config
    known = (config.num_classes, config.image_size, config.channels)
    if found != known:
        raise CheckpointError(
            f"the teacher knows (classes, pixels, channels) {known}, the data have "
            f"{found}",
            str(path),
            "train the teacher on these data",
        )
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
    curriculum = load_curriculum(job.input("export_tirt", "tirt.safetensors"), schedule)
    config = UNetConfig.from_params(
        job.params["network"],
        job.item["width"],
        job.params["train_student"]["blocks"],
        teacher.config.num_classes,
        teacher.config.image_size,
        teacher.config.channels,
    )
    weights = student_weights(
        block["weighting"],
        curriculum.omega_hat,
        curriculum.weighting,
        schedule.snr(),
        block["normalizer"],
    )
    return Learner(
        job.id,
        build_unet(config, seed, block["null_init_std"]),
        _objective(job, config, teacher.config, settings, schedule),
        weights,
        settings,
        seed=seed,
        lambda_lr=block["lambda_lr"],
        device=device,
        launch=launch_mode(device.type),
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
        _write(job, done, schedule, class_names)
        job.finish()

    fail: Callable[[Exception], None] = job.fail
    return Task(learner, monitor, job.state, job.log, finish, fail, job.progress)


def _write(
    job: Job, learner: Learner, schedule: Schedule, class_names: tuple[str, ...]
) -> None:
    """The two files of a trained student."""
    text = history_csv(learner.history, COLUMNS)
    job.output("history.csv").write_text(text, encoding="utf-8")
    save_checkpoint(
        job.output("model.safetensors"),
        learner.ema_state_dict(),
        learner.model.config,
        schedule.to_dict(),
        "student",
        learner.step,
        learner.lambda_(),
        class_names,
    )
