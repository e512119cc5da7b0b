"""What decides the bytes of a sample set, and the label and levels of its images."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from dash_repro.diffusion.ddim import (
    Guidance,
    SamplerError,
    constant_guidance,
    tag_guidance,
)


@dataclass(frozen=True)
class Sampling:
    """What decides the bytes of a sample set, given the model.

    Attributes:
        num_samples: size of the whole set, however few of it are made here.
        num_classes: labels are 0..num_classes - 1; the null token is num_classes.
        shape: of one image, channels first.
        sampling_seed: seed of the noise.
        steps: DDIM steps K.
        guidance: "constant" or "tag".
        scale: w, or w_max of TAG.
        w_min, beta: of TAG; without effect on constant guidance.
        eta, clip_x0, use_clipped_model_output: of DDIM.
        chunk_size: images computed together.
        numerics: "fp32" or "fp16" network arithmetic; the state is float32.
        source: digest of the model's checkpoint; parts of a set are joined or reused
            only where it agrees.
    """

    num_samples: int
    num_classes: int
    shape: tuple[int, int, int]
    sampling_seed: int
    steps: int
    guidance: str
    scale: float
    w_min: float
    beta: float
    eta: float
    clip_x0: bool
    use_clipped_model_output: bool
    chunk_size: int
    numerics: str = "fp32"
    source: str = ""

    @classmethod
    def from_params(
        cls,
        params: Mapping[str, Any],
        item: Mapping[str, Any],
        num_classes: int,
        shape: tuple[int, int, int],
        source: str = "",
    ) -> Sampling:
        """From the sections `generate_samples` and `tag` and an instance's identity.

        Args:
            params: with the keys generate_samples and tag.
            item: with guidance, scale, steps, sampling_seed.
            num_classes: of the network.
            shape: of one image, channels first.
            source: digest of its checkpoint.
        """
        made, tag = params["generate_samples"], params["tag"]
        return cls(
            num_samples=int(made["num_samples"]),
            num_classes=num_classes,
            shape=shape,
            sampling_seed=int(item["sampling_seed"]),
            steps=int(item["steps"]),
            guidance=str(item["guidance"]),
            scale=float(item["scale"]),
            w_min=float(tag["w_min"]),
            beta=float(tag["beta"]),
            eta=float(made["eta"]),
            clip_x0=bool(made["clip_x0"]),
            use_clipped_model_output=bool(made["use_clipped_model_output"]),
            chunk_size=int(made["chunk_size"]),
            numerics=str(made["numerics"]),
            source=source,
        )

    def guidance_scale(self, timesteps: int) -> Guidance:
        """w as a function of the timestep."""
        if self.guidance == "constant":
            return constant_guidance(self.scale)
        if self.guidance == "tag":
            return tag_guidance(timesteps, self.w_min, self.scale, self.beta)
        raise SamplerError(
            f"unknown guidance {self.guidance!r}",
            "the sampler of this instance",
            "use constant or tag",
        )

    def identity(self) -> str:
        """All of it as text, stored with parts of the set to recognise them by."""
        return json.dumps(asdict(self), sort_keys=True)


def balanced_labels(indices: Iterable[int], num_classes: int) -> Tensor:
    """Label of image i: i mod num_classes; (N,) int64, counts differ by at most 1."""
    return torch.tensor([i % num_classes for i in indices], dtype=torch.int64)
