"""The UNet that teacher and students share (Sections 3.3, 3.4)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dash_repro.models.layers import (
    Attention,
    Downsample,
    Dropout,
    Norm,
    ResidualBlock,
    Upsample,
    timestep_embedding,
)
from runledger.errors import UserError


class NetworkError(UserError):
    """A network that cannot be built from its params."""


@dataclass(frozen=True)
class UNetConfig:
    """Everything that determines a UNet's architecture.

    Attributes:
        width: base channels, even.
        blocks: residual blocks a level.
        num_classes: classes; one more embedding row is the null token.
        channel_mult: width multipliers, one per resolution, finest first.
        attention_resolution: side of the maps that get self-attention.
        dropout: rate within residual blocks.
        norm_groups: GroupNorm groups, a divisor of the width.
        norm_eps: GroupNorm epsilon.
        image_size: side of the images in pixels.
        channels: of the images; 3 in checkpoints that do not say.
    """

    width: int
    blocks: int
    num_classes: int
    channel_mult: tuple[int, ...]
    attention_resolution: int
    dropout: float
    norm_groups: int
    norm_eps: float
    image_size: int
    channels: int = 3

    def __post_init__(self) -> None:
        halvings = 2 ** (len(self.channel_mult) - 1)
        remedy = "see sections `network`, `train_teacher`, `train_student`"
        if self.image_size % halvings or self.image_size < halvings:
            raise NetworkError(
                f"images of {self.image_size} pixels cannot be halved "
                f"{len(self.channel_mult) - 1} times",
                "prepare_data.<dataset>.image_size, network.channel_mult",
                f"choose a multiple of {halvings}",
            )
        if self.width < 4 or self.width % 2 or self.blocks < 1:
            raise NetworkError(
                f"width {self.width} with {self.blocks} blocks is not a network",
                "params.yaml",
                f"an even width of at least 4 and one block or more; {remedy}",
            )

    @classmethod
    def from_params(
        cls,
        network: Mapping[str, Any],
        width: int,
        blocks: int,
        num_classes: int,
        image_size: int,
        channels: int = 3,
    ) -> UNetConfig:
        """The network of params.yaml's section `network` at one width.

        Raises:
            NetworkError: no listed group count divides the width, or the sizes clash.
        """
        return cls(
            width=int(width),
            blocks=int(blocks),
            num_classes=int(num_classes),
            channel_mult=tuple(int(mult) for mult in network["channel_mult"]),
            attention_resolution=int(network["attention_resolution"]),
            dropout=float(network["dropout"]),
            norm_groups=select_norm_groups(width, network["norm_groups"]),
            norm_eps=float(network["norm_eps"]),
            image_size=int(image_size),
            channels=int(channels),
        )

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Shape of one image, channels first."""
        return self.channels, self.image_size, self.image_size

    @property
    def resolutions(self) -> tuple[int, ...]:
        """Sides of the feature maps, finest first."""
        return tuple(self.image_size >> i for i in range(len(self.channel_mult)))


def select_norm_groups(width: int, candidates: Sequence[int]) -> int:
    """The first of the candidates that divides the width.

    Raises:
        NetworkError: none does.
    """
    for groups in candidates:
        if width % groups == 0:
            return int(groups)
    raise NetworkError(
        f"no group count of {list(candidates)} divides the width {width}",
        "network.norm_groups in params.yaml",
        "add a divisor of the width to the list, or choose another width",
    )


def _embedding(rows: int, width: int) -> nn.Embedding:
    """Vectors that start from N(0, 1).

    On the meta device, where nothing has values, normal_ imports torch's compiler: a
    second of every program that loads a network.
    """
    weight = torch.empty(rows, width)
    if not weight.is_meta:
        nn.init.normal_(weight)
    return nn.Embedding.from_pretrained(weight, freeze=False)


