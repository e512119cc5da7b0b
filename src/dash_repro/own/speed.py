"""How fast this machine trains a network: measured by training it for seconds."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from dash_repro import graphs
from dash_repro.diffusion.schedule import Schedule
from dash_repro.launch import launch_mode
from dash_repro.models.unet import UNetConfig, build_unet
from dash_repro.objectives.objective import NoiseObjective
from dash_repro.objectives.weights import teacher_weights
from dash_repro.resources import network_cost
from dash_repro.training.batches import batch_source
from dash_repro.training.learner import Learner
from dash_repro.training.settings import TrainSettings
from dash_repro.training.steps import make_steps

WARM_UP = graphs.WARM_UP + 2  # iterations that are not counted: a graph is recorded
SECONDS = 2.0  # measured for this long, or one iteration
CLASSES = 10
ENDLESS = 10**8  # so that no row of a history is written


def training_rate(
    params: Mapping[str, Any], role: str, width: int, device: torch.device
) -> float:
    """Operations a second of a training, optimiser and batches included.

    Args:
        params: validated; one block of prepare_data.
        role: "train_teacher" or "train_student": the section with batch and precision.
        width: base channels.
        device: where.

    Returns:
        Counted FLOP (of convolutions and matrix products) a second of wall clock.
    """
    (data,) = params["prepare_data"].values()
    section, network = params[role], params["network"]
    settings = replace(TrainSettings.from_params(section), iterations=ENDLESS)
    size, channels = data["image_size"], data["channels"]
    flop, _ = network_cost(network, width, section["blocks"], size, channels)
    count = max(2 * settings.batch_size, CLASSES)
    images = {
        "train_images": np.zeros((count, size, size, channels), np.uint8),
        "train_labels": np.arange(count) % CLASSES,
    }
    schedule, block = Schedule.from_params(params["diffusion"]), params["teachers"]
    shape = (section["blocks"], CLASSES, size, channels)
    learner = Learner(
        "speed",
        build_unet(UNetConfig.from_params(network, width, *shape), seed=0),
        NoiseObjective(0.1, settings.label_dropout_mode),
        teacher_weights(block["tirt"], schedule.snr()),
        settings,
        seed=0,
        lambda_lr=block["tirt"]["lambda_lr"],
        device=device,
        launch=launch_mode(device.type),
    )
    source = batch_source(images, schedule, settings, 0, "teacher", device)
    advance = make_steps(source, None, launch_mode(device.type))
    done, start = 0, 0.0
    while done <= WARM_UP or time.perf_counter() - start < SECONDS:
        failures = advance([learner], done)
        if failures:
            raise failures[learner]
        if device.type == "cuda":
            torch.cuda.synchronize()
        done += 1
        if done == WARM_UP:
            start = time.perf_counter()
    elapsed = time.perf_counter() - start
    return 3 * flop * settings.batch_size * (done - WARM_UP) / elapsed
