"""Small random weights under the names of DINOv2's and CLIP's published files."""

from __future__ import annotations

import hashlib
from pathlib import Path

import torch
from torch import Tensor

WIDTH, DEPTH, OUT = 128, 2, 24
STATE = dict[str, Tensor]


def weights(shapes: dict[str, tuple[int, ...]]) -> STATE:
    rng = torch.Generator().manual_seed(0)
    return {n: 0.3 * torch.randn(s, generator=rng) for n, s in shapes.items()}


def block(names: dict[str, str]) -> dict[str, tuple[int, ...]]:
    """Shapes of a block's tensors; names: of its parts."""
    sides = {"qkv": (3 * WIDTH, WIDTH), "out": (WIDTH, WIDTH)}
    sides |= {"up": (4 * WIDTH, WIDTH), "down": (WIDTH, 4 * WIDTH)}
    found: dict[str, tuple[int, ...]] = {}
    for part, name in names.items():
        found[f"{name}weight"] = sides.get(part, (WIDTH,))
        found[f"{name}bias"] = sides.get(part, (WIDTH,))[:1]
    return found


OF_DINO = {
    **{"one": "norm1.", "two": "norm2.", "qkv": "attn.qkv.", "out": "attn.proj."},
    **{"up": "mlp.fc1.", "down": "mlp.fc2."},
}
OF_CLIP = {
    **{"one": "ln_1.", "two": "ln_2.", "qkv": "attn.in_proj_", "out": "attn.out_proj."},
    **{"up": "mlp.c_fc.", "down": "mlp.c_proj."},
}


def dinov2_state() -> STATE:
    shapes = {
        "cls_token": (1, 1, WIDTH),
        "pos_embed": (1, 1 + 37**2, WIDTH),
        "mask_token": (1, WIDTH),
        "patch_embed.proj.weight": (WIDTH, 3, 14, 14),
        "patch_embed.proj.bias": (WIDTH,),
        "norm.weight": (WIDTH,),
        "norm.bias": (WIDTH,),
    }
    for index in range(DEPTH):
        scales = {"ls1.gamma": (WIDTH,), "ls2.gamma": (WIDTH,)}
        of = block(OF_DINO) | scales
        shapes |= {f"blocks.{index}.{name}": shape for name, shape in of.items()}
    return weights(shapes)


def clip_state() -> STATE:
    shapes = {
        "visual.class_embedding": (WIDTH,),
        "visual.positional_embedding": (1 + 7**2, WIDTH),
        "visual.proj": (WIDTH, OUT),
        "visual.conv1.weight": (WIDTH, 3, 32, 32),
        "logit_scale": (),
        "token_embedding.weight": (5, WIDTH),
    }
    for name in ("ln_pre", "ln_post"):
        shapes |= {f"visual.{name}.weight": (WIDTH,), f"visual.{name}.bias": (WIDTH,)}
    for index in range(DEPTH):
        named = f"visual.transformer.resblocks.{index}."
        shapes |= {named + name: shape for name, shape in block(OF_CLIP).items()}
    return weights(shapes)


def config(name: str, path: Path) -> dict[str, str]:
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    about = {"weights_path": str(path), "weights_url": "", "weights_sha256": digest}
    return {"name": name, **about}
