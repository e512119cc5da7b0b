"""What the columns of tables measure: one entry a metric, read by every table."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

QUALITY, CALIBRATION = "compute_metrics", "measure_calibration"
MANY = 10_000  # samples: with fewer, KID stands first, and there is no score
MAIN, SPREAD, STANDIN, EXTRA = "main", "spread", "stand-in", "extra"
BRANCHES = "branches"


@dataclass(frozen=True)
class Measure:
    """How tables show a metric.

    Attributes:
        metric: its key in metrics.json or calibration.json.
        heading: of a column; of sample metrics the arrow behind the name that the
            extractor gives the metric.
        stage: the stage that makes the file.
        decimals: key of section make_table that says how many digits are printed at
            the most.
        of_many: it is not printed of fewer samples than MANY.
        exponent: it is printed in units of 10^-exponent, unless that makes large
            numbers (columns.power_of); 2: in percent; None: a unit a column, in which
            its smallest number keeps two digits (columns.small_unit).
        over: the metric that it is divided by, mean by mean; "": none.
        best: which of two values is better: "low", "high" or, nearest to it, "one";
            "" where none is.
        distance: zero is best, so that one above the constant image's is marked.
        shown: of sample metrics: MAIN in every table of results, SPREAD only where
            spreads are, STANDIN only there and beside a stand-in for FID, EXTRA only
            in Table S3. BRANCHES: only in Table S5.
    """

    metric: str
    heading: str
    stage: str = QUALITY
    decimals: str = "decimals"
    of_many: bool = False
    exponent: int | None = 0
    over: str = ""
    best: str = "low"
    distance: bool = False
    shown: str = SPREAD


_SHARE: dict[str, Any] = {"exponent": 2, "best": "high", "shown": EXTRA}
_COSINE: dict[str, Any] = {"stage": CALIBRATION, "decimals": "calibration_decimals"}
_ERROR: dict[str, Any] = {"stage": CALIBRATION, "decimals": "gap_decimals"}
_OWN_UNIT: dict[str, Any] = {**_ERROR, "exponent": None}
MEASURES: dict[str, Measure] = {  # by the end of a column's name
    "fd": Measure("frechet", "↓", distance=True, shown=MAIN),
    "is": Measure("inception_score", "↑", of_many=True, best="high", shown=MAIN),
    "kid": Measure("kid", "↓", exponent=3, distance=True, shown=STANDIN),
    "fd_inf": Measure("frechet_infinity", "↓", distance=True, shown=EXTRA),
    "precision": Measure("precision", "↑", **_SHARE),
    "recall": Measure("recall", "↑", **_SHARE),
    "nn": Measure("nearest", "", best="one", shown=EXTRA),
    "acc": Measure("class_accuracy", "↑", **_SHARE),
    "rho": Measure("rho", "ρ", best="one", **_COSINE),
    "cos": Measure("cos", "cos(Δ)", best="high", **_COSINE),
    "gap_mse": Measure("gap_mse", "gap MSE", **_OWN_UNIT),
    "err_cond": Measure("err_cond", "E_{y}", shown=BRANCHES, **_OWN_UNIT),
    "err_uncond": Measure("err_uncond", "E_{∅}", shown=BRANCHES, **_OWN_UNIT),
    "err_ratio": Measure(
        "err_cond", "E_{y} / E_{∅}", over="err_uncond", shown=BRANCHES, **_ERROR
    ),
    "err_cos": Measure(
        "err_cos", "cos(δ_{y}, δ_{∅})", best="", shown=BRANCHES, **_COSINE
    ),
}
DISTANCES = tuple(one.metric for one in MEASURES.values() if one.distance)


def worth(metric: str, number: Decimal) -> Decimal | None:
    """The number as something that is better the larger; None: of no such metric."""
    kinds = {one.metric: one.best for one in MEASURES.values()}
    signed = {"low": -number, "high": number, "one": -abs(number - 1)}
    return signed[kinds[metric]] if kinds.get(metric) else None


def quality(*shown: str) -> list[str]:
    """Columns of sample metrics that are shown in one of these ways."""
    return [
        name
        for name, measure in MEASURES.items()
        if measure.stage == QUALITY and measure.shown in shown
    ]
