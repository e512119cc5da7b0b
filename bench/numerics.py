"""What half precision costs in quality, at the demo's size: fp16 against fp32.

    python -m bench.numerics FOLDER     # half an hour of a core; repeat it to go on

Trains a teacher, DASH and scratch on the handwritten digits with three seeds, each in
both precisions, all else equal: the same initial weights, images, timesteps and noises.
Gaps are measured in float32, samples are made in the precision of the training. Writes
bench/results/numerics-digits.csv, one number a row.
"""

from __future__ import annotations

import argparse
import copy
import csv
import io
import shutil
import statistics
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.folder_job import FolderJob
from bench.parts import Outcome, Part, Parts
from dash_repro import runtime
from dash_repro.data.dataset import Dataset, save_dataset
from dash_repro.data.prepare import prepare
from dash_repro.diffusion.generate import generate
from dash_repro.diffusion.sampling import Sampling
from dash_repro.diffusion.schedule import Schedule
from dash_repro.evaluation.calibration import (
    draw_pairs,
    measure_gaps,
    summarize_calibration,
)
from dash_repro.evaluation.extractors import Extractor, build_extractor
from dash_repro.evaluation.metrics import compute_metrics
from dash_repro.evaluation.profile import device_name
from dash_repro.evaluation.reference import Reference, build_reference
from dash_repro.models.checkpoint import load_checkpoint
from dash_repro.models.precision import inference_network
from dash_repro.params import load_params
from dash_repro.training.students import train_students
from dash_repro.training.teachers import export_tirt, train_teacher

ROOT = Path(__file__).resolve().parents[1]
RESULT = ROOT / "bench" / "results" / "numerics-digits.csv"
SEEDS = (42, 123, 456)
PRECISIONS = ("fp32", "fp16")
STUDENTS = ("dash", "scratch")
SAMPLES, PAIRS = 500, 2048
T_2 = 4.303  # Student's t, 2 degrees of freedom, two-sided 95 %
COLUMNS = ("device", "seed", "numerics", "network", "metric", "value")


