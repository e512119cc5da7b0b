"""The UNet: the paper's sizes (Section 3.4), embedding, attention, norms, weights."""

import math

import pytest
import torch
from torch.nn import functional as F
from training_tools import ROOT
from yaml import safe_load

from dash_repro.models.flops import count_flops
from dash_repro.models.layers import (
    Attention,
    Downsample,
    Norm,
    Upsample,
    timestep_embedding,
)
from dash_repro.models.unet import (
    NetworkError,
    UNet,
    UNetConfig,
    build_unet,
    select_norm_groups,
)

NETWORK = safe_load((ROOT / "params.yaml").read_text())["network"]
TINY = UNetConfig(8, 1, 3, (1, 2, 2, 2), 4, 0.1, 4, 1e-6, 8)


@pytest.mark.parametrize(
    ("width", "blocks", "ten", "hundred", "gflop"),
    [
        (128, 2, 35_751_939, 35_798_019, 12.444),
        (48, 1, 3_426_099, 3_443_379, 1.231),
        (64, 1, 6_082_627, 6_105_667, 2.152),
        (96, 1, 13_667_427, 13_701_987, 4.761),
    ],
)
def test_sizes_of_the_paper(width, blocks, ten, hundred, gflop):
    for classes, wanted in ((10, ten), (100, hundred)):
        config = UNetConfig.from_params(NETWORK, width, blocks, classes, 32)
        model = UNet(config)
        assert sum(p.numel() for p in model.parameters()) == wanted
    assert round(count_flops(model) / 1e9, 3) == gflop


def test_attention_at_16_and_in_the_middle_only():
    config = UNetConfig.from_params(NETWORK, 64, 2, 10, 32)
    with torch.device("meta"):
        model = UNet(config)
    levels = [
        [isinstance(module, Attention) for module in level]
        for level in (*model.encoder_attention, *model.decoder_attention)
    ]
    no, yes = [False, False], [True, True]
    assert levels[:4] == [no, yes, no, no]
    assert levels[4:] == [[*no, False], [*yes, True], [*no, False], [*no, False]]


def test_features_are_the_last_maps_of_every_resolution():
    model = build_unet(TINY, 0).eval()
    x, t, y = torch.randn(2, 3, 8, 8), torch.tensor([1, 2]), torch.tensor([0, 3])
    with torch.no_grad():
        eps, maps = model(x, t, y, features=True)
        assert torch.equal(eps, model(x, t, y))
    shapes = {name: tuple(value.shape[1:]) for name, value in maps.items()}
    channels = {8: 8, 4: 16, 2: 16, 1: 16}
    assert shapes == {
        f"{way}_{side}": (width, side, side)
        for way in ("enc", "dec")
        for side, width in channels.items()
    }
    # the finest decoder map is what the output layers see
    head = torch.nn.functional.silu(model.norm_out(maps["dec_8"]))
    assert torch.allclose(model.conv_out(head), eps, atol=1e-6)


def test_timestep_embedding_closed_form():
    width, half = 12, 6
    emb = timestep_embedding(torch.tensor([0, 7, 999]), width).double()
    for row, t in enumerate((0, 7, 999)):
        for i in range(half):
            angle = t * math.exp(-math.log(10000.0) * i / (half - 1))
            assert emb[row, i].item() == pytest.approx(math.sin(angle), abs=1e-4)
            assert emb[row, half + i].item() == pytest.approx(math.cos(angle), abs=1e-4)


def test_attention_against_explicit_softmax():
    torch.manual_seed(0)
    layer = Attention(8, 4, 1e-6).double()
    x = torch.randn(2, 8, 3, 3, dtype=torch.float64)
    flat = layer.norm(x).flatten(2)
    weight = layer.qkv.weight[:, :, 0, 0]
    q, k, v = (
        torch.einsum("oc,bcp->bop", weight, flat)
        .add(layer.qkv.bias[:, None])
        .split(8, dim=1)
    )
    scores = torch.einsum("bcp,bcq->bpq", q, k) / math.sqrt(8)
    mixed = torch.einsum("bpq,bcq->bcp", scores.softmax(dim=2), v)
    wanted = x + layer.out(mixed.reshape(2, 8, 3, 3))
    assert torch.allclose(layer(x), wanted, atol=1e-12)


