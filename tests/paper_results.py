"""Synthetic result files of every stage that the paper layer reads."""

from __future__ import annotations

import hashlib
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from dash_repro.arrays import save_npz, write_json

TIMESTEPS = 40
CLASSES = {"cifar10": 10, "cifar100": 20, "digits": 10, "glyphs": 20}
SIDE = 8


def rng_of(text: str) -> np.random.Generator:
    """Random numbers that depend on the text only."""
    digest = hashlib.sha256(text.encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:8], "big"))


def write_member(root: Path, key: str, member: dict[str, Any], file: str) -> Path:
    """Write the result file of one member, plausible and fixed by its key."""
    path = root / key / file
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        writer = _cost if file == "cost.json" else WRITERS[member["stage"]]
        writer(path, member, rng_of(key))
    return path


def _cost(path: Path, member: dict[str, Any], rng: np.random.Generator) -> None:
    hours = 24 if member["stage"] == "train_teacher" else 16
    together = 2 if member["seed"] == 42 else 1
    seconds = 3600 * together * (hours + member["seed"] / 1000)
    write_json(path, {"seconds": seconds, "together": together, "device": "GPU X"})


def _metrics(path: Path, member: dict[str, Any], rng: np.random.Generator) -> None:
    level = 5 if member["model"].startswith("teacher_") else 9
    value = level + 40 / member["steps"] + rng.random()
    names = ("fd_effnetlite0", "is_effnetlite0", "kid_effnetlite0")
    write_json(
        path,
        {
            "extractor": "effnetlite0",
            "num_samples": 10_000,
            "reference": {"split": "train", "n": 1000},
            "metrics": {
                "frechet": _metric(names[0], value, 0.02),
                "inception_score": _metric(names[1], 8.5, 0.03, std=0.1),
                "kid": _metric(names[2], value / 1000, 2e-5, std=0.001),
                **_further(value, rng),
            },
            "closest": _closest(rng),
        },
    )


def _further(value: float, rng: np.random.Generator) -> dict[str, Any]:
    """The metrics of Table S3, none of them at the value of another."""
    shares = {"precision": 0.5, "recall": 0.25, "nearest": 0.9}
    shorts = {"frechet_infinity": "fd_inf", "nearest": "nn"}
    levels = {name: share + 0.09 * rng.random() for name, share in shares.items()}
    found = {
        name: {"name": f"{shorts.get(name, name)}_effnetlite0", "value": level}
        for name, level in {"frechet_infinity": 0.9 * value, **levels}.items()
    }
    accuracy = {"name": "class_accuracy", "extractor": "classifier"}
    return found | {"class_accuracy": {**accuracy, "value": 0.9 + 0.09 * rng.random()}}


def _closest(rng: np.random.Generator) -> dict[str, Any]:
    ratios = sorted((0.5 + 0.1 * rng.random(10)).tolist())
    samples, training = rng.permutation(60)[:10], rng.integers(0, 30, 10)
    found = {"samples": samples.tolist(), "training": training.tolist()}
    return {**found, "ratios": ratios}


def _metric(name: str, value: float, error: float, **more: float) -> dict[str, Any]:
    return {"name": name, "value": value, "standard_error": error, **more}


def _bounds(path: Path, member: dict[str, Any], rng: np.random.Generator) -> None:
    """Real images in three subsets; the constant image is worse than any model but
    cifar100's students."""
    names = ("fd_effnetlite0", "is_effnetlite0", "kid_effnetlite0")
    limit = 5.5 if member["dataset"] in ("cifar100", "glyphs") else 100.0

    def metrics(value: float) -> dict[str, Any]:
        return {
            "frechet": _metric(names[0], value, 0.01),
            "inception_score": _metric(names[1], 1.0, 0.0, std=0.0),
            "kid": _metric(names[2], value / 1000, 1e-5, std=0.001),
            **_further(value, rng),
        }

    bounds = {
        "real": {"n": 10_000, "sets": [metrics(2 + rng.random()) for _ in range(3)]},
        "constant": {"n": 10_000, "sets": [metrics(limit)]},
        "noise": {"n": 10_000, "sets": [metrics(200.0)]},
    }
    reference = {"split": "train", "n": 1000}
    content = {"extractor": "effnetlite0", "reference": reference, "bounds": bounds}
    content["closest"] = _closest(rng)
    write_json(path, content)


def _calibration(path: Path, member: dict[str, Any], rng: np.random.Generator) -> None:
    rho = 0.05 if member["model"] == "cond_only" else 0.6 + 0.3 * rng.random()
    edges = np.linspace(0, TIMESTEPS, 6)
    bins = [
        {
            "t_low": float(low),
            "t_high": float(high),
            "n": 20,
            "rho": rho * (0.95 + 0.1 * rng.random()),
            "cos": 0.8,
            "gap_mse": 1e-4,
        }
        for low, high in pairwise(edges)
    ]
    bins[0] |= {"n": 0, "rho": None, "cos": None, "gap_mse": None}
    write_json(
        path,
        {
            "pairs": 100,
            "rho": rho,
            "cos": 0.5 + 0.4 * rng.random(),
            "gap_mse": 2e-4 * rng.random() + 1e-4,
            "err_cond": 0.01 + 0.01 * rng.random(),
            "err_uncond": 0.02 + 0.01 * rng.random(),
            "err_cos": 0.9 - 0.4 * rho,
            "teacher_gap_norm": 3.0,
            "standard_error": {"rho": 0.002, "cos": 0.02, "gap_mse": 3e-6},
            "bins": bins,
        },
    )


