"""Training a teacher, and exporting its weighting of timesteps (Section 3.3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from dash_repro.arrays import save_npz
from dash_repro.diffusion.schedule import Schedule
from dash_repro.launch import launch_mode
from dash_repro.models.checkpoint import load_checkpoint
from dash_repro.models.unet import UNetConfig, build_unet
from dash_repro.objectives.curriculum import curriculum_of, save_curriculum
from dash_repro.objectives.objective import NoiseObjective
from dash_repro.objectives.weights import teacher_weights
from dash_repro.training.batches import BatchSource, batch_source, load_images
from dash_repro.training.learner import Learner, history_csv
from dash_repro.training.loop import Task, train
from dash_repro.training.observers import CurriculumRecorder, timestep_losses
from dash_repro.training.settings import Cadence, TrainSettings
from runledger.job import Job

COLUMNS = ["step", "loss", "lr", "grad_norm"]


def train_teacher(job: Job, device: torch.device) -> bool:
    """Train one teacher and write its files; resumes by itself.

    Args:
        job: its item names dataset, teacher (a block of `teachers:`) and seed.
        device: from `runtime.configure`.

    Returns:
        False if asked to stop before the end; the state is saved.

    Raises:
        TrainingDiverged, ArrayFileError, NetworkError, WeightingError.
    """
    section = job.params["train_teacher"]
    block = job.params["teachers"][job.item["teacher"]]
    settings = TrainSettings.from_params(section)
    schedule = Schedule.from_params(job.params["diffusion"])
    data = load_images(job.input("prepare_data"))
    source = batch_source(data, schedule, settings, job.item["seed"], "teacher", device)
    learner = build_teacher(job, data, schedule, settings, device)
    recorder = CurriculumRecorder(
        block, schedule, section["snapshots"], settings.iterations
    )
    failures: list[Exception] = []
    task = Task(
        learner=learner,
        observer=recorder,
        state_folder=job.state,
        log=job.log,
        write=lambda path: learner.save_network(
            path, schedule, "teacher", data["class_names"]
        ),
        finish=lambda done: _write(job, done, recorder, source, data["class_names"]),
        fail=failures.append,
        progress=job.progress,
    )
    cadence = Cadence.from_environment()
    launch = launch_mode(device.type)
    complete = train([task], source, None, cadence, job.stop_requested, launch)
    if failures:
        raise failures[0]
    return complete


def build_teacher(
    job: Job,
    data: Mapping[str, np.ndarray],
    schedule: Schedule,
    settings: TrainSettings,
    device: torch.device,
) -> Learner:
    """A teacher at its start, a function of its params and seed.

    Raises:
        NetworkError, WeightingError: the params name no such network or weighting.
    """
    section, seed = job.params["train_teacher"], job.item["seed"]
    block = job.params["teachers"][job.item["teacher"]]
    config = UNetConfig.from_params(
        job.params["network"],
        section["width"],
        section["blocks"],
        len(data["class_names"]),
        *data["train_images"].shape[2:],
    )
    return Learner(
        job.id,
        build_unet(config, seed),
        NoiseObjective(section["label_dropout"], settings.label_dropout_mode),
        teacher_weights(block, schedule.snr()),
        settings,
        seed=seed,
        lambda_lr=block["lambda_lr"],
        device=device,
        launch=launch_mode(device.type),
    )


def export_tirt(job: Job) -> None:
    """Write a teacher's raw lambda and its omega_hat (Eq. 2) in float64."""
    checkpoint = load_checkpoint(job.input("train_teacher", "model.safetensors"))
    block = job.params["teachers"][job.item["teacher"]]
    save_curriculum(job.output("tirt.safetensors"), curriculum_of(checkpoint, block))


def _write(
    job: Job,
    learner: Learner,
    recorder: CurriculumRecorder,
    source: BatchSource,
    class_names: Sequence[str],
) -> None:
    """The three files of a trained teacher.

    The per-timestep loss is that of the present weights, not of their average: these
    are what lambda has been reacting to.
    """
    count = job.params["train_teacher"]["monitor_batch"]
    learner.model.eval()
    losses = timestep_losses(learner.model, source, count)
    save_npz(job.output("curriculum.npz"), **recorder.arrays(), **losses)
    text = history_csv(learner.history, COLUMNS)
    job.output("history.csv").write_text(text, encoding="utf-8")
    path = job.output("model.safetensors")
    learner.save_network(path, recorder.schedule, "teacher", class_names)
