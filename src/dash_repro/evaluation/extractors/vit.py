"""DINOv2 and CLIP: vision transformers whose weights are a file named in params.yaml.

Files as they were published are read: DINOv2's *_pretrain.pth (Oquab et al. 2023) and
CLIP's ViT-*.pt (Radford et al. 2021), or the same tensors as safetensors. The package
timm has the networks; their sizes follow from the file.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dash_repro.evaluation.errors import EvaluationError, WeightsError
from dash_repro.evaluation.extractor import Extractor, extractor

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    State = dict[str, Tensor]

SIDE = 224  # pixels
HEAD = 64  # channels of an attention head, in all of these networks
IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
OPENAI = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


@extractor("dinov2", flop=162e9)  # of ViT-L/14, the usual one
def build_dinov2(config: Mapping[str, Any], device: torch.device) -> Extractor:
    """DINOv2's class token (Stein et al. 2023: it ranks generators as people do).

    Args:
        config: `weights_path`, `weights_url`, `weights_sha256`.
        device: for the network.

    Raises:
        EvaluationError: timm is not installed.
        WeightsError: the file is missing, wrong, or holds another network.
    """
    return _extractor("dinov2", config, device, _dinov2, IMAGENET)


@extractor("clip", flop=8.8e9)  # of ViT-B/32, as in clean-fid
def build_clip(config: Mapping[str, Any], device: torch.device) -> Extractor:
    """CLIP's embedding of images (Kynkaanniemi et al. 2023: no classes of ImageNet).

    Args:
        config, device: see `build_dinov2`.

    Raises:
        EvaluationError, WeightsError: see `build_dinov2`.
    """
    return _extractor("clip", config, device, _clip, OPENAI)


def _extractor(
    name: str,
    config: Mapping[str, Any],
    device: torch.device,
    build: Any,
    levels: tuple[tuple[float, ...], tuple[float, ...]],
) -> Extractor:
    import torch
    from cleanfid.resize import make_resizer

    from dash_repro.evaluation.weights import ensure_weights

    keys = ("weights_path", "weights_url", "weights_sha256")
    path = ensure_weights(*(config[key] for key in keys))
    try:
        network = build(_read(path)).eval().requires_grad_(False).to(device)
    except ImportError as error:
        raise EvaluationError(
            f"extractor {name} needs a package that is missing: {error}",
            "extractor.name in params.yaml",
            "pip install timm (requirements-dev.lock names the tested version)",
        ) from None
    except (RuntimeError, KeyError, AttributeError) as error:
        raise WeightsError(
            f"not the weights of {name}: {error}", str(path), "name another file"
        ) from None
    mean, std = (torch.tensor(x, device=device).view(3, 1, 1) for x in levels)

    def forward(images: Tensor) -> tuple[Tensor, Tensor]:
        features = network((images / 255 - mean) / std)
        return features, features[:, :0]  # it knows no classes

    return Extractor(
        name=name,
        identity=f"{name} {config['weights_sha256']}",
        naming=f"{{short}}_{name}",
        dimension=network.num_classes or network.embed_dim,
        resize=make_resizer("PIL", False, "bicubic", (SIDE, SIDE)),
        forward=forward,
    )


def _read(path: Path) -> State:
    """The tensors of a file: safetensors, torch.save or, as CLIP's are, TorchScript."""
    import torch
    from safetensors.torch import load_file

    if path.suffix == ".safetensors":
        found = load_file(path)
    else:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # that it is TorchScript
                found = torch.load(path, map_location="cpu", weights_only=True)
        except RuntimeError:
            found = torch.jit.load(str(path), map_location="cpu").state_dict()
    return {name: value.float() for name, value in found.items()}


def _network(name: str, state: State, patches: str, block: str, **about: Any) -> Any:
    """A network of timm with the width, depth and patches of a file.

    Args:
        name: timm's.
        state: the file's tensors.
        patches: name of the weights of the patches' convolution.
        block: name of the tensor that each block has one of, with {}.
        about: more for timm.
    """
    import timm

    width, _, side, _ = state[patches].shape
    depth = 0
    while block.format(depth) in state:
        depth += 1
    sizes = {"embed_dim": width, "depth": depth, "num_heads": width // HEAD}
    return timm.create_model(name, patch_size=side, img_size=SIDE, **sizes, **about)


def _dinov2(state: State) -> nn.Module:
    """Its positions are for larger images, and shrunk as its own code shrinks them."""
    import torch
    from torch.nn.functional import interpolate

    network = _network(
        "vit_small_patch14_dinov2",
        state,
        "patch_embed.proj.weight",
        "blocks.{}.norm1.weight",
    )
    token, grid = state["pos_embed"][:, :1], state["pos_embed"][:, 1:]
    side = round(grid.shape[1] ** 0.5)
    here = network.patch_embed.grid_size[0]
    grid = grid.reshape(1, side, side, -1).permute(0, 3, 1, 2)
    if side != here:
        # the offset and no antialiasing: DINOv2's interpolate_pos_encoding
        scale = ((here + 0.1) / side,) * 2
        grid = interpolate(grid, scale_factor=scale, mode="bicubic")
    grid = grid.flatten(2).transpose(1, 2)
    kept = {key: value for key, value in state.items() if key != "mask_token"}
    network.load_state_dict({**kept, "pos_embed": torch.cat([token, grid], dim=1)})
    return network


def _clip(state: State) -> nn.Module:
    """Only the tower of images is taken."""
    from timm.models.vision_transformer import checkpoint_filter_fn

    network = _network(
        "vit_base_patch32_clip_quickgelu_224",
        state,
        "visual.conv1.weight",
        "visual.transformer.resblocks.{}.ln_1.weight",
        num_classes=state["visual.proj"].shape[1],
    )
    network.load_state_dict(checkpoint_filter_fn(state, network))
    return network
