"""Compiled networks: channels last in memory, kernels fused by torch.compile."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from dash_repro.graphs import GraphedNetwork
from dash_repro.models.unet import UNet

# of torch.compile; the tests use one that only traces
BACKEND = "inductor"


def compile_network(model: UNet, own_kernels: bool = True) -> Any:
    """The network as one compiled function of (x, t, y[, features]); same parameters.

    Layout is set on weights and inputs here, since Inductor's own layout pass switches
    itself off on this network. Whole graph or nothing: a part that silently falls back
    to eager would cost what it was to gain.

    Args:
        model: changed in place; `model` itself still runs eagerly.
        own_kernels: lay out the kernels too (False: their memory is the caller's).
    """
    from torch._inductor import config  # a second that eager programs need not wait

    config.deterministic = torch.are_deterministic_algorithms_enabled()
    # all students of a pack share one compiled code, with a variant for each of their
    # shapes; at the default limit of 8 a large pack would fail
    torch._dynamo.config.recompile_limit = 64
    model.use_channels_last(own_kernels)
    return torch.compile(model, backend=BACKEND, fullgraph=True, dynamic=False)


def launched(network: nn.Module, launch: str) -> Any:
    """A frozen network as `launch_mode` says, a function of (x, t, y).

    Args:
        network: of `inference_network`; a UNet unless launch is "eager".
        launch: of `launch_mode`.
    """
    if launch == "eager":
        return network
    return GraphedNetwork(compile_network(network) if launch == "compile" else network)
