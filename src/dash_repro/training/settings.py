"""Settings of a training: what params.yaml says, and how often to save and log."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from runledger.errors import UserError


@dataclass(frozen=True)
class TrainSettings:
    """The part of sections `train_teacher` and `train_student` that both have.

    Attributes:
        iterations: optimiser steps.
        batch_size: images a step.
        optimizer: "adam" or "adamw".
        weight_decay: of adamw; adam has none.
        betas: of Adam.
        learning_rate: initial.
        lr_schedule: "cosine", "cosine_epoch" or "constant".
        lr_epoch: iterations an epoch, for cosine_epoch.
        lr_min: value at the end of the annealing.
        grad_clip: bound of the global gradient norm.
        grad_clip_lambda: whether lambda's gradient is part of that norm, and scaled
            with it; else it is left as it is.
        ema_decay: of the weights' exponential moving average, per iteration.
        label_dropout_mode: "sample" or "batch".
        holdout: share of the training images not trained on.
        numerics: "fp32" or "fp16".
    """

    iterations: int
    batch_size: int
    optimizer: str
    weight_decay: float
    betas: tuple[float, float]
    learning_rate: float
    lr_schedule: str
    lr_epoch: int
    lr_min: float
    grad_clip: float
    grad_clip_lambda: bool
    ema_decay: float
    label_dropout_mode: str
    holdout: float
    numerics: str

    @classmethod
    def from_params(cls, section: Mapping[str, Any]) -> TrainSettings:
        """The settings in a section of params.yaml; its other keys are left alone."""
        values = {name: section[name] for name in cls.__dataclass_fields__}
        values["betas"] = tuple(section["betas"])
        return cls(**values)

    @property
    def record_every(self) -> int:
        """Iterations between rows of the history: about 500 rows a training.

        A function of the params alone, for history.csv is a result.
        """
        return max(1, math.ceil(self.iterations / 500))


def learning_rate(settings: TrainSettings, step: int, initial: float) -> float:
    """Learning rate of iteration `step` (Appendix A).

    lr_min + (initial - lr_min) (1 + cos(pi x)) / 2, where x is the share of the
    iterations done ("cosine") or of the epochs done ("cosine_epoch").

    Args:
        settings: lr_schedule, lr_min, lr_epoch, iterations.
        step: 0-based.
        initial: of the parameters in question.
    """
    if settings.lr_schedule == "constant":
        return initial
    if settings.lr_schedule == "cosine":
        done = step / settings.iterations
    elif settings.lr_schedule == "cosine_epoch":
        epochs = math.ceil(settings.iterations / settings.lr_epoch)
        done = (step // settings.lr_epoch) / epochs
    else:
        raise UserError(
            f"lr_schedule: {settings.lr_schedule!r} is not known",
            "train_teacher, train_student in params.yaml",
            "set it to cosine, cosine_epoch or constant",
        )
    cosine = (1.0 + math.cos(math.pi * done)) / 2.0
    return settings.lr_min + (initial - settings.lr_min) * cosine


@dataclass(frozen=True)
class Cadence:
    """How often a training saves its state and logs; no influence on results.

    Attributes:
        save_seconds: at least this long between saves; DASH_SAVE_SECONDS, 300 if
            unset. Stretched so that saving stays under 1 % of the time.
        log_seconds: between lines of the log; DASH_LOG_SECONDS, 20 if unset.
    """

    save_seconds: float
    log_seconds: float

    @classmethod
    def from_environment(cls) -> Cadence:
        """Read both variables (UserError where one is not a number)."""
        return cls(
            _seconds("DASH_SAVE_SECONDS", 300.0), _seconds("DASH_LOG_SECONDS", 20.0)
        )


def _seconds(name: str, default: float) -> float:
    text = os.environ.get(name, str(default))
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not value >= 0.0:
        raise UserError(
            f"{name}={text!r} is not a number of seconds",
            "environment",
            f"unset it (then {default:g}), or set it to 0 or more",
        )
    return value
