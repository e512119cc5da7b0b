"""Floating-point operations of a forward pass, counted layer by layer."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dash_repro.models.layers import Attention
from dash_repro.models.unet import UNet


def count_flops(model: UNet) -> int:
    """FLOPs of one image's forward pass: 2 per multiply-add of conv and matmul.

    Biases, norms, activations and additions are not counted.

    Args:
        model: its mode is kept.
    """
    total = 0

    def conv(module: nn.Conv2d, _: tuple[Tensor, ...], out: Tensor) -> None:
        nonlocal total
        total += 2 * out.numel() * module.weight[0].numel()

    def linear(module: nn.Linear, _: tuple[Tensor, ...], out: Tensor) -> None:
        nonlocal total
        total += 2 * out.numel() * module.in_features

    def attention(_: Attention, inputs: tuple[Tensor, ...], out: Tensor) -> None:
        nonlocal total
        pixels = out.shape[2] * out.shape[3]
        # scores q k^T and their product with v
        total += 2 * 2 * pixels * pixels * out.shape[1]

    counters = {nn.Conv2d: conv, nn.Linear: linear, Attention: attention}
    handles = [
        module.register_forward_hook(counters[type(module)])
        for module in model.modules()
        if type(module) in counters
    ]
    try:
        _forward_once(model)
    finally:
        for handle in handles:
            handle.remove()
    return total


@torch.no_grad()
def _forward_once(model: UNet) -> None:
    device, training = next(model.parameters()).device, model.training
    label = torch.zeros(1, dtype=torch.int64, device=device)
    image = torch.zeros(1, *model.config.image_shape, device=device)
    model.eval()(image, label, label)
    model.train(training)
