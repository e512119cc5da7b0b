"""The Inception network of FID and IS: NVIDIA's TorchScript file, as clean-fid uses it.

Features are clean-fid's, bit for bit at the same batch size; probabilities come from
the same pass.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dash_repro.evaluation.errors import EvaluationError, WeightsError
from dash_repro.evaluation.extractor import Extractor, extractor

if TYPE_CHECKING:
    import torch

# CIFAR papers' FID is the first; the other resizes with antialiasing and is about a
# point away, so it goes by clean-fid's name.
MODES = {"legacy_tensorflow": "", "clean": "clean-"}


@extractor("inception", flop=11.4e9)
def build_inception(config: Mapping[str, Any], device: torch.device) -> Extractor:
    """Load the network of section `extractor` of params.yaml.

    Args:
        config: `mode`, `weights_path`, `weights_url`, `weights_sha256`.

    Raises:
        EvaluationError: unknown mode.
        WeightsError: the file is missing, wrong, or not the network it should be.
    """
    from cleanfid.resize import build_resizer

    from dash_repro.evaluation.inception_network import DIMENSION, Inception
    from dash_repro.evaluation.weights import ensure_weights

    mode = config["mode"]
    if mode not in MODES:
        raise EvaluationError(
            f"unknown mode {mode!r}",
            "extractor.mode in params.yaml",
            f"use one of {', '.join(sorted(MODES))}",
        )
    path = ensure_weights(
        config["weights_path"], config["weights_url"], config["weights_sha256"]
    )
    network = Inception(_load(path, device), mode == "legacy_tensorflow")
    network.check(path)
    prefix = MODES[mode]
    return Extractor(
        name="inception",
        identity=f"inception {mode} {config['weights_sha256']}",
        naming=f"{prefix}{{label}}",
        dimension=DIMENSION,
        resize=build_resizer(mode),
        forward=network,
    )


def _load(path: Path, device: torch.device) -> torch.jit.ScriptModule:
    import torch

    try:
        with warnings.catch_warnings():
            # TorchScript is deprecated; the file that everybody's FID uses is not.
            warnings.simplefilter("ignore", DeprecationWarning)
            return torch.jit.load(str(path), map_location=device).eval()
    except (RuntimeError, ValueError) as error:
        raise WeightsError(
            f"not a TorchScript file: {error}", str(path), "delete it and run again"
        ) from None
