"""Layers of the UNet (Section 3.4)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def timestep_embedding(t: Tensor, width: int) -> Tensor:
    """Sine then cosine of t exp(-log(10000) i / (h - 1)), i < h = width / 2.

    Args:
        t: (B,) timesteps.
        width: an even number of at least 4.

    Returns:
        (B, width) float32.
    """
    half = width // 2
    index = torch.arange(half, dtype=torch.float32, device=t.device)
    angles = t.float()[:, None] * torch.exp(-math.log(10000.0) / (half - 1) * index)
    return torch.cat([angles.sin(), angles.cos()], dim=1)


class Norm(nn.GroupNorm):
    """GroupNorm whose statistics are float32 whatever the precision around it."""

    def forward(self, x: Tensor) -> Tensor:
        if x.dtype not in (torch.float16, torch.bfloat16):
            return super().forward(x)
        weight, bias = self.weight.float(), self.bias.float()
        h = F.group_norm(x.float(), self.num_groups, weight, bias, self.eps)
        return h.to(x.dtype)


class Dropout(nn.Module):
    """Dropout that can draw its masks from a generator of its own.

    With `generator` set, masks depend on that generator alone, so that models trained
    side by side do not disturb each other's; without, on torch's global one. With
    `drawn` set, that is the mask: see `DropoutMasks`.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p
        self.generator: torch.Generator | None = None
        self.drawn: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.p == 0.0:
            return x
        if self.drawn is not None:
            return x * self.drawn.to(x.dtype).div_(1.0 - self.p)
        keep = torch.empty_like(x).bernoulli_(1.0 - self.p, generator=self.generator)
        return x * keep.div_(1.0 - self.p)


class DropoutMasks:
    """The masks of all dropout layers of a network, drawn before its forward.

    A compiled network cannot draw from a generator of its own. The draws are those
    that the layers would make, in the same order.

    Args:
        model: its dropout layers' `drawn` is set; called as model(x, t, y).
        example: inputs of one image; only their shapes matter.
        rows: images in each later forward.
        generator: what to draw from.
    """

    def __init__(
        self,
        model: nn.Module,
        example: tuple[Tensor, ...],
        rows: int,
        generator: torch.Generator,
    ) -> None:
        self.generator = generator
        self.layers: list[Dropout] = []

        def place(layer: Dropout, inputs: tuple[Tensor, ...]) -> None:
            shape, device = inputs[0].shape[1:], inputs[0].device
            layer.drawn = torch.empty((rows, *shape), dtype=torch.bool, device=device)
            self.layers.append(layer)

        layers = [part for part in model.modules() if isinstance(part, Dropout)]
        hooks = [layer.register_forward_pre_hook(place) for layer in layers]
        training = model.training
        with torch.no_grad():
            model.eval()(*example)
        model.train(training)
        for hook in hooks:
            hook.remove()

    def draw(self) -> None:
        """Draw new dropout masks into the buffers of the earlier ones."""
        for layer in self.layers:
            if layer.p > 0.0:
                layer.drawn.bernoulli_(1.0 - layer.p, generator=self.generator)


class ResidualBlock(nn.Module):
    """Norm - SiLU - conv; plus embedding; Norm - SiLU - dropout - conv; plus skip."""

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        emb_channels: int,
        dropout: float,
        groups: int,
        eps: float,
    ) -> None:
        super().__init__()
        self.norm1 = Norm(groups, channels_in, eps)
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, padding=1)
        self.emb = nn.Linear(emb_channels, channels_out)
        self.norm2 = Norm(groups, channels_out, eps)
        self.dropout = Dropout(dropout)
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, padding=1)
        same = channels_in == channels_out
        self.skip = nn.Identity() if same else nn.Conv2d(channels_in, channels_out, 1)

    def forward(self, x: Tensor, emb: Tensor) -> Tensor:
        """x (B, in, H, W), emb (B, E) already through SiLU -> (B, out, H, W)."""
        h = self.conv1(F.silu(self.norm1(x)))
        h = h + self.emb(emb)[:, :, None, None]
        h = self.conv2(self.dropout(F.silu(self.norm2(h))))
        return self.skip(x) + h


class Attention(nn.Module):
    """Single-head self-attention over pixels, with a residual connection.

    One 1x1 convolution makes q, k and v; scores are scaled by 1 / sqrt(C).
    """

    def __init__(self, channels: int, groups: int, eps: float) -> None:
        super().__init__()
        self.norm = Norm(groups, channels, eps)
        self.qkv = nn.Conv2d(channels, 3 * channels, 1)
        self.out = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        batch, channels, height, width = x.shape
        # pixels by channels in memory, without which fused attention is not chosen
        qkv = self.qkv(self.norm(x)).flatten(2).transpose(1, 2).contiguous()
        # The view writes the pixels' stride anew: a map of one pixel keeps any stride,
        # and CUDA's memory-efficient attention has no kernel for a stride of 1.
        qkv = qkv.view(batch, height * width, 3 * channels)
        # one head: (B, 1, pixels, C) each
        q, k, v = (part.unsqueeze(1) for part in qkv.chunk(3, dim=2))
        mixed = F.scaled_dot_product_attention(q, k, v).squeeze(1)
        return x + self.out(
            mixed.transpose(1, 2).reshape(batch, channels, height, width)
        )


class Downsample(nn.Module):
    """Stride-2 convolution on input padded by one at the right and the bottom."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H / 2, W / 2)."""
        return self.conv(F.pad(x, (0, 1, 0, 1)))


def double(x: Tensor) -> Tensor:
    """Nearest-neighbour doubling, (B, C, H, W) -> (B, C, 2 H, 2 W).

    Inductor takes `interpolate` apart into an indexing whose deterministic gradient
    sorts and adds one index after the other (a sixth of a compiled step on an H100).
    That of a repetition is a sum. The values are the same.
    """
    if not torch.compiler.is_compiling():
        return F.interpolate(x, scale_factor=2.0, mode="nearest")
    batch, channels, height, width = x.shape
    last = x.permute(0, 2, 3, 1)[:, :, None, :, None]  # compiled maps lie so in memory
    repeated = last.expand(-1, -1, 2, -1, 2, -1)
    doubled = repeated.reshape(batch, 2 * height, 2 * width, channels)
    return doubled.permute(0, 3, 1, 2)


class Upsample(nn.Module):
    """Nearest-neighbour doubling, then a convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, 2 H, 2 W)."""
        return self.conv(double(x))
