"""FitNets: feature maps, projected to the teacher's channels, are compared."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dash_repro.objectives.kind import Outputs, objective

if TYPE_CHECKING:
    from torch import Tensor

    from dash_repro.objectives.objective import DistillObjective


@objective("features", features=True, passes=(1, 1))
def features(student: DistillObjective, out: Outputs) -> Tensor:
    """The mean over the maps (Section 4.1)."""
    from dash_repro.objectives.losses import feature_loss

    projected = {name: p(out.maps[name]) for name, p in student.projections.items()}
    return feature_loss(projected, out.targets.features, out.weights)
