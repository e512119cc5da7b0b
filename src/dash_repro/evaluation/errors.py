"""What goes wrong in an evaluation and can be mended by the user."""

from __future__ import annotations

import numpy as np

from runledger.errors import UserError


class EvaluationError(UserError):
    """Input that a metric cannot be computed from."""


class WeightsError(UserError):
    """Weights of a feature extractor that are missing or not the right ones."""


def require_finite(values: np.ndarray, what: str) -> np.ndarray:
    """Return the values if all are finite.

    Raises:
        EvaluationError: naming how many are not, and in which row first.
    """
    good = np.isfinite(values)
    if not good.all():
        bad = np.flatnonzero(~good.reshape(len(values), -1).all(axis=1))
        raise EvaluationError(
            f"{what}: {len(bad)} of {len(values)} rows hold NaN or infinity",
            f"first in row {bad[0]}",
            "look at these images and at the network that made them",
        )
    return values
