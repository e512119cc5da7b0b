"""The network once more, written plainly: the reference of speed and of the gates.

Shares no code with src/dash_repro; only parameter names are alike, so that weights can
be carried over. Attention is three convolutions and a softmax.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class PlainBlock(nn.Module):
    """Residual block (Section 3.4)."""

    def __init__(self, cin: int, cout: int, emb: int, config) -> None:
        super().__init__()
        groups, eps = config.norm_groups, config.norm_eps
        self.norm1 = nn.GroupNorm(groups, cin, eps)
        self.conv1 = nn.Conv2d(cin, cout, 3, padding=1)
        self.emb = nn.Linear(emb, cout)
        self.norm2 = nn.GroupNorm(groups, cout, eps)
        self.drop = nn.Dropout(config.dropout)
        self.conv2 = nn.Conv2d(cout, cout, 3, padding=1)
        self.skip = nn.Conv2d(cin, cout, 1) if cin != cout else nn.Identity()

    def forward(self, x: Tensor, emb: Tensor) -> Tensor:
        h = self.conv1(F.silu(self.norm1(x)))
        h = h + self.emb(F.silu(emb))[:, :, None, None]
        return self.conv2(self.drop(F.silu(self.norm2(h)))) + self.skip(x)


class PlainAttention(nn.Module):
    """softmax(q k / sqrt(C)) v over pixels, with a residual connection."""

    def __init__(self, channels: int, config) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(config.norm_groups, channels, config.norm_eps)
        self.q = nn.Conv2d(channels, channels, 1)
        self.k = nn.Conv2d(channels, channels, 1)
        self.v = nn.Conv2d(channels, channels, 1)
        self.out = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        b, c, height, width = x.shape
        h = self.norm(x)
        q, k, v = (f(h).reshape(b, c, -1) for f in (self.q, self.k, self.v))
        scores = torch.einsum("bci,bcj->bij", q, k) / math.sqrt(c)
        mixed = torch.einsum("bij,bcj->bci", scores.softmax(dim=2), v)
        return x + self.out(mixed.reshape(b, c, height, width))


class PlainUNet(nn.Module):
    """The UNet of Section 3.4 for a `UNetConfig`."""

    def __init__(self, config) -> None:
        super().__init__()
        self.config = config
        width, emb = config.width, 4 * config.width
        sizes = [config.image_size // 2**i for i in range(len(config.channel_mult))]
        self.time1, self.time2 = nn.Linear(width, emb), nn.Linear(emb, emb)
        self.label = nn.Embedding(config.num_classes + 1, emb)
        self.conv_in = nn.Conv2d(3, width, 3, padding=1)
        self.encoder, self.decoder = nn.ModuleDict(), nn.ModuleDict()
        self.down, self.up = nn.ModuleDict(), nn.ModuleDict()
        channels, stack = width, [width]
        for level, (size, mult) in enumerate(
            zip(sizes, config.channel_mult, strict=True)
        ):
            for index in range(config.blocks):
                self._add(self.encoder, level, index, channels, width * mult, size)
                channels = width * mult
                stack.append(channels)
            if level + 1 < len(sizes):
                self.down[str(level)] = nn.Conv2d(channels, channels, 3, stride=2)
                stack.append(channels)
        self.middle1 = PlainBlock(channels, channels, emb, config)
        self.middle_attention = PlainAttention(channels, config)
        self.middle2 = PlainBlock(channels, channels, emb, config)
        for level in range(len(sizes) - 1, -1, -1):
            wanted = width * config.channel_mult[level]
            for index in range(config.blocks + 1):
                cin = channels + stack.pop()
                self._add(self.decoder, level, index, cin, wanted, sizes[level])
                channels = wanted
            if level:
                self.up[str(level)] = nn.Conv2d(channels, channels, 3, padding=1)
        self.norm_out = nn.GroupNorm(config.norm_groups, channels, config.norm_eps)
        self.conv_out = nn.Conv2d(channels, 3, 3, padding=1)

    def _add(
        self, where: nn.ModuleDict, level: int, index: int, cin: int, cout: int, size
    ) -> None:
        config = self.config
        where[f"{level}_{index}"] = PlainBlock(cin, cout, 4 * config.width, config)
        if size == config.attention_resolution:
            where[f"{level}_{index}_attention"] = PlainAttention(cout, config)

    def _run(self, where: nn.ModuleDict, level: int, index: int, h: Tensor, emb):
        h = where[f"{level}_{index}"](h, emb)
        key = f"{level}_{index}_attention"
        return where[key](h) if key in where else h

    def forward(self, x: Tensor, t: Tensor, y: Tensor) -> Tensor:
        """eps of x (B, 3, H, W), t (B,), y (B,)."""
        config = self.config
        half, levels = config.width // 2, len(config.channel_mult)
        exponents = torch.arange(half, device=x.device, dtype=x.dtype) / (half - 1)
        angles = t.to(x.dtype)[:, None] * 10000.0**-exponents
        emb = torch.cat([torch.sin(angles), torch.cos(angles)], dim=1)
        emb = self.time2(F.silu(self.time1(emb))) + self.label(y)
        h = self.conv_in(x)
        stack = [h]
        for level in range(levels):
            for index in range(config.blocks):
                h = self._run(self.encoder, level, index, h, emb)
                stack.append(h)
            if level + 1 < levels:
                h = self.down[str(level)](F.pad(h, (0, 1, 0, 1)))
                stack.append(h)
        h = self.middle2(self.middle_attention(self.middle1(h, emb)), emb)
        for level in range(levels - 1, -1, -1):
            for index in range(config.blocks + 1):
                h = torch.cat([h, stack.pop()], dim=1)
                h = self._run(self.decoder, level, index, h, emb)
            if level:
                h = self.up[str(level)](F.interpolate(h, scale_factor=2))
        return self.conv_out(F.silu(self.norm_out(h)))


def plain_like(model) -> PlainUNet:
    """A PlainUNet with the weights of a `dash_repro` UNet, on its device."""
    plain = PlainUNet(model.config)
    found = {}
    for name, value in model.state_dict().items():
        for new, part in _renamed(name, value):
            found[new] = part
    plain.load_state_dict(found)
    return plain.to(next(model.parameters()).device)


def _renamed(name: str, value: Tensor) -> list[tuple[str, Tensor]]:
    parts = name.split(".")
    if parts[0] in ("encoder", "decoder"):
        parts[:3] = [parts[0], f"{parts[1]}_{parts[2]}"]
    elif parts[0] in ("encoder_attention", "decoder_attention"):
        place = parts[0].removesuffix("_attention")
        parts[:3] = [place, f"{parts[1]}_{parts[2]}_attention"]
    elif parts[0] == "down":
        parts = ["down", parts[1], parts[3]]
    elif parts[0] == "up":
        parts = ["up", str(int(parts[1]) + 1), parts[3]]
    if "qkv" not in parts:
        return [(".".join(parts), value)]
    at = parts.index("qkv")
    return [
        (".".join([*parts[:at], letter, *parts[at + 1 :]]), part)
        for letter, part in zip("qkv", value.chunk(3), strict=True)
    ]
