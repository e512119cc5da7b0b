"""The Inception network of FID and IS: NVIDIA's TorchScript file, as clean-fid uses it.

Features are clean-fid's, bit for bit at the same batch size; probabilities come from
the same pass.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from cleanfid.resize import build_resizer
from torch import Tensor

from dash_repro.evaluation.errors import EvaluationError, WeightsError
from dash_repro.evaluation.extractors import Extractor
from dash_repro.evaluation.weights import ensure_weights

# CIFAR papers' FID is the first; the other resizes with antialiasing and is about a
# point away, so it goes by clean-fid's name.
MODES = {"legacy_tensorflow": "", "clean": "clean-"}
DIMENSION = 2048
SIDE = 299
_TOLERANCE = 1e-4


def build_inception(config: Mapping[str, Any], device: torch.device) -> Extractor:
    """Load the network of section `extractor` of params.yaml.

    Args:
        config: `mode`, `weights_path`, `weights_url`, `weights_sha256`.

    Raises:
        EvaluationError: unknown mode.
        WeightsError: the file is missing, wrong, or not the network it should be.
    """
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
        frechet_name=f"{prefix}FID",
        inception_score_name=f"{prefix}IS",
        kid_name=f"{prefix}KID",
        dimension=DIMENSION,
        resize=build_resizer(mode),
        forward=network,
    )


def _load(path: Path, device: torch.device) -> torch.jit.ScriptModule:
    try:
        with warnings.catch_warnings():
            # TorchScript is deprecated; the file that everybody's FID uses is not.
            warnings.simplefilter("ignore", DeprecationWarning)
            return torch.jit.load(str(path), map_location=device).eval()
    except (RuntimeError, ValueError) as error:
        raise WeightsError(
            f"not a TorchScript file: {error}", str(path), "delete it and run again"
        ) from None


class Inception:
    """Features and probabilities of one pass through the TorchScript network.

    Args:
        network: with `layers`, `output` and the keywords return_features and
            no_output_bias.
        resize_inside: the network resizes as TensorFlow did (legacy_tensorflow);
            otherwise images come as 299 x 299.
    """

    def __init__(self, network: torch.jit.ScriptModule, resize_inside: bool) -> None:
        self.network, self.resize_inside = network, resize_inside

    def __call__(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Features (B, 2048) and probabilities (B, 1008) of images in 0..255."""
        # The profiling executor may compile a call differently from the one before:
        # results would depend on how many instances shared the process.
        with torch.jit.optimized_execution(False):
            if self.resize_inside:
                features = self.network(images, return_features=True)
            else:
                features = self.network.layers((images - 128) / 128)
        features = features.view(len(images), DIMENSION)
        # Without the bias, as in the original IS: what no_output_bias=True gives.
        logits = features @ self.network.output.weight.T
        return features, logits.softmax(dim=1)

    @torch.no_grad()
    def check(self, path: Path) -> None:
        """Compare the probabilities with the network's own, on one image.

        Raises:
            WeightsError: another network than expected.
        """
        try:
            weight = self.network.output.weight
            levels = torch.arange(SIDE * SIDE * 3, device=weight.device) % 256
            probe = levels.reshape(1, 3, SIDE, SIDE).float()
            expected = self.network(probe, no_output_bias=True)
            agrees = torch.allclose(self(probe)[1], expected, atol=_TOLERANCE)
        except (RuntimeError, AttributeError) as error:
            agrees, reason = False, str(error).strip().splitlines()[-1]
        else:
            reason = "its probabilities are not those of its features"
        if not agrees:
            raise WeightsError(
                f"not the Inception network that FID needs: {reason}",
                str(path),
                "use the file of extractor.weights_url with its published sha256",
            )
