"""Sampling and its metrics: plain against ours, and the distance between the two."""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor

from bench.gates import Gate
from bench.measure import NotHere, Row, time_once
from bench.plain import plain_sample
from bench.plain_unet import plain_like
from bench.work import OurTraining, Work
from dash_repro.data.dataset import Dataset
from dash_repro.diffusion.generate import generate
from dash_repro.diffusion.levels import to_uint8
from dash_repro.diffusion.noise import image_noise
from dash_repro.diffusion.sampling import Sampling, balanced_labels
from dash_repro.evaluation.errors import EvaluationError
from dash_repro.evaluation.extractors import Extractor, build_extractor
from dash_repro.evaluation.metrics import compute_metrics
from dash_repro.evaluation.reference import Reference, build_reference
from dash_repro.models.checkpoint import load_checkpoint, save_checkpoint
from dash_repro.models.compiled import launched
from dash_repro.models.flops import count_flops
from dash_repro.models.precision import inference_network
from dash_repro.models.unet import UNet

W = 4.0
PLAIN = "plain"  # the plain sampler, among the ways to sample
# of the distance: a tenth of what another set of as many noises would move it by
FRECHET = 1e-3
METRICS = {
    **{"is_splits": 10, "kid_subsets": 10, "kid_subset_size": 16, "shuffle_seed": 0},
    **{"infinity_points": 5, "infinity_least": 16, "closest_pairs": 1},
    **{"precision_k": 3, "precision_images": 1000},
}


def sampling_of(work: Work, count: int, numerics: str) -> Sampling:
    """Settings of a sample set of the preset's steps and chunks."""
    preset = work.preset
    return Sampling(
        num_samples=count,
        num_classes=preset.classes,
        shape=(3, preset.image_size, preset.image_size),
        sampling_seed=0,
        steps=preset.sample_steps,
        guidance="constant",
        scale=W,
        w_min=1.0,
        beta=5.0,
        eta=0.0,
        clip_x0=True,
        use_clipped_model_output=False,
        chunk_size=preset.sample_chunk,
        numerics=numerics,
    )


def plainly(work: Work, model: UNet, count: int, half: bool):
    """The same images by the plain sampler, uint8 (N, H, W, 3)."""
    preset, device = work.preset, work.device
    plain, parts = plain_like(model).eval(), []
    shape = (3, preset.image_size, preset.image_size)
    for first in range(0, count, preset.plain_chunk):
        chosen = range(first, min(first + preset.plain_chunk, count))
        noise = image_noise(0, chosen, shape).to(device)
        y = balanced_labels(chosen, preset.classes).to(device)
        with torch.autocast(device.type, torch.float16, enabled=half):
            x = plain_sample(
                plain, work.schedule.alpha_bar, noise, y, preset.sample_steps, W
            )
        parts.append(torch.from_numpy(to_uint8(x)))
    return torch.cat(parts).numpy()


def fast(work: Work, model: UNet, count: int, launch: str):
    """The same images by the project's sampler."""
    numerics = work.numerics
    network = inference_network(copy.deepcopy(model), numerics, work.device)
    settings = sampling_of(work, count, numerics)
    run = launched(network, launch)
    return generate(run, work.schedule, settings, device=work.device)


def sampling_rows(work: Work) -> tuple[list[Row], list[Gate]]:
    """Student and teacher."""
    launches = work.preset.launches
    ways = (PLAIN, *launches)
    rows = [role_rows(work, role, ways) for role in ("student", "teacher")]
    return [*rows[0], *rows[1]], []


