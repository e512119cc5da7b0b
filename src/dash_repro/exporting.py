"""A network as a file that needs torch alone, with a sampler and a model card."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from dash_repro.describe import describe_checkpoint, describe_text
from dash_repro.diffusion.schedule import Schedule
from dash_repro.models.checkpoint import load_checkpoint
from runledger import write_atomic

NETWORK, SETTINGS = "network.pt2", "settings.json"
SAMPLER, CARD = "sample.py", "README.md"
FILES = Path(__file__).parent / "export"  # what an export gets beside the network


class _Eager(nn.Module):
    """The network under the names of its inputs."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor, t: Tensor, y: Tensor) -> Tensor:
        return self.network(x, t, y)


def export_model(checkpoint: Path, folder: Path) -> list[Path]:
    """Write network.pt2, settings.json, sample.py and README.md.

    Args:
        checkpoint: a model.safetensors.
        folder: where to write; made if it is not there.

    Returns:
        The files.

    Raises:
        CheckpointError: missing, damaged, or not one of ours.
    """
    loaded = load_checkpoint(checkpoint)
    schedule = Schedule.from_params(loaded.schedule)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    shape = loaded.config.image_shape
    torch.export.save(_program(loaded.model, shape), folder / NETWORK)
    settings = {
        "shape": shape,
        "num_classes": loaded.config.num_classes,
        "class_names": list(loaded.class_names),
        "alpha_bar": schedule.alpha_bar.tolist(),
    }
    write_atomic(folder / SETTINGS, json.dumps(settings) + "\n")
    write_atomic(folder / SAMPLER, (FILES / SAMPLER).read_text(encoding="utf-8"))
    write_atomic(folder / CARD, _card(checkpoint, schedule, loaded.role))
    return [folder / name for name in (NETWORK, SETTINGS, SAMPLER, CARD)]


def _program(model: nn.Module, shape: tuple[int, ...]) -> Any:
    """The exported graph, for any batch of two or more."""
    batch = torch.export.Dim("batch", min=2)
    example = (torch.zeros(4, *shape), torch.zeros(4).long(), torch.zeros(4).long())
    sizes = ({0: batch}, {0: batch}, {0: batch})
    return torch.export.export(_Eager(model), example, dynamic_shapes=sizes)


def _card(checkpoint: Path, schedule: Schedule, role: str) -> str:
    found = describe_checkpoint(checkpoint)
    named = found.get("record", {}).get("instance", Path(checkpoint).name)
    return (
        (FILES / "card.md")
        .read_text(encoding="utf-8")
        .format(
            title=named,
            role=role.capitalize(),
            last=schedule.timesteps - 1,
            null=found["network"]["num_classes"],
            facts=describe_text(found),
        )
    )
