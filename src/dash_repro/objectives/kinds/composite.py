"""The guided noise of student and teacher is compared (Section 3.5.1, with Eq. 1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dash_repro.objectives.kind import Outputs, objective

if TYPE_CHECKING:
    from torch import Tensor

    from dash_repro.objectives.objective import DistillObjective


@objective("composite", uncond=True)
def composite(student: DistillObjective, out: Outputs) -> Tensor:
    """L_comp with the block's guidance."""
    from dash_repro.objectives.losses import composite_loss

    scale = student.guidance_scale(out.batch)
    return composite_loss(*out.four, scale, out.weights)