def _step_gap(path: Path, member: dict[str, Any], rng: np.random.Generator) -> None:
    names = ("rho", "cos", "gap_mse", "err_cond", "err_uncond")
    write_json(path, {"pairs": 64, **{name: rng.random() for name in names}})


def _profile(path: Path, member: dict[str, Any], rng: np.random.Generator) -> None:
    count = {128: 35_751_939, 48: 3_426_099, 64: 6_082_627, 96: 13_667_427}
    parameters = count[member["width"]]
    write_json(
        path,
        {
            "parameters": parameters,
            "forward_flops": parameters * 350,
            "sampling_flops": parameters * 35000,
            "guided_forward_s": parameters / 1e8,
            "sampling_latency_s": parameters / 2e6,
            "peak_memory_bytes": parameters * 20,
            "peak_memory_kind": "cpu_tensors",
            "batch_size": 64,
            "steps": 50,
            "repeats": 10,
            "device": "a test's CPU & more",
            "threads": 1,
        },
    )


def _history(path: Path, member: dict[str, Any], rng: np.random.Generator) -> None:
    down = member["model"] in ("no_un", "cond_only")
    lines = ["step,loss,lr,grad_norm,rho,cos,gap_mse,err_cond,err_uncond"]
    for step in range(1, 31):
        rho = 1 - 0.013 * step if down else 0.9 - 0.8 / (step + 1)
        error = 0.1 / step + 0.01 * rng.random()
        tail = f"{rho},0.8,0.01,{error},{1.5 * error}" if step % 3 == 0 else ",,,,"
        lines.append(f"{step},{1 / step},0.0001,0.5,{tail}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _lambda(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    t = np.arange(TIMESTEPS)
    lambda_ = 2 * np.sin(t / TIMESTEPS * 3) + 0.05 * rng.standard_normal(TIMESTEPS)
    omega = (1 + t / TIMESTEPS) / (1 + np.exp(-lambda_))
    return lambda_, omega / omega.mean()


def _export(path: Path, member: dict[str, Any], rng: np.random.Generator) -> None:
    from safetensors.numpy import save_file

    lambda_, omega = _lambda(rng)
    save_file({"lambda": lambda_, "omega_hat": omega}, path, {"schedule": "{}"})


def _curriculum(path: Path, member: dict[str, Any], rng: np.random.Generator) -> None:
    steps = np.unique(np.geomspace(1, 30, 8).astype(np.int64))
    final, omega = _lambda(rng)
    shares = (np.arange(len(steps)) + 1)[:, None] / len(steps)
    loss = 0.5 * np.exp(-np.arange(TIMESTEPS) / 10) + 0.02
    save_npz(
        path,
        steps=steps,
        **{"lambda": (shares * final).astype(np.float32)},
        omega_hat=1 + shares * (omega - 1),
        loss_mean=loss,
        loss_std=loss / 4,
    )


def _samples(path: Path, member: dict[str, Any], rng: np.random.Generator) -> None:
    labels = np.arange(200, dtype=np.int64) % CLASSES[member["dataset"]]
    images = rng.integers(0, 256, (200, SIDE, SIDE, 3), dtype=np.uint8)
    seed = np.int64(member["sampling_seed"])
    save_npz(path, images=images, labels=labels, sampling_seed=seed)


def _pairs(path: Path, member: dict[str, Any], rng: np.random.Generator) -> None:
    indices = rng.permutation(60)[:10].tolist()
    distances = sorted((10 + rng.random(10)).tolist(), reverse=True)
    content = {"indices": indices, "distances": distances, "pool": 60}
    write_json(path, {**content, "extractor": "effnetlite0"})


def write_data(root: Path, dataset: str) -> Path:
    """images.npz of prepare_data, with class names."""
    path = root / "prepare_data" / dataset / "images.npz"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        names = np.array([f"class {i}" for i in range(CLASSES[dataset])])
        names[:2] = ["tiger", "apple"] if dataset == "cifar100" else names[:2]
        pixels = rng_of(dataset).integers(0, 256, (90, SIDE, SIDE, 3), dtype=np.uint8)
        labels = np.arange(90, dtype=np.int64) % CLASSES[dataset]
        arrays = {"train_images": pixels[:30], "test_images": pixels[30:]}
        both = {"train_labels": labels[:30], "test_labels": labels[30:]}
        save_npz(path, **arrays, **both, class_names=names)
    return path


WRITERS = {
    "distill_steps": _step_gap,
    "compute_metrics": _metrics,
    "extract_reference": _bounds,
    "measure_calibration": _calibration,
    "profile_model": _profile,
    "train_student": _history,
    "export_tirt": _export,
    "train_teacher": _curriculum,
    "generate_samples": _samples,
    "rank_pairs": _pairs,
}
