"""`make bench`: gates, then timings, one table; see docs/speed.md."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch

from bench.gates import Gate, gates
from bench.machine import copy_bandwidth, describe_machine, load, matmul_rate
from bench.measure import Row
from bench.presets import PRESETS, Preset
from bench.report import as_csv, as_markdown, figures
from bench.sampling import metric_rows, sampling_rows
from bench.training import state_rows, student_rows, sustained_rows, teacher_rows
from bench.work import Work
from dash_repro import runtime
from dash_repro.params import load_params

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "bench" / "results"


def main() -> int:
    """Run it; 1 if a gate failed."""
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--preset", choices=PRESETS, help="default: by the device")
    parser.add_argument("--output", type=Path, default=RESULTS)
    parser.add_argument("--gates-only", action="store_true")
    chosen = parser.parse_args()
    name = chosen.preset or ("gpu" if torch.cuda.is_available() else "cpu")
    preset = PRESETS[name]
    device = runtime.configure(preset.numerics)
    if name == "cpu":
        device = torch.device("cpu")
    work = Work(preset, load_params(ROOT / preset.params), device)
    machine = describe_machine(device)
    peak = _measure_machine(machine, preset, device)
    passed: list[Gate] = []
    for gate in gates(work):
        passed.append(gate)
        _say(f"gate: {gate.name}: {gate.error:.3g} (bound {gate.bound:g})")
    if chosen.gates_only:
        return int(not all(gate.passed for gate in passed))
    rows: list[Row] = []
    for part in (
        *(student_rows, teacher_rows, sampling_rows),
        *(state_rows, metric_rows, sustained_rows),
    ):
        _say(f"timing: {part.__name__}")
        measured, more = part(work)
        rows, passed = rows + measured, passed + more
        machine["load at the end"] = load()
        # after each part: a run that is cut short leaves what it has
        page = _write(chosen.output, name, machine, passed, figures(rows, peak))
    print(page)
    return int(not all(gate.passed for gate in passed))


def _measure_machine(
    machine: dict[str, str], preset: Preset, device: torch.device
) -> float:
    """Add the measured rates; returns FLOP/s of the matrix product."""
    half = preset.numerics == "fp16"
    peak = matmul_rate(preset.matmul, torch.half if half else torch.float, device)
    machine["matrix product, measured"] = (
        f"{peak / 1e9:.5g} GFLOP/s, {preset.matmul} square, {preset.numerics}"
    )
    machine["copy, measured"] = (
        f"{copy_bandwidth(preset.copy_mb, device) / 1e9:.4g} GB/s"
    )
    return peak


def _write(
    folder: Path,
    preset: str,
    machine: dict[str, str],
    passed: list[Gate],
    table: list[dict[str, object]],
) -> str:
    """The table so far, as CSV and Markdown; returns the latter."""
    folder.mkdir(parents=True, exist_ok=True)
    page = as_markdown(
        f"{machine['device']}, preset `{preset}`", machine, passed, table
    )
    stem = f"{preset}-{_slug(machine['device'])}"
    (folder / f"{stem}.csv").write_text(as_csv(machine, passed, table), "utf-8")
    (folder / f"{stem}.md").write_text(page, "utf-8")
    if folder == RESULTS:
        _write_page()
    return page


def _write_page() -> None:
    """docs/benchmark.md, from all results at hand."""
    head = (ROOT / "bench" / "head.md").read_text("utf-8")
    parts = [path.read_text("utf-8") for path in sorted(RESULTS.glob("*.md"))]
    (ROOT / "docs" / "benchmark.md").write_text("\n".join([head, *parts]), "utf-8")


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _slug(text: str) -> str:
    kept = "".join(c.lower() if c.isalnum() else "-" for c in text)
    return "-".join(part for part in kept.split("-") if part)


if __name__ == "__main__":
    sys.exit(main())
