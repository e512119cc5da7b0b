"""DINOv2 and CLIP from files as they were published, against their formulae.

The published weights are not at hand: small random ones stand in, under their names.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import interpolate, layer_norm
from torch.utils.flop_counter import FlopCounterMode
from vit_weights import (
    DEPTH,
    OF_CLIP,
    OF_DINO,
    STATE,
    WIDTH,
    clip_state,
    config,
    dinov2_state,
)

from dash_repro.evaluation.errors import WeightsError
from dash_repro.evaluation.extractors import EXTRACTORS, build_extractor
from dash_repro.evaluation.extractors.vit import SIDE
from dash_repro.evaluation.features import extract_features
from dash_repro.evaluation.sample_metrics import METRICS

CPU = torch.device("cpu")


def transformed(x: Tensor, state: STATE, prefix: str, names, eps, act) -> Tensor:
    """A block of a vision transformer, written out; x (B, N, WIDTH)."""

    def linear(part: str, values: Tensor) -> Tensor:
        name = prefix + names[part]
        return values @ state[f"{name}weight"].T + state[f"{name}bias"]

    def norm(part: str) -> Tensor:
        name = prefix + names[part]
        return layer_norm(
            x, (WIDTH,), state[f"{name}weight"], state[f"{name}bias"], eps
        )

    heads = WIDTH // 64
    q, k, v = linear("qkv", norm("one")).chunk(3, dim=-1)
    parts = []
    for head in range(heads):
        own = slice(64 * head, 64 * head + 64)
        scores = q[..., own] @ k[..., own].transpose(1, 2) / 8
        parts.append(scores.softmax(dim=-1) @ v[..., own])
    x = x + state.get(f"{prefix}ls1.gamma", 1) * linear("out", torch.cat(parts, -1))
    hidden = act(linear("up", norm("two")))
    return x + state.get(f"{prefix}ls2.gamma", 1) * linear("down", hidden)


def patches(images: Tensor, weight: Tensor, bias: Tensor | float) -> Tensor:
    """Each patch times the convolution's weights, (B, N, WIDTH)."""
    side = weight.shape[-1]
    count = SIDE // side
    cut = images.reshape(len(images), 3, count, side, count, side)
    cut = cut.permute(0, 2, 4, 1, 3, 5).reshape(len(images), count**2, -1)
    return cut @ weight.flatten(1).T + bias


def levels(images: np.ndarray, mean: list[float], std: list[float]) -> Tensor:
    scaled = torch.from_numpy(images).double().permute(0, 3, 1, 2) / 255
    wide = scaled - torch.tensor(mean).double().view(3, 1, 1)
    return (wide / torch.tensor(std).double().view(3, 1, 1)).double()


