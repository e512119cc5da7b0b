"""Training the network that judges whether samples show the class that was asked for.

The recipe is the usual one for small images: shifts and flips, AdamW, a learning rate
that rises over the first fifth and falls to zero along a cosine.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, pad

from dash_repro.data.dataset import Dataset
from dash_repro.data.images import to_rgb
from dash_repro.diffusion.levels import to_model_range
from dash_repro.diffusion.noise import step_rng, step_seed
from dash_repro.evaluation.progress import LogProgress
from dash_repro.models.classifier import Classifier, ClassifierConfig, accuracy
from dash_repro.training.optimizer import kind_of
from dash_repro.training.settings import Cadence
from dash_repro.training.state import load_state, save_state
from runledger.job import Interrupted

RISE = 0.2  # share of the iterations over which the learning rate rises
_STREAM = "classifier"


def planes(images: np.ndarray) -> Tensor:
    """uint8 (N, H, H, C), grey or RGB, as uint8 (N, 3, H, H)."""
    return torch.from_numpy(to_rgb(images).transpose(0, 3, 1, 2).copy())


def augmented(images: Tensor, flip: bool, shift: int, rng: torch.Generator) -> Tensor:
    """Images moved by up to `shift` pixels, the edge repeated, and half of them turned.

    Args:
        images: uint8 (B, 3, H, H).
        flip: left and right may be exchanged.
        shift: pixels, along both axes.
        rng: of the CPU, so that every device sees the same.

    Returns:
        float32 (B, 3, H, H) in [-1, 1].
    """
    count, _, side, _ = images.shape
    offsets = torch.randint(2 * shift + 1, (2, count, 1), generator=rng)
    turned = (torch.rand(count, 1, generator=rng) < 0.5) & flip
    along = torch.arange(side).expand(count, side)
    rows, columns = offsets + along
    columns = torch.where(turned, columns.flip(1), columns)
    rows, columns = rows.to(images.device), columns.to(images.device)
    wide = pad(to_model_range(images), [shift] * 4, mode="replicate")
    which = torch.arange(count, device=images.device)[:, None, None]
    return wide[which, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def rate(step: int, iterations: int) -> float:
    """Learning rate of an iteration, as a share of the largest."""
    rise = max(1, round(RISE * iterations))
    if step < rise:
        return (step + 1) / rise
    return 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, iterations - rise)))


def train_classifier(
    dataset: Dataset,
    section: Mapping[str, Any],
    device: torch.device,
    state: Path,
    log: logging.Logger,
    stop: Callable[[], bool],
) -> tuple[Classifier, dict[str, Any]]:
    """Train on the training images, and measure on both splits; resumes by itself.

    Everything drawn in an iteration is a function of (seed, iteration), so that a
    resumed training ends in the bytes of one that was never stopped.

    Args:
        dataset: of prepare_data.
        section: train_classifier of params.yaml.
        device: from `runtime.configure`.
        state: private folder that survives a kill.
        log: of the job.
        stop: asked after every iteration; true: save and leave.

    Returns:
        The network on the CPU, and the content of accuracy.json.

    Raises:
        Interrupted: asked to stop before the end; the state is saved.
    """
    seed, iterations = section["seed"], section["iterations"]
    network = _build(section, dataset).to(device)
    optimizer = kind_of(torch.optim.AdamW, device)(
        network.parameters(),
        lr=section["learning_rate"],
        weight_decay=section["weight_decay"],
    )
    images = planes(dataset.train_images).to(device)
    labels = torch.from_numpy(dataset.train_labels).to(device)
    shift = dataset.image_size // 8
    progress, cadence = LogProgress(log, "iterations"), Cadence.from_environment()
    saved = time.monotonic()
    for step in range(_resume(network, optimizer, state, log), iterations):
        rng = step_rng(seed, step, _STREAM)
        chosen = torch.randint(len(images), (section["batch_size"],), generator=rng)
        chosen = chosen.to(device)
        batch = augmented(images[chosen], section["flip"], shift, rng)
        optimizer.param_groups[0]["lr"] = section["learning_rate"] * rate(
            step, iterations
        )
        optimizer.zero_grad(set_to_none=True)
        cross_entropy(network.train()(batch)[1], labels[chosen]).backward()
        optimizer.step()
        progress(step + 1, iterations)
        stopping = stop() and step + 1 < iterations
        if stopping or time.monotonic() - saved > cadence.save_seconds:
            save_state(state, step + 1, _tensors(network, optimizer), {})
            saved = time.monotonic()
        if stopping:
            raise Interrupted
    measured: dict[str, Any] = {"seed": seed, "iterations": iterations}
    for split in ("train", "test"):
        real, wanted = dataset.split(split)
        inputs = to_model_range(planes(real)).to(device)
        wanted = torch.from_numpy(wanted).to(device)
        found = accuracy(network, inputs, wanted, section["batch_size"])
        measured[split] = {"accuracy": found, "n": len(real)}
    return network.cpu().eval(), measured


def _build(section: Mapping[str, Any], dataset: Dataset) -> Classifier:
    """The network at its start, a function of params and seed."""
    config = ClassifierConfig.from_params(
        section, dataset.image_size, dataset.num_classes
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(step_seed(section["seed"], 0, "classifier-start"))
        return Classifier(config)


def _tensors(
    network: Classifier, optimizer: torch.optim.Optimizer
) -> dict[str, Tensor]:
    """All that the next iteration depends on."""
    kept = {f"network.{name}": value for name, value in network.state_dict().items()}
    for index, moments in optimizer.state_dict()["state"].items():
        kept |= {f"optimizer.{index}.{name}": one for name, one in moments.items()}
    return kept


def _resume(
    network: Classifier,
    optimizer: torch.optim.Optimizer,
    state: Path,
    log: logging.Logger,
) -> int:
    """Take up the saved state, if there is one; iterations done."""
    found = load_state(state, log)
    if found is None:
        return 0
    tensors, about = found
    moments: dict[int, dict[str, Tensor]] = {}
    weights = {}
    for name, value in tensors.items():
        kind, _, rest = name.partition(".")
        if kind == "network":
            weights[rest] = value
        else:
            index, _, moment = rest.partition(".")
            moments.setdefault(int(index), {})[moment] = value
    network.load_state_dict(weights)
    optimizer.load_state_dict({**optimizer.state_dict(), "state": moments})
    log.info("resuming after iteration %s", about["step"])
    return int(about["step"])
