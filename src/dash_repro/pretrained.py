"""Using a trained network: load a checkpoint, sample from it, say what it is."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from dash_repro.diffusion.ddim import (
    Guidance,
    constant_guidance,
    ddim_sample,
    tag_guidance,
)
from dash_repro.diffusion.levels import to_uint8
from dash_repro.diffusion.noise import image_noise
from dash_repro.diffusion.schedule import Schedule
from dash_repro.models.checkpoint import Checkpoint, load_checkpoint
from dash_repro.models.precision import inference_network
from runledger.errors import UserError

BATCH_SIZE = 250  # images computed together, if nothing else is asked for


class UsageError(UserError):
    """A request that a network cannot fulfil."""


@dataclass(frozen=True)
class Model:
    """A trained teacher or student, ready to sample.

    Attributes:
        path: the checkpoint's file.
        checkpoint: what it holds.
        network: eps network on `device`: images (B, C, H, W), timesteps (B,), labels
            (B,), whose index `num_classes` is the null token.
        schedule: noise levels that it was trained with.
        device: where it computes.
    """

    path: Path
    checkpoint: Checkpoint
    network: nn.Module = field(repr=False)
    schedule: Schedule = field(repr=False)
    device: torch.device = field(repr=False)

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes; their numbers where the checkpoint has no names."""
        names = self.checkpoint.class_names
        return names or tuple(map(str, range(self.checkpoint.config.num_classes)))

    def labels_of(self, classes: Sequence[str | int] | None, n: int) -> list[int]:
        """Labels of n images: the classes in turn; all of them if None.

        Raises:
            UsageError: a class that the network does not know.
        """
        if classes is None:
            classes = range(len(self.class_names))
        if isinstance(classes, str) or not classes:
            raise UsageError(
                f"classes={classes!r} is not a list of classes",
                str(self.path),
                'for example classes=["cat", "dog"] or classes=[0, 3]',
            )
        wanted = [self._label(name) for name in classes]
        return [wanted[i % len(wanted)] for i in range(n)]

    def _label(self, name: str | int) -> int:
        names = self.class_names
        if name in names:
            return names.index(str(name))
        number = int(name) if str(name).isdecimal() else -1
        if 0 <= number < len(names):
            return number
        near = difflib.get_close_matches(str(name), names, 1)
        raise UsageError(
            f"this network has no class {name!r}"
            + (f"; did you mean {near[0]!r}?" if near else ""),
            str(self.path),
            f"its classes are {', '.join(names)}",
        )

    def sample(
        self,
        n: int = 16,
        classes: Sequence[str | int] | None = None,
        *,
        w: float = 4.0,
        steps: int = 50,
        seed: int = 0,
        guidance: str = "constant",
        output: str = "pil",
        batch_size: int = BATCH_SIZE,
        progress: Callable[[int, int], None] | None = None,
    ) -> Any:
        """Draw images by guided DDIM (eta = 0, x0 clamped).

        Image i depends on (seed, i) and its class, not on how many are drawn; the last
        bits may depend on the batch size.

        Args:
            n: how many images.
            classes: names or numbers, taken in turn; None: all classes in turn.
            w: guidance scale (w_max of TAG); 0 samples without the label.
            steps: DDIM steps, a divisor of the schedule's timesteps.
            seed: of the starting noise.
            guidance: "constant", or "tag" for Eq. 3 with w_min 1 and beta 5.
            output: "pil" for a list of PIL images, "array" for uint8 (n, H, W, 3).
            batch_size: images computed together.
            progress: called with (images done, n) after each batch.

        Raises:
            UsageError: an unknown class, guidance or output, or n below 1.
            SamplerError: steps that do not divide the timesteps.
        """
        _require(n >= 1, f"n={n} images cannot be drawn", "ask for one or more")
        known = output in ("pil", "array")
        _require(known, f"output={output!r} is unknown", 'use "pil" or "array"')
        labels = torch.tensor(self.labels_of(classes, n))
        scale = self._guidance(guidance, w)
        parts = []
        for first in range(0, n, batch_size):
            indices = range(first, min(first + batch_size, n))
            images = self._batch(indices, labels[list(indices)], seed, steps, scale)
            parts.append(to_uint8(images))
            if progress is not None:
                progress(indices.stop, n)
        return _as(output, np.concatenate(parts))

    def _batch(
        self,
        indices: range,
        labels: Tensor,
        seed: int,
        steps: int,
        guidance: Guidance,
    ) -> Tensor:
        config = self.checkpoint.config
        noise = image_noise(seed, indices, config.image_shape).to(self.device)
        return ddim_sample(
            self.network,
            self.schedule,
            noise,
            labels,
            config.num_classes,
            steps,
            guidance,
            use_clipped_model_output=True,
        )

    def _guidance(self, name: str, w: float) -> Guidance:
        if name == "constant":
            return constant_guidance(w)
        remedy = "use one of ['constant', 'tag']"
        _require(name == "tag", f"guidance={name!r} is unknown", remedy)
        return tag_guidance(self.schedule.timesteps, 1.0, w, 5.0)


def load(path: Path | str, device: torch.device | str | None = None) -> Model:
    """Load a trained network; nothing in the file is executed.

    Args:
        path: a model.safetensors of train_teacher or train_student.
        device: where to compute; None: the GPU where there is one, else the CPU.

    Raises:
        CheckpointError: missing, truncated, altered, or not written by this project.
    """
    path = Path(path)
    checkpoint = load_checkpoint(path)
    if device is None:
        device = "cuda" if torch.cuda.is_available() else "cpu"
    device = torch.device(device)
    network = inference_network(checkpoint.model, "fp32", device)
    schedule = Schedule.from_params(checkpoint.schedule)
    return Model(path, checkpoint, network, schedule, device)


def _require(condition: bool, what: str, remedy: str) -> None:
    if not condition:
        raise UsageError(what, "sample", remedy)


def _as(output: str, images: np.ndarray) -> Any:
    if output == "array":
        return images
    from PIL import Image

    grey = images.shape[3] == 1
    return [Image.fromarray(image[..., 0] if grey else image) for image in images]
