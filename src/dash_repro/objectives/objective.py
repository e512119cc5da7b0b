"""What a network is trained to do with a batch (Sections 3.3, 3.5)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from dash_repro.diffusion.guidance import tag_scale
from dash_repro.models.unet import UNet, UNetConfig
from dash_repro.objectives import losses
from dash_repro.objectives.kind import Outputs
from dash_repro.objectives.kinds import OBJECTIVES
from runledger.errors import UserError


class ObjectiveError(UserError):
    """An objective whose settings contradict each other."""


@dataclass(frozen=True)
class Batch:
    """Noisy training images, the same for all that train side by side.

    Attributes:
        x_t: (B, C, H, W) float32.
        t: (B,) int64.
        labels: (B,) int64.
        noise: (B, C, H, W), the noise in x_t.
        coins: (B + 1,) uniform in [0, 1): one per sample, and the batch's own.
        x0: (B, C, H, W) clean images in [-1, 1].
    """

    x_t: Tensor
    t: Tensor
    labels: Tensor
    noise: Tensor
    coins: Tensor
    x0: Tensor


@dataclass(frozen=True)
class Targets:
    """The frozen teacher's outputs for a batch: both branches, maps of the first."""

    eps_cond: Tensor
    eps_uncond: Tensor
    features: dict[str, Tensor] = field(default_factory=dict)


def dropped_labels(coins: Tensor, share: float, mode: str) -> Tensor:
    """Which labels are replaced by the null token, (B,) bool.

    Args:
        coins: (B + 1,) of `Batch`.
        share: probability in [0, 1].
        mode: "sample": a coin each; "batch": one coin for all (the released code).
    """
    if mode == "sample":
        return coins[:-1] < share
    if mode == "batch":
        return (coins[-1:] < share).expand(coins.shape[0] - 1)
    raise ObjectiveError(
        f"label_dropout_mode: {mode!r} is not known",
        "train_teacher, train_student in params.yaml",
        "set it to sample or batch",
    )


class NoiseObjective(nn.Module):
    """Predict the noise; labels dropped at random (teachers, `scratch`).

    Args:
        label_dropout: share of labels replaced by the null token.
        mode: see `dropped_labels`.
        factor: multiplies the loss (a student's lambda_an).
    """

    needs_teacher = False
    needs_features = False
    branches = 1

    def __init__(self, label_dropout: float, mode: str, factor: float = 1.0) -> None:
        super().__init__()
        self.label_dropout, self.mode, self.factor = label_dropout, mode, factor

    def forward(
        self, model: UNet, batch: Batch, targets: Targets | None, weights: Tensor
    ) -> Tensor:
        """The loss, a scalar; weights are omega_hat_t, (B,)."""
        dropped = dropped_labels(batch.coins, self.label_dropout, self.mode)
        labels = batch.labels.masked_fill(dropped, model.null_token)
        eps = model(batch.x_t, batch.t, labels)
        return self.factor * losses.noise_loss(eps, batch.noise, weights)