def dinov2(images: np.ndarray, state: STATE) -> Tensor:
    x = levels(images, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    weight, bias = (state[f"patch_embed.proj.{n}"] for n in ("weight", "bias"))
    grid = state["pos_embed"][:, 1:].reshape(1, 37, 37, WIDTH).permute(0, 3, 1, 2)
    factor = (16 + 0.1) / 37
    grid = interpolate(grid, scale_factor=(factor, factor), mode="bicubic")
    assert grid.shape[2:] == (16, 16)
    x = patches(x, weight, bias) + grid.flatten(2).transpose(1, 2)
    token = state["cls_token"] + state["pos_embed"][:, :1]
    x = torch.cat([token.expand(len(x), -1, -1), x], dim=1)
    for index in range(DEPTH):
        gelu = torch.nn.functional.gelu
        x = transformed(x, state, f"blocks.{index}.", OF_DINO, 1e-6, gelu)
    x = layer_norm(x, (WIDTH,), state["norm.weight"], state["norm.bias"], 1e-6)
    return x[:, 0]


def clip(images: np.ndarray, state: STATE) -> Tensor:
    mean = [0.48145466, 0.4578275, 0.40821073]
    x = levels(images, mean, [0.26862954, 0.26130258, 0.27577711])
    v = {n.removeprefix("visual."): value for n, value in state.items()}
    token = v["class_embedding"].expand(len(x), 1, -1)
    x = torch.cat([token, patches(x, v["conv1.weight"], 0.0)], dim=1)
    x = x + v["positional_embedding"]
    x = layer_norm(x, (WIDTH,), v["ln_pre.weight"], v["ln_pre.bias"])
    for index in range(DEPTH):
        named = f"transformer.resblocks.{index}."
        x = transformed(x, v, named, OF_CLIP, 1e-5, lambda h: h * (1.702 * h).sigmoid())
    x = layer_norm(x, (WIDTH,), v["ln_post.weight"], v["ln_post.bias"])
    return x[:, 0] @ v["proj"]


class Archive(torch.nn.Module):
    """The published file of CLIP is TorchScript of half precision."""

    def __init__(self, state: STATE) -> None:
        super().__init__()
        for name, value in state.items():
            module = self
            *parents, leaf = name.split(".")
            for parent in parents:
                if not hasattr(module, parent):
                    module.add_module(parent, torch.nn.Module())
                module = getattr(module, parent)
            module.register_buffer(leaf, value.half())

    def forward(self, x: Tensor) -> Tensor:
        return x


@pytest.fixture
def images() -> np.ndarray:
    """Of the network's side, so that no resize stands between."""
    return np.random.default_rng(0).integers(0, 256, (2, SIDE, SIDE, 3), np.uint8)


@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")
@pytest.mark.parametrize("kind", ["pth", "safetensors", "pt"])
@pytest.mark.parametrize("name", ["dinov2", "clip"])
def test_features_are_those_of_the_formulae(name, kind, images, tmp_path) -> None:
    state = {"dinov2": dinov2_state, "clip": clip_state}[name]()
    path = tmp_path / f"weights.{kind}"
    if kind == "pt":
        torch.jit.script(Archive(state)).save(str(path))
        state = {key: value.half().float() for key, value in state.items()}
    elif kind == "pth":
        torch.save(state, path)
    else:
        from safetensors.torch import save_file

        save_file(state, path)
    extractor = build_extractor(config(name, path), CPU)
    found, classes = extract_features(images, extractor, CPU)
    state = {key: value.double() for key, value in state.items()}
    wanted = {"dinov2": dinov2, "clip": clip}[name](images, state).numpy()
    assert found.shape == (2, extractor.dimension) and classes.shape == (2, 0)
    np.testing.assert_allclose(found, wanted, atol=2e-4 * np.abs(wanted).max())
    names = {metric: extractor.metric_name(METRICS[metric]) for metric in METRICS}
    assert names["frechet"] == f"fd_{name}"
    assert METRICS["inception_score"].measure(found, classes, None, {}) is None


def test_other_files_are_refused(tmp_path) -> None:
    path = tmp_path / "weights.pth"
    torch.save(clip_state(), path)
    with pytest.raises(WeightsError, match="not the weights of dinov2"):
        build_extractor(config("dinov2", path), CPU)
    state = dinov2_state()
    del state["blocks.1.ls1.gamma"]
    torch.save(state, path)
    with pytest.raises(WeightsError, match=r"ls1\.gamma"):
        build_extractor(config("dinov2", path), CPU)
    wrong = {**config("dinov2", path), "weights_sha256": "0" * 64}
    with pytest.raises(WeightsError, match="sha256"):
        build_extractor(wrong, CPU)


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("dinov2", "vit_large_patch14_dinov2"),
        ("clip", "vit_base_patch32_clip_quickgelu_224"),
    ],
)
def test_their_work_is_counted(name, model) -> None:
    import timm

    with torch.device("meta"):
        network = timm.create_model(model, img_size=SIDE).eval()
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            network(torch.empty(1, 3, SIDE, SIDE))
    assert EXTRACTORS[name].flop == pytest.approx(counter.get_total_flops(), rel=0.02)
