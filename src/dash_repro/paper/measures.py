"""What the columns of tables measure: one entry a metric, read by every table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

QUALITY, CALIBRATION = "compute_metrics", "measure_calibration"
MAIN, SPREAD, STANDIN = "main", "spread", "stand-in"


@dataclass(frozen=True)
class Measure:
    """How tables show a metric.

    Attributes:
        metric: its key in metrics.json or calibration.json.
        stage: the stage that makes the file.
        heading: of a column; of sample metrics the arrow behind the name that the
            extractor gives the metric.
        decimals: key of section make_table that says how many digits are printed.
        exponent: it is printed in units of 10^-exponent.
        distance: zero is best, so that one above the constant image's is marked.
        shown: of sample metrics: MAIN in every table of results, SPREAD only where
            spreads are, STANDIN only there and beside a stand-in for FID.
    """

    metric: str
    stage: str
    heading: str
    decimals: str = "decimals"
    exponent: int = 0
    distance: bool = False
    shown: str = SPREAD

    def digits(self, settings: Mapping[str, Any]) -> int:
        """Digits after the point, by section make_table of params.yaml."""
        return settings[self.decimals]


MEASURES: dict[str, Measure] = {  # by the end of a column's name
    "fid": Measure("frechet", QUALITY, "↓", distance=True, shown=MAIN),
    "is": Measure("inception_score", QUALITY, "↑", shown=MAIN),
    "kid": Measure("kid", QUALITY, "↓", exponent=3, distance=True, shown=STANDIN),
    "rho": Measure("rho", CALIBRATION, "ρ", "calibration_decimals"),
    "cos": Measure("cos", CALIBRATION, "cos(Δ)", "calibration_decimals"),
    "gap_mse": Measure("gap_mse", CALIBRATION, "gap MSE", "gap_decimals"),
}
DISTANCES = tuple(one.metric for one in MEASURES.values() if one.distance)


def quality(*shown: str) -> list[str]:
    """Columns of sample metrics that are shown in one of these ways."""
    return [
        name
        for name, measure in MEASURES.items()
        if measure.stage == QUALITY and measure.shown in shown
    ]
