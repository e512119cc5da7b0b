"""The page and the table of a first contact."""

from __future__ import annotations

from collections.abc import Mapping

from bench.gates import Gate
from bench.measure import Row
from bench.parts import Outcome
from bench.report import as_csv, as_markdown, figures


def as_table(
    machine: Mapping[str, str], outcomes: Mapping[str, Outcome], peak: float
) -> str:
    """Gates and timings as CSV; each row names the device."""
    gates, rows = _measured(outcomes)
    return as_csv(machine, gates, figures(rows, peak) if peak else [])


def as_page(
    machine: Mapping[str, str],
    outcomes: Mapping[str, Outcome],
    left: list[str],
    peak: float,
) -> str:
    """Everything found so far, and what is missing and why."""
    gates, rows = _measured(outcomes)
    table = figures(rows, peak) if peak else []
    device = machine["device"]
    lines = [f"# First contact: {device}", ""]
    if left:
        lines += [f"Not finished. Still to do: {', '.join(left)}.", ""]
    lines += [as_markdown("Gates and timings", machine, gates, table)]
    lines += [f"## The short run ({device})", "", "| part | result |", "|---|---|"]
    for name, outcome in outcomes.items():
        if name.startswith("run: "):
            values = [f"{key} {_text(value)}" for key, value in outcome.values.items()]
            lines.append(f"| {name.removeprefix('run: ')} | {'; '.join(values)} |")
    lines += ["", "Distances are to the held-out images: value, and 95 % interval of a"]
    lines += [
        "jackknife over tenths of the samples. `samples.png` has the same noises."
    ]
    lines += ["", "## Parts", "", "| part | | seconds | |", "|---|---|---|---|"]
    for name, outcome in outcomes.items():
        note = outcome.note.splitlines()[0].replace("|", "\\|") if outcome.note else ""
        lines.append(f"| {name} | {outcome.status} | {outcome.seconds:g} | {note} |")
    for name, outcome in outcomes.items():
        if outcome.status == "failed":
            lines += ["", f"### Why {name!r} failed", "", "```", outcome.note, "```"]
    return "\n".join(lines) + "\n"


def _measured(outcomes: Mapping[str, Outcome]) -> tuple[list[Gate], list[Row]]:
    """All gates; and rows, one for what several parts measured."""
    gates = [gate for outcome in outcomes.values() for gate in outcome.gates]
    rows: dict[tuple, Row] = {}
    for outcome in outcomes.values():
        for row in outcome.rows:
            known = rows.setdefault((row.section, row.name, row.launch), row)
            if known is not row:
                known.values += row.values
                known.cpu += row.cpu
    # what others are compared with comes first, whenever it was measured
    return gates, sorted(rows.values(), key=lambda row: "plain" not in row.name)


def _text(value: object) -> str:
    if isinstance(value, list) and [type(one) for one in value] == [float] * 3:
        return "{:.4g} ({:.4g} to {:.4g})".format(*value)
    if isinstance(value, dict):
        return ", ".join(f"{key} {_text(one)}" for key, one in value.items())
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return f"{value:.4g}" if isinstance(value, float) else str(value)
