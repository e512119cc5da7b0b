"""`make gpu`: the first hour with a GPU, in one command; see docs/gpu.md.

Gates against float64 on the CPU, then the benchmark, then a short real training from
class folders. Everything is written under one output folder, nothing is downloaded. It
goes in pieces: the same command goes on where the last one ended.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

from bench.contact_report import as_page, as_table
from bench.gates import Unit, common_units, launch_units
from bench.machine import describe_machine, load, measure_machine, slug
from bench.measure import Variant
from bench.parts import Outcome, Part, Parts
from bench.presets import PRESETS
from bench.sampling import PLAIN, metric_rows, role_rows
from bench.short_run import ShortRun
from bench.training import alone, packs, plain_steps, state_rows, timed
from bench.work import Work
from dash_repro import runtime
from dash_repro.launch import LAUNCHES, compiler_missing
from dash_repro.params import load_params
from runledger import write_atomic
from runledger.errors import UserError

ROOT = Path(__file__).resolve().parents[1]
FREE_GB = {"contact": 4.0, "rehearsal": 0.1}
RUN_SECONDS = {"contact": 240.0, "rehearsal": 0.5}


def main(arguments: list[str] | None = None) -> int:
    """Run a piece of it.

    Returns:
        0: all that was done passed (it says whether there is more to do); 1: a part or
        a gate failed; 2: it cannot start here, or the disk is full.
    """
    parser = argparse.ArgumentParser(prog="bench.contact", description=__doc__)
    parser.add_argument("--output", type=Path, required=True, help="all files go here")
    parser.add_argument("--data", type=Path, help="class folders, or a tar of them")
    parser.add_argument("--minutes", type=float, default=9.0, help="of this piece")
    parser.add_argument(
        "--rehearse", action="store_true", help="tiny sizes, on a CPU if need be"
    )
    parser.add_argument(
        "--launches",
        nargs="+",
        choices=LAUNCHES,
        help="only these now; the rest when it is left out again",
    )
    parser.add_argument(
        "--only",
        nargs="+",
        default=[],
        help="parts whose names begin so: machine, gates, timing, run",
    )
    parser.add_argument(
        "--training", type=float, help="seconds of the short training (240)"
    )
    options = parser.parse_args(arguments)
    try:
        contact = Contact(options)
        complete = contact.parts.run(contact.chosen(options.only), contact.write)
        contact.write()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    bad = contact.failures()
    for name, why in bad:
        _say(f"FAILED: {name}: {why.splitlines()[0]}")
    again = "finished" if complete else "not finished: run the same command again"
    _say(f"{again}. Report: {contact.report / 'report.md'}")
    return int(bool(bad))


class Contact:
    """What is measured here, where it is written, and what was found so far.

    Raises:
        UserError: there is no GPU to meet, or no room on the disk.
    """

    def __init__(self, options: argparse.Namespace) -> None:
        name = "rehearsal" if options.rehearse else "contact"
        preset = PRESETS[name]
        if options.launches:
            kept = tuple(one for one in preset.launches if one in options.launches)
            preset = dataclasses.replace(preset, launches=kept)
        params = load_params(ROOT / preset.params)
        if not options.rehearse:
            # float64 on the CPU is the reference: let it have the processor
            os.environ.setdefault("RUNLEDGER_THREADS", str(os.cpu_count() or 1))
        device = runtime.configure(params["train_student"]["numerics"])
        if device.type != "cuda" and not options.rehearse:
            raise UserError(
                "no GPU is seen",
                "torch.cuda.is_available()",
                "run it where there is one (--rehearse: tiny sizes, on the CPU)",
            )
        self.missing = compiler_missing() if "compile" in preset.launches else None
        if self.missing:
            kept = tuple(one for one in preset.launches if one != "compile")
            preset = dataclasses.replace(preset, launches=kept)
        self.work = Work(preset, params, device)
        self.machine = describe_machine(device)
        self.folder = options.output / f"{name}-{slug(self.machine['device'])}"
        self.report = options.output / "report"
        for folder in (self.folder, self.report):
            folder.mkdir(parents=True, exist_ok=True)
        self.work.truths = self.folder / "truth"
        _require_room(options.output, FREE_GB[name])
        self.parts = Parts(self.folder / "parts", options.minutes * 60, _say)
        run = self.folder / "run"
        seconds = options.training or RUN_SECONDS[name]
        self.run = ShortRun(self.work, self.parts, run, options.data, seconds)

    def all_parts(self) -> list[Part]:
        """Everything, in the order of its worth.

        A launch that compiles comes after the short training: it takes minutes. What
        plain code and the slowest launch take comes last.
        """
        launches = self.work.preset.launches
        quick = [launch for launch in launches if launch != "compile"]
        slow = [launch for launch in launches if launch == "compile"]
        return [
            Part("machine", 30, self._machine),
            *self._gates(common_units(self.work)),
            *(part for one in quick for part in self._launch_gates(one)),
            *(part for one in quick[-1:] for part in self._steps(one)),
            *self.run.all_parts(),
            *(part for one in slow for part in self._steps(one)),
            *(part for one in slow for part in self._launch_gates(one)),
            *self._sampling(launches[1:]),
            *self._plain_timings(),
            *(part for one in quick[:-1] for part in self._steps(one)),
            *self._sampling(launches[:1]),
            *self._other_timings(),
        ]

    def chosen(self, beginnings: list[str]) -> list[Part]:
        """Parts whose names begin with one of these; without any, all."""
        found = [p for p in self.all_parts() if p.name.startswith(tuple(beginnings))]
        return found if beginnings else self.all_parts()

    def _launch_gates(self, launch: str) -> list[Part]:
        return self._gates(launch_units(self.work, launch))

    def _gates(self, units: list[Unit]) -> list[Part]:
        def work(measure: Callable) -> Outcome:
            return Outcome(gates=list(measure(self.work)))

        return [Part(f"gates: {k}", 120, partial(work, f)) for k, f in units]

    def _steps(self, launch: str) -> Iterator[Part]:
        """The training steps of the paper's main results."""
        yield self._steps_of(f"step, {launch}", packs(self.work, [launch]))
        yield self._steps_of(
            f"teacher step, {launch}", alone(self.work, None, [launch])
        )

    def _sampling(self, ways: Sequence[str]) -> Iterator[Part]:
        for way in ways:
            for role in ("student", "teacher"):
                name = f"sampling, {role}, {way}"
                yield self._timing(name, partial(role_rows, self.work, role, [way]))

    def _plain_timings(self) -> Iterator[Part]:
        """What all launches are compared with, measured once."""
        work = self.work
        yield self._steps_of("step, plain", plain_steps(work, work.preset.widths[0]))
        yield self._steps_of("teacher step, plain", plain_steps(work, None))
        yield from self._sampling([PLAIN])

    def _other_timings(self) -> Iterator[Part]:
        for width in self.work.preset.widths[1:]:
            for launch in self.work.preset.launches:
                variants = alone(self.work, width, [launch])
                yield self._steps_of(f"step, width {width}, {launch}", variants)
        for name, measure in (("state", state_rows), ("metrics", metric_rows)):
            yield self._timing(name, partial(measure, self.work))

    def _machine(self) -> Outcome:
        values = {"peak": measure_machine(self.machine, self.work)}
        return Outcome(values={**values, "machine": self.machine})

    def _steps_of(self, name: str, variants: Iterable[Variant]) -> Part:
        return self._timing(name, lambda: timed(self.work, variants))

    def _timing(self, name: str, measure: Callable) -> Part:
        def work() -> Outcome:
            found = measure()
            rows, found_gates = found if isinstance(found, tuple) else (found, [])
            notes = [row.note for row in rows if not row.values]
            return Outcome(gates=found_gates, rows=rows, note="; ".join(notes))

        return Part(f"timing: {name}", 120, work)

    def outcomes(self) -> dict[str, Outcome]:
        """What was found so far, in order."""
        pairs = {part.name: self.parts.found(part.name) for part in self.all_parts()}
        return {name: found for name, found in pairs.items() if found is not None}

    def failures(self) -> list[tuple[str, str]]:
        """(part or gate, why) of all that did not pass."""
        found = []
        for name, outcome in self.outcomes().items():
            if outcome.status == "failed":
                found.append((name, outcome.note))
            for gate in outcome.gates:
                if not gate.passed:
                    found.append((gate.name, f"{gate.error:.3g}, not < {gate.bound:g}"))
        return found

    def write(self) -> None:
        """The report so far: report.md, results.csv, status.json, samples.png."""
        outcomes, names = self.outcomes(), [part.name for part in self.all_parts()]
        measured = outcomes.get("machine")
        machine = dict(measured.values["machine"] if measured else self.machine)
        machine["load at the end"] = load()
        if self.missing:
            machine["left out: compile"] = self.missing
        peak = measured.values["peak"] if measured else 0.0
        left = [name for name in names if name not in outcomes]
        status = {
            "device": machine["device"],
            "finished": not left,
            "left": left,
            "failed": dict(self.failures()),
        }
        page = as_page(machine, outcomes, left, peak)
        write_atomic(self.report / "report.md", page)
        write_atomic(self.report / "results.csv", as_table(machine, outcomes, peak))
        write_atomic(self.report / "status.json", json.dumps(status, indent=1))
        picture = self.run.folder / "samples.png"
        if picture.exists():
            shutil.copyfile(picture, self.report / "samples.png")


def _require_room(folder: Path, gigabytes: float) -> None:
    free = shutil.disk_usage(folder).free / 1e9
    if free < gigabytes:
        raise UserError(
            f"{free:.1f} GB are free, and {gigabytes:g} GB are needed",
            str(folder),
            "make room, or name another output folder",
        )


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
