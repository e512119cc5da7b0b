"""Magnitude pruning of channels: a network's largest ones as a smaller network.

Structured, after Li et al. (2017): whole channels go, ranked by the l1 norm of the
filter that makes them; along a residual path, by that of the layer that begins it. Half
the channels of the teacher at 128 with two blocks a level are 8,954,883 parameters, the
8.95M that the released README prints. (A quarter of its single weights would be 8.98M.)
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dash_repro.models.layers import Attention, ResidualBlock
from dash_repro.models.unet import NetworkError, UNet


def prune_channels(teacher: UNet, student: UNet) -> None:
    """Overwrite a network with the largest channels of a wider one.

    In every group of a GroupNorm the same share of channels stays, so that each group
    of the student is a part of the teacher's. A sinusoid of the timestep goes to the
    student's nearest frequency.

    Args:
        teacher: of the same blocks and number of groups, on the CPU.
        student: overwritten in place.

    Raises:
        NetworkError: the two differ in more than their width, or the student is wider.
    """
    own, whole = student.config, teacher.config
    kept = ("blocks", "channel_mult", "norm_groups", "image_size", "num_classes")
    wrong = [name for name in kept if getattr(own, name) != getattr(whole, name)]
    if wrong or own.width > whole.width:
        raise NetworkError(
            f"a network of {whole.width} channels cannot be pruned to {own.width}: "
            f"{', '.join(wrong) or 'the width'} would have to grow or change",
            "a block of `students` with init: pruned",
            "give it the teacher's blocks, and a smaller width with the same number "
            "of network.norm_groups",
        )
    with torch.no_grad():
        _Pruning(teacher, student).run()


class _Pruning:
    """Walks through both networks as a forward does, with the channels that stay."""

    def __init__(self, teacher: UNet, student: UNet) -> None:
        self.teacher, self.student = teacher, student
        groups = teacher.config.norm_groups
        # channels of the teacher in which so many stay, always neighbours
        self.run_length = teacher.config.width // groups
        self.stay = student.config.width // groups

    def run(self) -> None:
        """Fill every layer of the student."""
        whole, own = self.teacher, self.student
        hidden = self.largest(whole.time1.weight)
        self.emb = self.largest(whole.time2.weight)
        self.copy(whole.time1, own.time1, hidden, self.frequencies())
        self.copy(whole.time2, own.time2, self.emb, hidden)
        own.label.weight.copy_(whole.label.weight[:, self.emb])
        image = torch.arange(whole.config.channels)
        h = self.largest(whole.conv_in.weight)
        self.copy(whole.conv_in, own.conv_in, h, image)
        skips = [h]
        for level in range(len(whole.encoder)):
            for index in range(len(whole.encoder[level])):
                place = ("encoder", level, index)
                h = self.block_with_attention(place, h)
                skips.append(h)
            if level < len(whole.down):
                h = self.resample(whole.down[level], own.down[level], h)
                skips.append(h)
        h = self.block(whole.middle1, own.middle1, h)
        self.attention(whole.middle_attention, own.middle_attention, h)
        h = self.block(whole.middle2, own.middle2, h)
        for level in reversed(range(len(whole.decoder))):
            for index in range(len(whole.decoder[level])):
                joined = self.joined(h, skips.pop(), level, index)
                h = self.block_with_attention(("decoder", level, index), joined)
            if level > 0:
                h = self.resample(whole.up[level - 1], own.up[level - 1], h)
        self.norm(whole.norm_out, own.norm_out, h)
        self.copy(whole.conv_out, own.conv_out, image, h)

    def largest(self, *weights: Tensor) -> Tensor:
        """Outputs with the largest l1 norm over these layers, ascending, (kept,)."""
        norm = sum(weight.abs().flatten(1).double().sum(dim=1) for weight in weights)
        runs = norm.view(-1, self.run_length)
        order = runs.sort(dim=1, descending=True, stable=True).indices
        first = torch.arange(len(runs))[:, None] * self.run_length
        return (order[:, : self.stay].sort(dim=1).values + first).flatten()

    def frequencies(self) -> Tensor:
        """The teacher's sinusoids nearest to the student's, sines then cosines."""
        half, mine = self.teacher.config.width // 2, self.student.config.width // 2
        # frequency i of h is 10000^(-i / (h - 1))
        nearest = (torch.arange(mine) * (half - 1) / (mine - 1)).round().long()
        return torch.cat([nearest, nearest + half])

    def joined(self, h: Tensor, skip: Tensor, level: int, index: int) -> Tensor:
        """Channels of the concatenation of h and a skip."""
        total = self.teacher.decoder[level][index].norm1.num_channels
        skipped = len(skip) // self.stay * self.run_length
        return torch.cat([h, skip + total - skipped])

    def block_with_attention(self, place: tuple[str, int, int], h: Tensor) -> Tensor:
        way, level, index = place
        pairs = (
            (getattr(net, way)[level][index], getattr(net, f"{way}_attention"))
            for net in (self.teacher, self.student)
        )
        (whole, attentions), (own, own_attentions) = pairs
        h = self.block(whole, own, h)
        found = attentions[level][index]
        if isinstance(found, Attention):
            self.attention(found, own_attentions[level][index], h)
        return h

    def block(self, whole: ResidualBlock, own: ResidualBlock, h: Tensor) -> Tensor:
        """Channels after a block; they are those before it where nothing changes."""
        hidden, out = self.largest(whole.conv1.weight), h
        if isinstance(whole.skip, nn.Conv2d):
            out = self.largest(whole.skip.weight, whole.conv2.weight)
            self.copy(whole.skip, own.skip, out, h)
        self.norm(whole.norm1, own.norm1, h)
        self.copy(whole.conv1, own.conv1, hidden, h)
        self.copy(whole.emb, own.emb, hidden, self.emb)
        self.norm(whole.norm2, own.norm2, hidden)
        self.copy(whole.conv2, own.conv2, out, hidden)
        return out

    def attention(self, whole: Attention, own: Attention, h: Tensor) -> None:
        """Queries and keys are compared channel by channel: they keep the same."""
        query, key, value = whole.qkv.weight.chunk(3)
        both, mixed = self.largest(query, key), self.largest(value)
        count = len(query)
        self.norm(whole.norm, own.norm, h)
        out = torch.cat([both, both + count, mixed + 2 * count])
        self.copy(whole.qkv, own.qkv, out, h)
        self.copy(whole.out, own.out, h, mixed)

    def resample(self, whole: nn.Module, own: nn.Module, h: Tensor) -> Tensor:
        out = self.largest(whole.conv.weight)
        self.copy(whole.conv, own.conv, out, h)
        return out

    @staticmethod
    def norm(whole: nn.GroupNorm, own: nn.GroupNorm, h: Tensor) -> None:
        own.weight.copy_(whole.weight[h])
        own.bias.copy_(whole.bias[h])

    @staticmethod
    def copy(whole: nn.Module, own: nn.Module, out: Tensor, into: Tensor) -> None:
        own.weight.copy_(whole.weight[out][:, into])
        own.bias.copy_(whole.bias[out])
