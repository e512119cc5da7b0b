"""A short real training from class folders: teacher, DASH and scratch, and samples."""

from __future__ import annotations

import copy
import tarfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from bench.folder_job import FolderJob
from bench.machine import wait
from bench.measure import NotHere
from bench.parts import Outcome, OutOfTime, Part, Parts
from bench.work import OurTraining, Work
from dash_repro.contact_sheet import contact_sheet
from dash_repro.data.dataset import load_dataset, save_dataset
from dash_repro.data.prepare import prepare
from dash_repro.diffusion.generate import generate
from dash_repro.diffusion.sampling import Sampling
from dash_repro.diffusion.schedule import Schedule
from dash_repro.evaluation.errors import EvaluationError
from dash_repro.evaluation.extractors import Extractor, build_extractor
from dash_repro.evaluation.features import extract_features
from dash_repro.evaluation.sample_metrics import METRICS
from dash_repro.evaluation.sample_metrics.frechet import (
    frechet_to_reference,
    gaussian_statistics,
)
from dash_repro.evaluation.sample_metrics.kid import squared_mmd
from dash_repro.launch import launch_mode
from dash_repro.models.checkpoint import load_checkpoint
from dash_repro.models.compiled import launched
from dash_repro.models.precision import inference_network
from dash_repro.training.students import train_students
from dash_repro.training.teachers import export_tirt, train_teacher
from runledger.errors import UserError

STUDENTS = ("dash", "scratch")
SHARES = {"teacher": 0.55, "students": 0.3}  # of the run's seconds; the rest samples
SEED, GROUPS, T_9 = 42, 10, 2.262  # Student's t, 9 degrees of freedom, two-sided 95 %
GUIDANCE = 2.0  # w: a network of minutes cannot bear the paper's 4
KID_IMAGES = 2000  # at most, of the reference