@pytest.mark.parametrize("side", [1, 2, 4])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_attention_is_given_strides_that_gpu_kernels_take(side, layout, monkeypatch):
    """Memory-efficient attention on CUDA has kernels for aligned strides alone.

    They must be whole vectors of 16 bytes, those of a map of one pixel too
    (dispatch_cutlassF in ATen/native/transformers/cuda/mem_eff_attention).
    """
    given = []
    real = F.scaled_dot_product_attention

    def note(*tensors):
        given.extend(tensors)
        return real(*tensors)

    monkeypatch.setattr(F, "scaled_dot_product_attention", note)
    x = torch.randn(2, 8, side, side).to(memory_format=layout)
    Attention(8, 4, 1e-6)(x)
    assert len(given) == 3
    for tensor in given:
        assert tensor.shape == (2, 1, side * side, 8)
        assert tensor.stride(3) == 1
        assert all(stride % 8 == 0 for stride in tensor.stride()[:3])


def test_downsampling_pads_right_and_bottom():
    layer = Downsample(1)
    with torch.no_grad():
        layer.conv.weight.zero_()
        layer.conv.bias.zero_()
        layer.conv.weight[0, 0, 0, 0] = 1.0  # picks the top left of each window
    x = torch.arange(16.0).reshape(1, 1, 4, 4)
    assert torch.equal(layer(x)[0, 0], x[0, 0, ::2, ::2])


def test_norm_keeps_float32_statistics_in_half_precision():
    norm = Norm(2, 4, 1e-6)
    # within each group the values differ by less than half precision's resolution
    # of their squares' mean
    x = (100.0 + torch.randn(2, 4, 16, 16)).half()
    wanted = torch.nn.functional.group_norm(x.double(), 2, eps=1e-6)
    assert norm(x).dtype == torch.float16
    assert (norm(x).double() - wanted).abs().max() < 4e-3


def test_initial_weights_are_a_function_of_the_seed_and_null_std():
    global_state = torch.get_rng_state()
    one, same, other = build_unet(TINY, 1), build_unet(TINY, 1), build_unet(TINY, 2)
    assert torch.equal(torch.get_rng_state(), global_state)
    pairs = zip(one.parameters(), same.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    assert not torch.equal(one.conv_in.weight, other.conv_in.weight)
    small = build_unet(TINY, 1, null_init_std=0.01)
    null = one.null_token
    assert torch.allclose(small.label.weight[null], 0.01 * one.label.weight[null])
    assert torch.equal(small.label.weight[:null], one.label.weight[:null])
    assert torch.equal(small.conv_out.weight, one.conv_out.weight)
    assert one.label.weight.std().item() == pytest.approx(1.0, abs=0.2)


def test_dropout_draws_from_its_own_generator():
    model = build_unet(TINY, 0).train()
    x, t, y = torch.randn(2, 3, 8, 8), torch.tensor([1, 2]), torch.tensor([0, 1])
    generator = torch.Generator()
    model.set_dropout_generator(generator)
    outs = []
    for seed, noise in ((5, 0), (5, 1), (6, 0)):
        generator.manual_seed(seed)
        torch.manual_seed(noise)
        outs.append(model(x, t, y))
    assert torch.equal(outs[0], outs[1])
    assert not torch.equal(outs[0], outs[2])


def test_group_counts():
    assert select_norm_groups(128, [32, 24]) == 32
    assert select_norm_groups(48, [32, 24]) == 24
    with pytest.raises(NetworkError, match="divides the width 40"):
        select_norm_groups(40, [32, 24])
    with pytest.raises(NetworkError, match="cannot be halved"):
        UNetConfig.from_params(NETWORK, 64, 1, 10, 12)


@pytest.mark.parametrize(("width", "blocks", "row"), [(128, 2, 0), (64, 1, 1)])
def test_operations_that_the_released_codes_readme_states(width, blocks, row):
    """Its GFLOP of 50 guided steps are ours and those of norms and upsampling.

    Ten operations for each normalised value and two for each upsampled one explain
    the difference to the last printed digit.
    """
    text = (ROOT / "paper/tables/released_code_efficiency.csv").read_text()
    line = next(
        one for one in text.splitlines() if one.startswith("flops_50step_cfg_g")
    )
    printed = float(line.split(",")[1 + row])
    model = UNet(UNetConfig.from_params(NETWORK, width, blocks, 10, 32)).eval()
    counted = count_flops(model)
    others = 0

    def count(module, _, out):
        nonlocal others
        others += (10 if isinstance(module, Norm) else 2) * out.numel()

    for module in model.modules():
        if isinstance(module, Norm | Upsample):
            module.register_forward_hook(count)
    zero = torch.zeros(1, dtype=torch.int64)
    with torch.no_grad():
        model(torch.zeros(1, 3, 32, 32), zero, zero)
    assert round(2 * 50 * (counted + others) / 1e9, 1) == printed
    assert 0 < printed - 2 * 50 * counted / 1e9 < 0.006 * printed