def role_rows(work: Work, role: str, ways: Sequence[str]) -> list[Row]:
    """The plain sampler, ours by launch; one chunk first, which does not count.

    Args:
        work: networks and sizes.
        role: "student" or "teacher".
        ways: PLAIN, or a launch.
    """
    preset, half = work.preset, work.device.type == "cuda"
    student = work.network(preset.widths[0])
    model = student if role == "student" else work.teacher
    flops = count_flops(model) * 2.0 * preset.sample_steps
    # the plain one is slow: a tenth of the images on a GPU, scaled up
    share = 10 if half else 1
    count = preset.samples
    title = f"Sampling with the {role}: {count} images, {preset.sample_steps} steps"
    todo = []
    for way in ways:
        if way == PLAIN:
            name = f"plain, batches of {preset.plain_chunk}"
            row = Row(title, name, unit="s", images=count)
            todo.append((row, lambda n: plainly(work, model, n, half), share))
        else:
            row = Row(title, "ours", way, unit="s", images=count)
            todo.append((row, lambda n, k=way: fast(work, model, n, k), 1))
        row.flops = flops * count
    for _, make, _ in todo:
        make(preset.sample_chunk)
    for _ in range(1 if half else 5):
        for row, make, part in todo:
            time_once(row, lambda f=make, n=count // part: f(n), work.device)
            row.values[-1] *= part
            row.cpu[-1] *= part
    for row, _, part in todo:
        row.note = f"from {count // part} images" if part > 1 else ""
    return [row for row, _, _ in todo]


def trained_student(work: Work, steps: int) -> UNet:
    """A student after a short training: its eps is no longer that of a new network."""
    training = OurTraining(work, work.preset.widths[0], 1, "eager", "fp32")
    for _ in range(steps):
        training.step()
    model = work.network(work.preset.widths[0])
    model.load_state_dict(training.learners[0].model.state_dict())
    return model.eval()


def reference_of(work: Work) -> tuple[Extractor, Reference]:
    """The extractor at hand without downloads, and statistics of the training data.

    Raises:
        NotHere: a package that it needs is missing.
    """
    try:
        extractor = build_extractor({"name": "effnetlite0"}, work.device)
    except (EvaluationError, ImportError) as error:
        raise NotHere(f"no features: {error}") from None
    images = work.images[: 4 * work.preset.gate_samples]
    half = len(images) // 2
    labels = work.labels[: len(images)]
    names = [str(index) for index in range(work.preset.classes)]
    data = Dataset(images[:half], labels[:half], images[half:], labels[half:], names)
    return extractor, build_reference(data, extractor, "train", work.device)


def metric_rows(work: Work) -> tuple[list[Row], list[Gate]]:
    """Checkpoint to metrics.json's content, and |d Frechet| on the same noises."""
    extractor, reference = reference_of(work)
    count, device = work.preset.gate_samples, work.device
    steps = 4 * work.preset.warm_up
    model = trained_student(work, steps)
    title = f"Checkpoint to metrics, {count} images (effnetlite0)"
    rows, found = [], {}
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "model.safetensors"
        weights: dict[str, Tensor] = dict(model.state_dict())
        schedule = work.schedule.to_dict()
        save_checkpoint(path, weights, model.config, schedule, "student", steps)

        def run(launch: str | None) -> None:
            loaded = load_checkpoint(path).model.to(device)
            made = (
                plainly(work, loaded, count, half=False)
                if launch is None
                else fast(work, loaded, count, launch)
            )
            metrics = compute_metrics(made, reference, extractor, METRICS, device)
            found[launch] = metrics["metrics"]["frechet"]["value"]

        for launch in (None, *work.preset.launches):
            label = "plain float32 sampler" if launch is None else "ours"
            row = Row(title, label, launch or "eager", unit="s", images=count)
            rows.append(time_once(row, lambda k=launch: run(k), device))
            row.note = f"fd_effnetlite0 {found[launch]:.4f}"
    return rows, list(_distances(found))


def _distances(found: dict[str | None, float]) -> Iterator[Gate]:
    for launch, value in found.items():
        if launch is not None:
            name = f"fd_effnetlite0 against the plain sampler's, relative, {launch}"
            yield Gate(name, abs(value / found[None] - 1.0), FRECHET)
