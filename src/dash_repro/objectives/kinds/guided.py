"""One branch learns the teacher's guided noise, for sampling without guidance."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dash_repro.objectives.kind import Outputs, objective

if TYPE_CHECKING:
    from torch import Tensor

    from dash_repro.objectives.objective import DistillObjective


@objective("guided", passes=(1, 2), guided=True)
def guided(student: DistillObjective, out: Outputs) -> Tensor:
    """E[omega_hat_t ||eps_S^y - eps~_T||^2] (Meng et al. 2023, at one w)."""
    from dash_repro.diffusion.guidance import guided_eps
    from dash_repro.objectives.losses import weighted_mse

    cond, _, cond_t, uncond_t = out.four
    scale = student.guidance_scale(out.batch)
    return weighted_mse(cond, guided_eps(cond_t, uncond_t, scale), out.weights)
