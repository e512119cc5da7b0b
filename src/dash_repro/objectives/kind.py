"""The kinds of objective a student can have; each registers from its own module.

Imports nothing heavy: params and the Snakefile read which there are, and their cost.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runledger.plugins import Registry

if TYPE_CHECKING:
    from torch import Tensor

    from dash_repro.objectives.objective import Batch, DistillObjective, Targets


@dataclass(frozen=True)
class Outputs:
    """What a term is computed from.

    Attributes:
        cond, uncond: the student's branches, (B, C, H, W); None where neither the term
            nor Eq. 8 needs one.
        maps: the student's feature maps of the first branch, by name.
        targets: of the frozen teacher.
        batch: the noisy images.
        weights: omega_hat_t, (B,).
    """

    cond: Tensor | None
    uncond: Tensor | None
    maps: dict[str, Tensor]
    targets: Targets
    batch: Batch
    weights: Tensor

    @property
    def four(self) -> tuple[Any, Any, Any, Any]:
        """The student's two branches, then the teacher's."""
        teacher = self.targets.eps_cond, self.targets.eps_uncond
        return self.cond, self.uncond, *teacher


@dataclass(frozen=True)
class Kind:
    """One kind of objective: `objective` of a block of students.

    Attributes:
        term: adds to Eq. 8's terms; None: Eq. 8 alone, or no distillation at all.
        cond, uncond: branches of the student that the term needs.
        features: it needs feature maps, and a projection of each.
        passes: forward passes of student and teacher in a step, to count work.
        label_dropout: a share of labels may be dropped.
        guided: the conditional branch learns the guided noise, so that samples need
            no other: they are drawn at w = 1.
    """

    term: Callable[[DistillObjective, Outputs], Tensor] | None = None
    cond: bool = True
    uncond: bool = False
    features: bool = False
    passes: tuple[int, int] = (2, 2)
    label_dropout: bool = False
    guided: bool = False


OBJECTIVES = Registry[Kind]("objective")


def objective(name: str, **about: Any) -> Callable[[Callable], Callable]:
    """Register a kind of objective with the term that the decorated function gives."""
    return OBJECTIVES.decorator(name, lambda term: Kind(term, **about))