def main(arguments: list[str] | None = None) -> int:
    """Measure what is missing, and write the table when nothing is."""
    parser = argparse.ArgumentParser(prog="bench.numerics", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--params", type=Path, default=ROOT / "config/demo.params.yaml")
    parser.add_argument("--result", type=Path, default=RESULT)
    options = parser.parse_args(arguments)
    study = Study(options.folder, load_params(options.params))
    parts = Parts(options.folder / "parts", float("inf"), print)
    wanted = [
        Part(f"{numerics} seed {seed}", 0.0, lambda s=seed, n=numerics: study.run(s, n))
        for seed in SEEDS
        for numerics in PRECISIONS
    ]
    parts.run(wanted, lambda: None)
    found = [parts.found(part.name) for part in wanted]
    bad = [one.note for one in found if one is None or one.status != "done"]
    if bad:
        print("\n".join(bad), file=sys.stderr)
        return 1
    rows = [row for one in found for row in one.values["rows"]]
    text = as_csv(rows)
    options.result.write_text(text, encoding="utf-8")
    print("\n".join(summary(text)))
    return 0


class Study:
    """The trainings and measurements; their files lie under one folder."""

    def __init__(self, folder: Path, params: dict[str, Any]) -> None:
        self.folder, self.params = folder, copy.deepcopy(params)
        # more than the demo takes: what remains is the precision, not the few images
        self.params["generate_samples"]["num_samples"] = SAMPLES
        self.params["measure_calibration"]["pairs"] = PAIRS
        self.device = runtime.configure()
        self._common: tuple[Dataset, Extractor, Reference] | None = None

    def common(self) -> tuple[Dataset, Extractor, Reference]:
        """Data, extractor and reference, the same for all."""
        if self._common is None:
            dataset = prepare(self.params["prepare_data"]["digits"])
            extractor = build_extractor(self.params["extractor"], self.device)
            split = self.params["extract_reference"]["split"]
            args = (dataset, extractor, split, self.device)
            self._common = dataset, extractor, build_reference(*args)
        return self._common

    def run(self, seed: int, numerics: str) -> Outcome:
        """Train and measure a seed in one precision."""
        folder = self.folder / f"{numerics}-{seed}"
        folder.mkdir(parents=True, exist_ok=True)
        dataset, _, _ = self.common()
        save_dataset(folder / "images.npz", dataset)
        params = copy.deepcopy(self.params)
        for section in ("train_teacher", "train_student", "generate_samples"):
            params[section]["numerics"] = numerics
        self._train(folder, params, seed)
        rows = [
            {"seed": seed, "numerics": numerics, "device": device_name(self.device)}
            | {"network": network, "metric": metric, "value": value}
            for network in ("teacher", *STUDENTS)
            for metric, value in self._measure(folder, params, network)
        ]
        shutil.rmtree(folder / "state", ignore_errors=True)
        return Outcome(values={"rows": rows})

    def _train(self, folder: Path, params: dict[str, Any], seed: int) -> None:
        def job(stage: str, **item: Any) -> FolderJob:
            named = {"dataset": "digits", **item, "seed": seed}
            return FolderJob(folder, lambda: False, stage, params, named)

        train_teacher(job("train_teacher", teacher="tirt"), self.device)
        export_tirt(job("export_tirt", teacher="tirt"))
        width = params["experiments"]["table3"]["width"]
        jobs = [job("train_student", student=s, width=width) for s in STUDENTS]
        train_students(jobs, self.device)
        for one in jobs:
            if one.error is not None:
                raise one.error

    def _measure(
        self, folder: Path, params: dict[str, Any], network: str
    ) -> Iterator[tuple[str, float]]:
        path = folder if network == "teacher" else folder / network
        path = path / "model.safetensors"
        if network != "teacher":
            yield from self._gaps(path, folder / "model.safetensors", params)
        _, extractor, reference = self.common()
        loaded, made = load_checkpoint(path), params["generate_samples"]
        item = {"guidance": "constant", "sampling_seed": 0}
        shared = params["experiments"]["sampling"]
        item |= {"scale": shared["guidance_scale"], "steps": shared["steps"]}
        shape = loaded.config.image_shape
        sampling = Sampling.from_params(params, item, loaded.config.num_classes, shape)
        model = inference_network(loaded.model, made["numerics"], self.device)
        schedule = Schedule.from_params(params["diffusion"])
        images = generate(model, schedule, sampling, device=self.device)
        settings = params["compute_metrics"]
        args = (images, reference, extractor, settings, self.device)
        metrics = compute_metrics(*args)["metrics"]
        for key in ("frechet", "kid"):
            yield metrics[key]["name"], metrics[key]["value"]

    def _gaps(
        self, student: Path, teacher: Path, params: dict[str, Any]
    ) -> Iterator[tuple[str, float]]:
        settings, schedule = params["measure_calibration"], params["diffusion"]
        dataset, schedule = self.common()[0], Schedule.from_params(schedule)
        images, labels = dataset.split("test")
        total, seed = schedule.timesteps, settings["seed"]
        pairs = draw_pairs(labels, settings["pairs"], total, seed)
        networks = [
            inference_network(load_checkpoint(path).model, "fp32", self.device)
            for path in (student, teacher)
        ]
        size = settings["batch_size"]
        data = (images, pairs, schedule, dataset.num_classes, seed, size, self.device)
        stats = measure_gaps(*networks, *data)
        found = summarize_calibration(stats, pairs, total, settings["bins"])
        for name in ("rho", "cos", "gap_mse"):
            yield name, found[name]


def as_csv(rows: list[dict[str, Any]]) -> str:
    """One number a row."""
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows({**row, "value": f"{row['value']:.7g}"} for row in rows)
    return out.getvalue()


def summary(text: str) -> list[str]:
    """Means and differences fp16 - fp32, paired by seed, as lines of a Markdown table.

    The interval is Student's t of the three differences.

    Args:
        text: of `as_csv`.
    """
    rows = list(csv.DictReader(io.StringIO(text)))
    lines = ["| network | | fp32: mean (sd over seeds) | fp16 - fp32 | 95 % interval |"]
    lines.append("|---|---|---|---|---|")
    for key in dict.fromkeys((row["network"], row["metric"]) for row in rows):
        values = {
            numerics: {
                row["seed"]: float(row["value"])
                for row in rows
                if (row["network"], row["metric"], row["numerics"]) == (*key, numerics)
            }
            for numerics in PRECISIONS
        }
        full, half = values["fp32"], values["fp16"]
        apart = [half[seed] - full[seed] for seed in full]
        mean = statistics.mean(apart)
        reach = T_2 * statistics.stdev(apart) / len(apart) ** 0.5
        own = list(full.values())
        lines.append(
            f"| {key[0]} | {key[1]} | {statistics.mean(own):.4g} "
            f"({statistics.stdev(own):.2g}) | {mean:+.2g} | "
            f"{mean - reach:+.2g} to {mean + reach:+.2g} |"
        )
    return lines


if __name__ == "__main__":
    sys.exit(main())
