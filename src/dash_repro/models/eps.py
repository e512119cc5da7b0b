"""What is asked of a network that predicts noise."""

from collections.abc import Callable

from torch import Tensor

# eps of images (B, ...), timesteps (B,) int64 and labels (B,) int64
EpsModel = Callable[[Tensor, Tensor, Tensor], Tensor]
