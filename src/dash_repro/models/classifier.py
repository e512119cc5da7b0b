"""A small residual network that tells the classes of small images apart."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import relu

from dash_repro.models.checkpoint import CheckpointError
from dash_repro.models.tensorfile import REMEDY, load_tensors, save_tensors

FORMAT = "dash-repro classifier 1"


@dataclass(frozen=True)
class ClassifierConfig:
    """Its architecture.

    Attributes:
        width: channels at full resolution; each halving doubles them.
        levels: resolutions, the image's among them.
        num_classes: of the dataset.
    """

    width: int
    levels: int
    num_classes: int

    @classmethod
    def from_params(
        cls, section: Mapping[str, Any], image_size: int, num_classes: int
    ) -> ClassifierConfig:
        """Of section train_classifier: images are halved while 4 pixels remain."""
        return cls(section["width"], levels_of(image_size), num_classes)

    @property
    def channels(self) -> list[int]:
        """By level; the last is the dimension of the features."""
        return [self.width << level for level in range(self.levels)]


def levels_of(image_size: int) -> int:
    """Resolutions of the network for images of a side, in pixels: 8 has two."""
    return max(1, (image_size // 4).bit_length())


class _Block(nn.Module):
    """Two convolutions beside a shortcut (He et al. 2016)."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.main = nn.Sequential(
            nn.Conv2d(before, after, 3, stride, 1, bias=False),
            nn.BatchNorm2d(after),
            nn.ReLU(),
            nn.Conv2d(after, after, 3, 1, 1, bias=False),
            nn.BatchNorm2d(after),
        )
        self.shortcut = nn.Conv2d(before, after, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return relu(self.main(x) + self.shortcut(x))


class Classifier(nn.Module):
    """RGB images (B, 3, H, H) in [-1, 1] to features (B, D) and logits (B, classes)."""

    def __init__(self, config: ClassifierConfig) -> None:
        super().__init__()
        self.config = config
        channels = config.channels
        self.stem = nn.Sequential(
            nn.Conv2d(3, channels[0], 3, 1, 1, bias=False),
            nn.BatchNorm2d(channels[0]),
            nn.ReLU(),
            _Block(channels[0], channels[0], 1),
        )
        self.blocks = nn.Sequential(*(_Block(a, b, 2) for a, b in pairwise(channels)))
        self.head = nn.Linear(channels[-1], config.num_classes)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Features are the means over the pixels of the last block."""
        features = self.blocks(self.stem(images)).mean(dim=(2, 3))
        return features, self.head(features)


def save_classifier(path: Path | str, network: Classifier) -> None:
    """Write a network atomically; equal content gives equal bytes."""
    about = {"format": FORMAT, "network": json.dumps(asdict(network.config))}
    save_tensors(path, network.state_dict(), about)


def load_classifier(path: Path | str) -> Classifier:
    """Read a network, in eval mode and without gradients, on the CPU.

    Raises:
        CheckpointError: missing, truncated, altered, or no such network.
    """
    tensors, about = load_tensors(path, CheckpointError)
    try:
        if about["format"] != FORMAT:
            raise ValueError(f"its format is {about['format']!r}")
        network = Classifier(ClassifierConfig(**json.loads(about["network"])))
        network.load_state_dict(tensors)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise CheckpointError(
            f"not a file of train_classifier ({error})", str(path), REMEDY
        ) from None
    return network.eval().requires_grad_(False)


@torch.inference_mode()
def accuracy(network: Classifier, images: Tensor, labels: Tensor, batch: int) -> float:
    """Share of images (N, 3, H, H), in [-1, 1], whose class is recognised."""
    network.eval()
    hits = sum(
        int((network(some)[1].argmax(dim=1) == wanted).sum())
        for some, wanted in zip(images.split(batch), labels.split(batch), strict=True)
    )
    return hits / len(labels)