class DistillObjective(nn.Module):
    """Eq. 8's three terms, and one more where the block names another objective.

    The forwards that no term needs are not run: without a term on the null branch
    (cond_only, no_un, fitnets) the null token stays as it was initialised.

    Args:
        block: a block of `students:`.
        timesteps: T, for TAG.
        tag: section `tag`; used by guidance: tag only.
        mode: see `dropped_labels`.
        channels: (student, teacher) channels of each feature map; features only.
    """

    needs_teacher = True

    def __init__(
        self,
        block: Mapping[str, Any],
        timesteps: int,
        tag: Mapping[str, Any] | None,
        mode: str,
        channels: Mapping[str, tuple[int, int]],
    ) -> None:
        super().__init__()
        self.block, self.timesteps, self.tag, self.mode = block, timesteps, tag, mode
        self.kind = OBJECTIVES[block["objective"]]
        self.label_dropout = float(block["label_dropout"])
        self.needs_features = self.kind.features
        self.needs_uncond = self.kind.uncond or block["lambda_un"] != 0.0
        anchored = block["lambda_im"] != 0.0 or block["lambda_an"] != 0.0
        self.needs_cond = self.kind.cond or anchored
        self.branches = self.needs_cond + self.needs_uncond
        self.projections = nn.ModuleDict(
            {name: nn.Conv2d(*pair, 1) for name, pair in channels.items()}
            if self.needs_features
            else {}
        )
        self._check()

    def forward(
        self, model: UNet, batch: Batch, targets: Targets | None, weights: Tensor
    ) -> Tensor:
        """The loss, a scalar; weights are omega_hat_t, (B,)."""
        assert targets is not None
        dropped = dropped_labels(batch.coins, self.label_dropout, self.mode)
        cond, uncond, maps = self._branches(model, batch, dropped)
        # a dropped label's target is what the teacher says without the label
        cond_t = targets.eps_cond
        if self.label_dropout > 0.0:
            mask = dropped[:, None, None, None]
            cond_t = torch.where(mask, targets.eps_uncond, cond_t)
        total = self._branch_terms(cond, uncond, cond_t, batch, targets, weights)
        if self.kind.term is not None:
            outputs = Outputs(cond, uncond, maps, targets, batch, weights)
            total.append(self.kind.term(self, outputs))
        return torch.stack(total).sum()

    def _branches(
        self, model: UNet, batch: Batch, dropped: Tensor
    ) -> tuple[Tensor | None, Tensor | None, dict[str, Tensor]]:
        """The student's branches that are needed, in one batch, and its maps."""
        labels = batch.labels.masked_fill(dropped, model.null_token)
        nulls = torch.full_like(labels, model.null_token)
        parts = [labels] * self.needs_cond + [nulls] * self.needs_uncond
        times = len(parts)
        out = model(
            batch.x_t.repeat(times, 1, 1, 1),
            batch.t.repeat(times),
            torch.cat(parts),
            features=self.needs_features,
        )
        eps, maps = out if self.needs_features else (out, {})
        halves = list(eps.chunk(times))
        cond = halves.pop(0) if self.needs_cond else None
        uncond = halves.pop(0) if self.needs_uncond else None
        return (
            cond,
            uncond,
            {name: value.chunk(times)[0] for name, value in maps.items()},
        )

    def _branch_terms(
        self,
        cond: Tensor | None,
        uncond: Tensor | None,
        cond_t: Tensor,
        batch: Batch,
        targets: Targets,
        weights: Tensor,
    ) -> list[Tensor]:
        """Eq. 8 with the block's factors, as a list of one or none."""
        block, terms = self.block, {}
        if block["lambda_im"] != 0.0:
            terms["im"] = losses.imitation_loss(cond, cond_t, weights)
        if block["lambda_un"] != 0.0:
            terms["un"] = losses.unconditional_loss(uncond, targets.eps_uncond, weights)
        if block["lambda_an"] != 0.0:
            terms["an"] = losses.anchor_loss(cond, batch.noise, weights)
        factors = (block["lambda_im"], block["lambda_un"], block["lambda_an"])
        return [losses.dash_loss(terms, *factors)] if terms else []

    def guidance_scale(self, batch: Batch) -> float | Tensor:
        """w of the loss: constant, TAG's w(t) as (B, 1, 1, 1), or one a batch, ().

        The drawn one is uniform over [guidance_min, guidance_scale): the batch's own
        coin, so that it is a function of seed and step.
        """
        block, w = self.block, float(self.block["guidance_scale"])
        if block["guidance"] == "constant":
            return w
        if block["guidance"] == "uniform":
            low = float(block["guidance_min"])
            return low + (w - low) * batch.coins[-1]
        low, beta = self.tag["w_min"], self.tag["beta"]
        scale = tag_scale(batch.t, self.timesteps, low, w, beta)
        return scale.float()[:, None, None, None]

    def _check(self) -> None:
        where = "a block of `students` in params.yaml"
        if not (self.needs_cond or self.needs_uncond):
            raise ObjectiveError(
                "all of lambda_im, lambda_un, lambda_an are 0: nothing to learn",
                where,
                "give one of them a weight, or name another objective",
            )
        name = self.block["objective"]
        if self.label_dropout > 0.0 and not self.kind.label_dropout:
            raise ObjectiveError(
                f"label_dropout has no meaning for objective: {name}",
                where,
                "set label_dropout to 0, or the objective to noise or branches",
            )
        known = self.block["guidance"] in ("constant", "tag", "uniform")
        untagged = self.block["guidance"] == "tag" and self.tag is None
        if name == "composite" and (untagged or not known):
            raise ObjectiveError(
                f"guidance: {self.block['guidance']!r} is not known, or lacks `tag`",
                where,
                "set it to constant, tag or uniform",
            )


def feature_channels(
    student: UNetConfig, teacher: UNetConfig
) -> dict[str, tuple[int, int]]:
    """(student, teacher) channels of the maps that UNet returns, by name."""
    return {
        f"{way}_{side}": (student.width * mult_s, teacher.width * mult_t)
        for way in ("enc", "dec")
        for side, mult_s, mult_t in zip(
            student.resolutions,
            student.channel_mult,
            teacher.channel_mult,
            strict=True,
        )
    }


def student_objective(
    block: Mapping[str, Any],
    mode: str,
    timesteps: int,
    tag: Mapping[str, Any] | None,
    channels: Mapping[str, tuple[int, int]],
) -> NoiseObjective | DistillObjective:
    """The objective that a block of `students:` names.

    Raises:
        ObjectiveError: unknown, or its settings contradict each other.
    """
    kind = block["objective"]
    if kind == "noise":
        if block["lambda_im"] or block["lambda_un"] or not block["lambda_an"]:
            raise ObjectiveError(
                "objective: noise uses lambda_an alone",
                "a block of `students` in params.yaml",
                "set lambda_im and lambda_un to 0 and lambda_an to 1",
            )
        return NoiseObjective(block["label_dropout"], mode, block["lambda_an"])
    if kind in OBJECTIVES:
        return DistillObjective(block, timesteps, tag, mode, channels)
    raise ObjectiveError(
        f"objective: {kind!r} is not known",
        "a block of `students` in params.yaml",
        f"set it to one of {', '.join(OBJECTIVES)}",
    )
