"""The interval of a printed number, or why it has none."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from dash_repro.paper.aggregate import SPREADS, Cell, round_half_up
from dash_repro.paper.markup import with_minus
from dash_repro.paper.uncertainty import Estimate, estimate_of

ERROR_RATE = 0.05
NO_INTERVAL = {  # by the kind of a cell; a dash says why it is one
    "param": "a setting",
    "definition": "so by definition",
    "literature": "the paper gives none",
    "record": "a record of what one run took",
    "claim": "its numbers carry their own",
    "text": "a word",
}
COUNTS = ("parameters", "sampling_flops")  # of profile.json


def interval_fields(cell: Cell) -> dict[str, Any]:
    """What the sidecar says of a cell's interval.

    Returns:
        "interval": [lowest, highest] in the cell's unit and digits, or []; and
        "interval_note": over what it is, or why there is none.
    """
    if cell.kind == "dash":
        return {"interval": [], "interval_note": ""}
    why = NO_INTERVAL.get(cell.kind) or _why_none(cell)
    if why:
        return {"interval": [], "interval_note": f"no interval: {why}"}
    estimate = estimate_of(cell.values, cell.statistic, cell.ddof)
    ends = (end.scaleb(cell.exponent) for end in estimate.interval(ERROR_RATE))
    texts = [round_half_up(end, cell.decimals) for end in ends]
    return {"interval": texts, "interval_note": _over(cell, estimate)}


def _why_none(cell: Cell) -> str:
    if cell.statistic in SPREADS:
        return "the number is a spread itself"
    if cell.metric == "profile":
        counted = cell.name in COUNTS
        return "a count is exact" if counted else "measured once, on one machine"
    if estimate_of(cell.values, cell.statistic, cell.ddof).standard_error:
        return ""
    if all(value.error and not Decimal(value.error) for value in cell.values):
        return "its images are all the same"
    return "a single run, so nothing is known of its spread"


def _over(cell: Cell, estimate: Estimate) -> str:
    """What an interval is over, in words."""
    trained = any(value.seed for value in cell.values)
    seeds, unknown = [], []
    if estimate.without:
        seeds.append(f"{len(estimate.without)} training seeds")
    elif trained:
        unknown.append("trainings")
    what = "pairs" if cell.values[0].stage == "measure_calibration" else "samples"
    if estimate.resampled:
        seeds.append(f"{len(estimate.resampled)} sampling seeds")
    elif estimate.sampling_error:
        seeds.append(f"{cell.n} {what if trained else 'images'}")
    else:
        unknown.append(what)
    known = "".join(f"; the spread over {one} is not known" for one in unknown)
    return f"{100 * (1 - ERROR_RATE):.0f} % interval over {' and '.join(seeds)}{known}"


def interval_text(cell: Mapping[str, Any]) -> str:
    """A cell's interval, or why it has none, in one sentence.

    Args:
        cell: of a table's sidecar.
    """
    ends = with_minus(" to ".join(cell["interval"]))
    return f"{cell['interval_note']}: {ends}" if ends else cell["interval_note"]
