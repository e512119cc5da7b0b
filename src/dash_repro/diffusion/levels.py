"""Images as files have them, in 256 levels, and as networks do, in [-1, 1]."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def to_model_range(images: Tensor) -> Tensor:
    """uint8 levels to float32 in [-1, 1], of any shape; `to_uint8` goes back."""
    return images.float() / 127.5 - 1.0


def to_uint8(images: Tensor) -> np.ndarray:
    """Images (N, C, H, W) in [-1, 1] rounded to (N, H, W, C) uint8; beyond: clamped."""
    levels = ((images.float() + 1.0) * 127.5).round().clamp(0, 255).to(torch.uint8)
    return levels.permute(0, 2, 3, 1).contiguous().cpu().numpy()
