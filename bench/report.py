"""The table, as CSV for machines and Markdown for people."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.gates import Gate
from bench.machine import spread
from bench.measure import Row

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "bench" / "results"
COLUMNS = (
    "device",
    "section",
    "name",
    "launch",
    "pack",
    "unit",
    "median",
    "min",
    "max",
    "cpu_min",
    "images_per_s",
    "gflop_per_s",
    "utilisation",
    "gain",
    "gain_cpu",
    "note",
)


def figures(rows: Sequence[Row], peak: float) -> list[dict[str, object]]:
    """One dict of COLUMNS a row.

    Args:
        rows: measured.
        peak: FLOP/s of the matrix product, what utilisation is a share of.
    """
    found = []
    for row in rows:
        if not row.values:
            found.append(_unmeasured(row))
            continue
        median, low, high = spread(row.values)
        seconds = row.seconds()
        work = row.images * row.pack if row.unit == "ms/step" else row.images
        first = next(one for one in rows if one.section == row.section and one.values)
        # a pack does the work of `pack` plain steps
        gain = first.seconds() * row.pack / seconds
        gain_cpu = min(first.cpu) * row.pack / min(row.cpu)
        compared = first is not row
        found.append(
            {
                "section": row.section,
                "name": row.name,
                "launch": row.launch,
                "pack": row.pack,
                "unit": row.unit,
                "median": f"{median:.4g}",
                "min": f"{low:.4g}",
                "max": f"{high:.4g}",
                "cpu_min": f"{min(row.cpu):.4g}",
                "images_per_s": f"{work / seconds:.4g}" if work else "",
                "gflop_per_s": f"{row.flops / seconds / 1e9:.4g}" if row.flops else "",
                "utilisation": f"{row.flops / seconds / peak:.1%}" if row.flops else "",
                "gain": f"{gain:.2f}x" if compared else "",
                "gain_cpu": f"{gain_cpu:.2f}x" if compared else "",
                "note": row.note,
            }
        )
    return found


def _unmeasured(row: Row) -> dict[str, object]:
    known = {"section": row.section, "name": row.name, "launch": row.launch}
    known |= {"pack": row.pack, "unit": row.unit, "note": row.note}
    return {name: known.get(name, "") for name in COLUMNS}


def as_csv(
    machine: Mapping[str, str], gates: Sequence[Gate], rows: Sequence[dict[str, object]]
) -> str:
    """All of it, with the device's name in each row; machine and gates come first."""
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS, lineterminator="\n")
    writer.writeheader()
    found: list[Mapping[str, object]] = [
        {"section": "machine", "name": name, "note": value}
        for name, value in machine.items()
    ]
    for gate in gates:
        note = "passed" if gate.passed else "FAILED"
        cells = {"section": "gate", "name": gate.name, "unit": f"< {gate.bound:g}"}
        found.append({**cells, "median": f"{gate.error:.3g}", "note": note})
    # a row that is copied out of the file still says where it was measured
    writer.writerows({"device": machine["device"], **row} for row in [*found, *rows])
    return out.getvalue()


def as_markdown(
    title: str,
    machine: Mapping[str, str],
    gates: Sequence[Gate],
    rows: Sequence[dict[str, object]],
) -> str:
    """One page: machine, gates, a table a section."""
    lines = [f"## {title}", "", "| | |", "|---|---|"]
    lines += [f"| {name} | {value} |" for name, value in machine.items()]
    lines += ["", "| gate | error | bound | |", "|---|---|---|---|"]
    for gate in gates:
        verdict = "passed" if gate.passed else "**failed: no timing below counts**"
        name = gate.name.replace("|", "\\|")
        lines.append(f"| {name} | {gate.error:.2g} | {gate.bound:g} | {verdict} |")
    for section in dict.fromkeys(str(row["section"]) for row in rows):
        lines += ["", f"### {section}", ""]
        lines += _section([row for row in rows if row["section"] == section])
    return "\n".join(lines) + "\n"


def _section(rows: Sequence[dict[str, object]]) -> list[str]:
    unit = rows[0]["unit"]
    lines = [
        f"| | launch | {unit}: median (range) | processor, least | images/s "
        "| GFLOP/s | utilisation | gain | by processor time | |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        lines.append(
            "| {name} | {launch} | {time} | {cpu_min} | "
            "{images_per_s} | {gflop_per_s} | {utilisation} | {gain} | {gain_cpu} | "
            "{note} |".format(**row, time=_time(row))
        )
    return lines


def _time(row: dict[str, object]) -> str:
    return (
        "{median} ({min} to {max})".format(**row) if row["median"] else "not measured"
    )


def write_page() -> None:
    """docs/benchmark.md, from all results at hand."""
    head = (ROOT / "bench" / "head.md").read_text("utf-8")
    parts = [path.read_text("utf-8") for path in sorted(RESULTS.glob("*.md"))]
    (ROOT / "docs" / "benchmark.md").write_text("\n".join([head, *parts]), "utf-8")
