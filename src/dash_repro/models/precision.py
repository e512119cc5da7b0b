"""Networks for inference: frozen, on the device, half precision where asked for."""

from __future__ import annotations

import torch
from torch import nn

from dash_repro.launch import channels_last
from dash_repro.models.unet import UNet
from dash_repro.runtime import require_numerics


def inference_network(
    model: nn.Module, numerics: str, device: torch.device | str
) -> nn.Module:
    """The network as sampler and calibration run it: on the device, eval, frozen.

    Args:
        model: eps network; it is changed in place.
        numerics: "fp32", or "fp16": half-precision weights and activations, except
            normalisations and the last convolution (`conv_out`), which stay float32.

    Raises:
        UserError: unknown precision.
    """
    device = torch.device(device)
    require_numerics(numerics)
    model = model.requires_grad_(False).eval().to(device)
    if isinstance(model, UNet) and channels_last(device.type, "eager"):
        model.use_channels_last()
    return halve(model) if numerics == "fp16" else model


def halve(model: nn.Module) -> nn.Module:
    """Half precision in place, but for normalisations and `conv_out`."""
    model.half()
    for name, module in model.named_modules():
        if isinstance(module, nn.GroupNorm) or name == "conv_out":
            module.float()
    return model
