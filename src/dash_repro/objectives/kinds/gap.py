"""The guidance gap of student and teacher is compared (Section 4.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dash_repro.objectives.kind import Outputs, objective

if TYPE_CHECKING:
    from torch import Tensor

    from dash_repro.objectives.objective import DistillObjective


@objective("gap", uncond=True)
def gap(student: DistillObjective, out: Outputs) -> Tensor:
    """L_gap: E[omega_hat_t ||Delta_S - Delta_T||^2], the gaps compared directly."""
    from dash_repro.objectives.losses import gap_loss

    return gap_loss(*out.four, out.weights)
