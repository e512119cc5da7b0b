"""The network of inception-2015-12-05.pt: features and probabilities of one pass."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from dash_repro.evaluation.errors import WeightsError

DIMENSION = 2048
SIDE = 299
_TOLERANCE = 1e-4


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
