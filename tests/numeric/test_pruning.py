"""Pruned channels against a mask on the whole network, found layer by layer."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from dash_repro.models.layers import Attention, ResidualBlock
from dash_repro.models.pruning import prune_channels
from dash_repro.models.unet import NetworkError, UNetConfig, build_unet

WHOLE = UNetConfig(16, 2, 3, (1, 2, 2), 4, 0.0, 4, 1e-6, 8)
OWN = UNetConfig(12, 2, 3, (1, 2, 2), 4, 0.0, 4, 1e-6, 8)
RUN, STAY = 4, 3  # of each 4 neighbours 3 stay


def both():
    teacher = build_unet(WHOLE, 1).double().eval()
    for index, module in enumerate(teacher.modules()):
        if isinstance(module, nn.GroupNorm):
            # the number of its channel tells where a weight came from
            with torch.no_grad():
                module.weight.copy_(torch.arange(len(module.weight)) + 1000 * index)
    student = build_unet(OWN, 2).double().eval()
    prune_channels(teacher, student)
    return teacher, student


def mask_of(*weights):
    """1 where one of the three largest l1 norms of four neighbours is, in loops."""
    norms = [sum(np.abs(w[i].detach().numpy()).sum() for w in weights)
             for i in range(len(weights[0]))]  # fmt: skip
    mask = torch.zeros(len(norms), dtype=torch.float64)
    for start in range(0, len(norms), RUN):
        ranked = sorted(range(start, start + RUN), key=lambda i: -norms[i])
        mask[ranked[:STAY]] = 1.0
    return mask


def along(mask):
    """A hook that silences channels; along a residual path those silent before."""

    def hook(_, inputs, out):
        own = mask
        if own is None:
            own = (inputs[0].abs().amax(dim=(0, 2, 3)) > 0).double()
        shape = (-1, 1, 1) if out.dim() == 4 else (-1,)
        return out * own.view(shape)

    return hook


def silenced(teacher):
    """The whole network with hooks in place of missing channels."""
    add = {nn.Conv2d: "weight"}
    teacher.time1.register_forward_hook(along(mask_of(teacher.time1.weight)))
    emb = along(mask_of(teacher.time2.weight))
    teacher.time2.register_forward_hook(emb)
    teacher.label.register_forward_hook(emb)
    layers = [teacher.conv_in, *(m.conv for m in (*teacher.down, *teacher.up))]
    for module in teacher.modules():
        if isinstance(module, ResidualBlock):
            layers.append(module.conv1)
            module.emb.register_forward_hook(along(mask_of(module.conv1.weight)))
            changes = type(module.skip) in add
            pair = (module.skip.weight, module.conv2.weight) if changes else None
            module.register_forward_hook(along(mask_of(*pair) if pair else None))
        if isinstance(module, Attention):
            q, k, v = module.qkv.weight.chunk(3)
            # scores are scaled by the number of channels, of which there are fewer
            scale = math.sqrt(RUN / STAY)
            mask = torch.cat([scale * mask_of(q, k), mask_of(q, k), mask_of(v)])
            module.qkv.register_forward_hook(along(mask))
            module.register_forward_hook(along(None))
    for layer in layers:
        layer.register_forward_hook(along(mask_of(layer.weight)))
    return teacher


def without_norms(model):
    for module in model.modules():
        for name, child in module.named_children():
            if isinstance(child, nn.GroupNorm):
                setattr(module, name, nn.Identity())


def test_the_pruned_network_is_the_whole_one_with_channels_silenced():
    """Norms apart, whose statistics run over fewer channels."""
    teacher = build_unet(WHOLE, 1).double().eval()
    with torch.no_grad():
        teacher.time1.weight.mul_(1e-9)  # other frequencies: see below
    student = build_unet(OWN, 2).double().eval()
    prune_channels(teacher, student)
    without_norms(teacher)
    without_norms(student)
    x = torch.randn(4, 3, 8, 8, dtype=torch.float64)
    t, y = torch.tensor([0, 3, 7, 9]), torch.tensor([0, 1, 2, 3])
    whole = teacher(x, t, y)
    found, wanted = student(x, t, y), silenced(teacher)(x, t, y)
    torch.testing.assert_close(found, wanted, rtol=1e-6, atol=1e-7)
    assert (whole - wanted).abs().max() > 0.01


def test_each_group_keeps_its_share_of_channels():
    teacher, student = both()
    pairs = zip(teacher.modules(), student.modules(), strict=True)
    norms = [pair for pair in pairs if isinstance(pair[0], nn.GroupNorm)]
    assert len(norms) > 20
    for whole, own in norms:
        groups = own.weight.view(whole.num_groups, -1)
        limits = whole.weight.view(whole.num_groups, -1)
        for kept, group in zip(groups, limits, strict=True):
            assert kept.tolist() == sorted(set(kept.tolist()) & set(group.tolist()))
            assert len(kept) * RUN == len(group) * STAY


def test_sinusoids_go_to_the_nearest_frequency():
    teacher, student = both()
    rows = mask_of(teacher.time1.weight).nonzero()[:, 0]
    for part in (0, 1):  # sines, cosines
        for i in range(6):
            wanted = 10_000.0 ** (-i / 5)
            j = min(range(8), key=lambda j: abs(math.log(wanted * 10_000 ** (j / 7))))
            whole = teacher.time1.weight[rows, 8 * part + j]
            assert torch.equal(student.time1.weight[:, 6 * part + i], whole)


def test_pruned_to_its_own_width_nothing_changes():
    teacher, student = build_unet(WHOLE, 1), build_unet(WHOLE, 2)
    prune_channels(teacher, student)
    for name, value in teacher.state_dict().items():
        assert torch.equal(student.state_dict()[name], value), name


def test_half_the_teacher_has_the_parameters_that_the_readme_prints():
    config = UNetConfig(64, 2, 10, (1, 2, 2, 2), 16, 0.1, 32, 1e-6, 32)
    with torch.device("meta"):
        count = sum(p.numel() for p in build_unet(config, 0).parameters())
    assert count == 8_954_883


@pytest.mark.parametrize(
    ("change", "what"),
    [({"width": 20}, "the width"), ({"blocks": 1}, "blocks"),
     ({"norm_groups": 2}, "norm_groups")],
)  # fmt: skip
def test_other_networks_are_refused(change, what):
    config = UNetConfig(**{**OWN.__dict__, **change})
    with pytest.raises(NetworkError, match=f"{what} would have to grow or change"):
        prune_channels(build_unet(WHOLE, 1), build_unet(config, 2))