class UNet(nn.Module):
    """Predicts the noise in x_t given timestep and label, eps_theta(x_t, t, y)."""

    def __init__(self, config: UNetConfig) -> None:
        super().__init__()
        self.config = config
        self.null_token = config.num_classes
        self.memory_format = torch.preserve_format  # of the images
        width, emb = config.width, 4 * config.width
        self.time1 = nn.Linear(width, emb)
        self.time2 = nn.Linear(emb, emb)
        self.label = _embedding(config.num_classes + 1, emb)
        self.conv_in = nn.Conv2d(config.channels, width, 3, padding=1)
        skips = self._build_encoder()
        channels = width * config.channel_mult[-1]
        self.middle1 = self._block(channels, channels)
        self.middle_attention = self._attention(channels)
        self.middle2 = self._block(channels, channels)
        self._build_decoder(channels, skips)
        self.norm_out = Norm(config.norm_groups, width, config.norm_eps)
        self.conv_out = nn.Conv2d(width, config.channels, 3, padding=1)

    def forward(
        self, x: Tensor, t: Tensor, y: Tensor, features: bool = False
    ) -> Tensor | tuple[Tensor, dict[str, Tensor]]:
        """Predicted noise.

        Args:
            x: (B, C, H, W) noisy images, C = config.channels, H = W = image_size.
            t: (B,) int64 timesteps.
            y: (B,) int64 labels; `null_token` gives the unconditional branch.
            features: also return the last feature map of every resolution on the way
                down ("enc_32", ...) and up ("dec_32", ...).

        Returns:
            (B, C, H, W) of conv_out's type (float32), or that and the maps.
        """
        emb = self._embed(t, y)
        kernel, layout = self.conv_in.weight, self.memory_format
        h = self.conv_in(x.to(kernel.dtype, memory_format=layout))
        # an image of one channel does not tell its layout: nothing to do for others
        h = h.to(memory_format=layout)
        skips, maps = [h], {}
        for level, side in enumerate(self.config.resolutions):
            for block, attention in zip(
                self.encoder[level], self.encoder_attention[level], strict=True
            ):
                h = attention(block(h, emb))
                skips.append(h)
            maps[f"enc_{side}"] = h
            if level < len(self.down):
                h = self.down[level](h)
                skips.append(h)
        h = self.middle2(self.middle_attention(self.middle1(h, emb)), emb)
        for level in reversed(range(len(self.config.resolutions))):
            for block, attention in zip(
                self.decoder[level], self.decoder_attention[level], strict=True
            ):
                h = attention(block(torch.cat([h, skips.pop()], dim=1), emb))
            maps[f"dec_{self.config.resolutions[level]}"] = h
            if level > 0:
                h = self.up[level - 1](h)
        eps = self._output(h)
        return (eps, maps) if features else eps

    def use_channels_last(self, own_kernels: bool = True) -> None:
        """Lay images, maps and kernels out channels last (dash_repro.launch says when).

        Args:
            own_kernels: False leaves the kernels to the caller, who owns their memory.
        """
        self.memory_format = torch.channels_last
        if own_kernels:
            self.to(memory_format=torch.channels_last)

    def set_dropout_generator(self, generator: torch.Generator | None) -> None:
        """Make every dropout layer draw from this generator (None: torch's own)."""
        for module in self.modules():
            if isinstance(module, Dropout):
                module.generator = generator

    def _embed(self, t: Tensor, y: Tensor) -> Tensor:
        """SiLU of the sum of timestep and class embeddings, (B, 4 width)."""
        emb = timestep_embedding(t, self.config.width).to(self.time1.weight.dtype)
        emb = self.time2(F.silu(self.time1(emb)))
        return F.silu(emb + self.label(y))

    def _output(self, h: Tensor) -> Tensor:
        """Norm - SiLU - conv; float32, for the guidance scale amplifies its errors."""
        h = F.silu(self.norm_out(h)).to(self.conv_out.weight.dtype)
        with torch.autocast(h.device.type, enabled=False):
            return self.conv_out(h)

    def _block(self, channels_in: int, channels_out: int) -> ResidualBlock:
        config = self.config
        return ResidualBlock(
            channels_in,
            channels_out,
            4 * config.width,
            config.dropout,
            config.norm_groups,
            config.norm_eps,
        )

    def _attention(self, channels: int) -> Attention:
        return Attention(channels, self.config.norm_groups, self.config.norm_eps)

    def _attention_at(self, side: int, channels: int) -> nn.Module:
        if side == self.config.attention_resolution:
            return self._attention(channels)
        return nn.Identity()

    def _build_encoder(self) -> list[int]:
        """Make the way down; returns the channels of the skips, in order."""
        config = self.config
        self.encoder, self.encoder_attention = nn.ModuleList(), nn.ModuleList()
        self.down = nn.ModuleList()
        channels = config.width
        skips = [channels]
        for level, side in enumerate(config.resolutions):
            wanted = config.width * config.channel_mult[level]
            blocks, attentions = nn.ModuleList(), nn.ModuleList()
            for _ in range(config.blocks):
                blocks.append(self._block(channels, wanted))
                attentions.append(self._attention_at(side, wanted))
                channels = wanted
                skips.append(channels)
            self.encoder.append(blocks)
            self.encoder_attention.append(attentions)
            if level < len(config.resolutions) - 1:
                self.down.append(Downsample(channels))
                skips.append(channels)
        return skips

    def _build_decoder(self, channels: int, skips: list[int]) -> None:
        """Make the way up; level i of each list is the i-th resolution, finest 0."""
        config = self.config
        levels = []
        for level in reversed(range(len(config.resolutions))):
            wanted = config.width * config.channel_mult[level]
            blocks, attentions = nn.ModuleList(), nn.ModuleList()
            for _ in range(config.blocks + 1):
                blocks.append(self._block(channels + skips.pop(), wanted))
                attentions.append(self._attention_at(config.resolutions[level], wanted))
                channels = wanted
            up = Upsample(channels) if level > 0 else None
            levels.append((blocks, attentions, up))
        levels.reverse()
        self.decoder = nn.ModuleList(blocks for blocks, _, _ in levels)
        self.decoder_attention = nn.ModuleList(attention for _, attention, _ in levels)
        self.up = nn.ModuleList(up for _, _, up in levels if up is not None)


def build_unet(config: UNetConfig, seed: int, null_init_std: float = 1.0) -> UNet:
    """A new UNet whose initial weights are a function of the seed.

    Args:
        config: the architecture.
        seed: the training seed.
        null_init_std: standard deviation of the null token's initial embedding.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = UNet(config)
    with torch.no_grad():
        model.label.weight[model.null_token] *= null_init_std
    return model