class ShortRun:
    """Trainings whose length is chosen by the speed of the machine.

    Args:
        work: gives params, sizes and the device.
        parts: the clock, and what is done.
        folder: for data, states, checkpoints and samples.
        data: class folders (train/<class>/..., test/<class>/...) or a tar archive of
            them; None: the run is left out.
        seconds: of trainings, samples and metrics together.
    """

    def __init__(
        self, work: Work, parts: Parts, folder: Path, data: Path | None, seconds: float
    ) -> None:
        self.work, self.parts, self.folder = work, parts, folder
        self.data, self.seconds = data, seconds
        # of a piece, in which no training step is begun: writing a state takes time
        self.reserve = min(20.0, parts.seconds / 5)
        self.launch = launch_mode(work.device.type)

    def all_parts(self) -> list[Part]:
        """In the order in which they depend on each other."""
        share = self.seconds * (1 - sum(SHARES.values())) / 3
        parts = [
            Part("run: images", 60, self._images),
            Part("run: speed", 60, self._speed),
            Part("run: teacher", 60, self._teacher),
            Part("run: students", 60, self._students),
        ]
        for name in ("teacher", *STUDENTS):
            work = self._measuring(name)
            parts.append(Part(f"run: samples of {name}", max(share, 60), work))
        return [*parts, Part("run: picture", 10, self._picture)]

    def _done(self, name: str) -> dict[str, Any]:
        """Values of an earlier part, without which this one is left out."""
        outcome = self.parts.found(name)
        if outcome is None or outcome.status != "done":
            raise NotHere(f"{name!r} has no result")
        return outcome.values

    def _images(self) -> Outcome:
        if self.data is None:
            raise NotHere("no images: name class folders or a tar archive with DATA=")
        source = self._unpacked(self.data)
        block = {"source": "folder", "name": "", "path": str(source), "channels": 3}
        block |= {"image_size": self.work.preset.image_size}
        dataset = prepare({**block, "max_train": None, "max_test": None})
        self.folder.mkdir(parents=True, exist_ok=True)
        save_dataset(self.folder / "images.npz", dataset)
        found = {s: len(dataset.split(s)[0]) for s in ("train", "test")}
        return Outcome(values={**found, "classes": dataset.num_classes})

    def _unpacked(self, data: Path) -> Path:
        if data.is_dir():
            return _splits_in(data)
        target = self.folder / "unpacked"
        try:
            with tarfile.open(data) as archive:
                _extract(archive, target)
        except (tarfile.TarError, FileNotFoundError) as error:
            raise UserError(
                f"neither a folder nor a tar archive: {error}",
                str(data),
                "name class folders (train/<class>/, test/<class>/) with DATA=",
            ) from None
        return _splits_in(target)

    def params(self) -> dict[str, Any]:
        """The preset's params with lengths that fit the time, and sizes that it has."""
        plan = self._done("run: speed")
        params = copy.deepcopy(dict(self.work.params))
        for section, count in plan["iterations"].items():
            params[section] |= {
                "iterations": count,
                "batch_size": self.work.preset.batch,
                # the average must forget the start of a short training
                "ema_decay": min(params[section]["ema_decay"], 1 - 10 / (count + 20)),
            }
        params["train_teacher"] |= {"width": self.work.preset.teacher_width}
        every = max(1, plan["iterations"]["train_student"] // 20)
        params["train_student"] |= {"monitor_every": every}
        return params

    def _speed(self) -> Outcome:
        """Seconds of a step, measured; and lengths of training that fill the time."""
        self._done("run: images")
        width = self.work.preset.widths[0]
        seconds = {
            "train_teacher": self._step_seconds(None, 1),
            "train_student": self._step_seconds(width, len(STUDENTS)),
        }
        wanted = dict(zip(seconds, SHARES.values(), strict=True))
        iterations = {
            section: max(4, int(self.seconds * wanted[section] / each))
            for section, each in seconds.items()
        }
        values = {"seconds_a_step": seconds, "iterations": iterations}
        return Outcome(values={**values, "launch": self.launch})

    def _step_seconds(self, width: int | None, pack: int) -> float:
        numerics = self.work.numerics
        training = OurTraining(self.work, width, pack, self.launch, numerics)
        warm_up = self.work.preset.warm_up
        for _ in range(warm_up):
            training.step()
        wait(self.work.device)
        start = time.perf_counter()
        for _ in range(2 * warm_up):
            training.step()
        wait(self.work.device)
        return (time.perf_counter() - start) / (2 * warm_up)

    def _teacher(self) -> Outcome:
        job = self._job("train_teacher", teacher="tirt")
        if not train_teacher(job, self.work.device):
            raise OutOfTime
        export_tirt(self._job("export_tirt", teacher="tirt"))
        return Outcome(values={"iterations": job.params["train_teacher"]["iterations"]})

    def _students(self) -> Outcome:
        self._done("run: teacher")
        width = self.work.preset.widths[0]
        jobs = [
            self._job("train_student", student=name, width=width) for name in STUDENTS
        ]
        complete = train_students(jobs, self.work.device)
        for job in jobs:
            if job.error is not None:
                raise job.error
        if not complete:
            raise OutOfTime
        count = jobs[0].params["train_student"]["iterations"]
        return Outcome(values={"iterations": count})

    def _job(self, stage: str, **item: Any) -> FolderJob:
        def stop() -> bool:
            return self.parts.left() < self.reserve

        item = {"dataset": "run", **item, "seed": SEED}
        return FolderJob(self.folder, stop, stage, self.params(), item)

    def _checkpoint(self, name: str) -> Path:
        folder = self.folder if name == "teacher" else self.folder / name
        return folder / "model.safetensors"

    def _measuring(self, name: str) -> Callable[[], Outcome]:
        return lambda: self._measured(name)

    def _measured(self, name: str) -> Outcome:
        """Samples of a network, and their distances from held-out images."""
        self._done("run: teacher" if name == "teacher" else "run: students")
        images = self._samples(name)
        np.savez(self.folder / f"{name}.npz", images=images)
        try:
            extractor = build_extractor({"name": "effnetlite0"}, self.work.device)
        except (EvaluationError, ImportError) as error:
            note = f"no distances: {error}"
            return Outcome(values={"images": len(images)}, note=note)
        reference = self.work.once("held out", lambda: self._held_out(extractor))
        features, _ = extract_features(images, extractor, self.work.device)
        values = _distances(features, reference, extractor)
        return Outcome(values={"images": len(images), **values})

    def _held_out(self, extractor: Extractor) -> np.ndarray:
        test, _ = load_dataset(self.folder / "images.npz").split("test")
        return extract_features(test, extractor, self.work.device)[0]

    def _samples(self, name: str) -> np.ndarray:
        preset, device = self.work.preset, self.work.device
        params, checkpoint = self.params(), load_checkpoint(self._checkpoint(name))
        params["generate_samples"] |= {
            "num_samples": preset.samples,
            "chunk_size": preset.sample_chunk,
        }
        numerics = params["generate_samples"]["numerics"]
        item = {"guidance": "constant", "scale": GUIDANCE, "sampling_seed": 0}
        item |= {"steps": preset.sample_steps}
        config = checkpoint.config
        sampling = Sampling.from_params(
            params, item, config.num_classes, config.image_shape
        )
        network = inference_network(checkpoint.model, numerics, device)
        state = self.folder / "state" / f"samples-{name}"

        def progress(done: int, of: int) -> None:
            if done < of and self.parts.left() < self.reserve:
                raise OutOfTime

        return generate(
            launched(network, self.launch),
            Schedule.from_params(params["diffusion"]),
            sampling,
            state=state,
            device=device,
            progress=progress,
        )

    def _picture(self) -> Outcome:
        """Grids of the same noises and labels, side by side."""
        grids = []
        for name in ("teacher", *STUDENTS):
            path = self.folder / f"{name}.npz"
            if path.exists():
                grids.append((name, np.load(path)["images"][:36]))
        if not grids:
            raise NotHere("no samples were made")
        path = self.folder / "samples.png"
        contact_sheet(grids, scale=2).save(path)
        return Outcome(values={"picture": path.name, "networks": [n for n, _ in grids]})


def _extract(archive: tarfile.TarFile, target: Path) -> None:
    """Unpack files and folders (Python before 3.11.4 has no filter for that).

    Raises:
        tarfile.TarError: a name leads out of the target.
    """
    members = [member for member in archive if member.isfile() or member.isdir()]
    for member in members:
        if not (target / member.name).resolve().is_relative_to(target.resolve()):
            raise tarfile.TarError(f"{member.name} leads out of the archive's folder")
        member.mode = 0o755 if member.isdir() else 0o644
    archive.extractall(target, members)


def _splits_in(folder: Path) -> Path:
    """The folder that has train and test, here or one level down."""
    for one in (folder, *sorted(folder.iterdir())):
        if (one / "train").is_dir() and (one / "test").is_dir():
            return one
    raise UserError(
        "no folders train and test are in it",
        str(folder),
        "name class folders (train/<class>/, test/<class>/) with DATA=",
    )


def jackknife(
    measure: Callable[[np.ndarray], float], features: np.ndarray
) -> tuple[float, float, float]:
    """A statistic of images, and its 95 % interval from leaving out a tenth at a time.

    The groups are random; the standard error is sqrt((g - 1) / g) times the root of the
    summed squared deviations of the g values (Efron and Stein 1981), the interval
    Student's t with g - 1 degrees of freedom around the statistic of all images.

    Returns:
        value, low, high.
    """
    groups = np.random.default_rng(0).permutation(len(features)) % GROUPS
    left = [measure(features[groups != group]) for group in range(GROUPS)]
    spread = np.square(np.array(left) - np.mean(left)).sum()
    half = T_9 * float(np.sqrt(spread * (GROUPS - 1) / GROUPS))
    value = measure(features)
    return value, value - half, value + half


def _distances(
    features: np.ndarray, reference: np.ndarray, extractor: Extractor
) -> dict[str, list[float]]:
    mean, covariance = gaussian_statistics(reference)
    few = reference[:: max(1, len(reference) // KID_IMAGES)].astype(np.float64)
    found = {
        extractor.metric_name(METRICS["frechet"]): jackknife(
            lambda part: frechet_to_reference(part, mean, covariance), features
        ),
        extractor.metric_name(METRICS["kid"]): jackknife(
            lambda part: squared_mmd(part.astype(np.float64), few), features
        ),
    }
    return {
        name: [float(f"{value:.6g}") for value in three]
        for name, three in found.items()
    }
