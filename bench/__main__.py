"""`make bench`: gates, then timings, one table; see docs/speed.md."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch

from bench.gates import Gate, gates
from bench.machine import describe_machine, load, measure_machine, slug
from bench.measure import Row
from bench.presets import PRESETS
from bench.report import RESULTS, ROOT, as_csv, as_markdown, figures, write_page
from bench.sampling import metric_rows, sampling_rows
from bench.training import state_rows, student_rows, sustained_rows, teacher_rows
from bench.work import Work
from dash_repro import runtime
from dash_repro.params import load_params


def main() -> int:
    """Run it; 1 if a gate failed."""
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--preset", choices=("cpu", "gpu"), help="or by the device")
    parser.add_argument("--output", type=Path, default=RESULTS)
    parser.add_argument("--gates-only", action="store_true")
    chosen = parser.parse_args()
    name = chosen.preset or ("gpu" if torch.cuda.is_available() else "cpu")
    preset = PRESETS[name]
    params = load_params(ROOT / preset.params)
    device = runtime.configure(params["train_student"]["numerics"])
    if name == "cpu":
        device = torch.device("cpu")
    work = Work(preset, params, device)
    machine = describe_machine(device)
    peak = measure_machine(machine, work)
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
    stem = f"{preset}-{slug(machine['device'])}"
    (folder / f"{stem}.csv").write_text(as_csv(machine, passed, table), "utf-8")
    (folder / f"{stem}.md").write_text(page, "utf-8")
    if folder == RESULTS:
        write_page()
    return page


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
