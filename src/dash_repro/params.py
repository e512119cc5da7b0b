"""Reading params.yaml: one clear error before any job, or values to rely on."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from runledger.errors import UserError
from runledger.yamlfile import load_yaml

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = ROOT / "workflow" / "schemas" / "params.schema.yaml"
PAPER = {  # what "scale: paper" stands for, besides sources and extractor
    "train_teacher.iterations": (391_000, 352_000),
    "train_student.iterations": (234_000, 190_080),
    "generate_samples.num_samples": (50_000,),
    "measure_calibration.pairs": (10_000,),
    "experiments.sampling.steps": (50,),
    "extractor.name": ("inception",),
    "train_teacher.width": (128,),
    "train_teacher.blocks": (2,),
    "train_student.blocks": (1,),
}
SHOWN = 35  # images in one grid of Figure 6
MOST_SAMPLES = (
    "compute_metrics.is_splits",
    "compute_metrics.kid_subset_size",
    "rank_pairs.pool",
)


class ParamsError(UserError):
    """params.yaml is not what the pipeline can run."""


def load_params(path: Path | str = "params.yaml") -> dict[str, Any]:
    """Read and validate a params.yaml.

    Raises:
        ParamsError: with the offending key, its value and what it may be.
    """
    params = load_yaml(path)
    if not isinstance(params, dict):
        raise ParamsError("not a mapping of sections", str(path), "see params.yaml")
    validate(params, str(path))
    return params


def validate(params: Mapping[str, Any], where: str = "params.yaml") -> None:
    """Check types and ranges against the schema, then what only fits together.

    Raises:
        ParamsError: all problems found, one a line.
    """
    schema = load_yaml(SCHEMA)
    checker = jsonschema.Draft202012Validator(schema)
    problems = [_describe(error) for error in checker.iter_errors(params)]
    if not problems:
        problems = list(_cross_checks(params))
    if problems:
        raise ParamsError(
            "; ".join(problems), where, "correct it; nothing was started or changed"
        )


def _describe(error: jsonschema.ValidationError) -> str:
    key = ".".join(str(part) for part in error.absolute_path) or "top level"
    if error.validator == "additionalProperties" and isinstance(error.instance, dict):
        known = list(error.schema.get("properties", {}))
        unknown = [name for name in error.instance if name not in known]
        hints = [
            f"unknown key '{name}'"
            + "".join(
                f" (did you mean '{match}'?)"
                for match in difflib.get_close_matches(str(name), known, 1)
            )
            for name in unknown
        ]
        return f"{key}: {', '.join(hints)}"
    if error.validator == "enum":
        return f"{key}: {error.instance!r} is none of {error.validator_value}"
    if error.validator == "type" and (number := _number(error.instance)):
        return f"{key}: {error.instance!r} is text in YAML 1.1; write {number}"
    return f"{key}: {error.message}"


def _number(text: Any) -> str:
    """Write as YAML 1.1 reads it a number that it takes for text, as 1e-4; or ""."""
    try:
        value = float(text) if isinstance(text, str) else float("nan")
    except ValueError:
        return ""
    return yaml.safe_dump(value).split()[0] if math.isfinite(value) else ""


def _get(params: Mapping[str, Any], dotted: str) -> Any:
    value: Any = params
    for part in dotted.split("."):
        value = value[part]
    return value


def _cross_checks(params: Mapping[str, Any]) -> Iterator[str]:
    yield from _names(params)
    yield from _widths(params)
    yield from _steps(params)
    yield from _sizes(params)
    yield from _sources(params)
    yield from _students(params)
    if params["scale"] == "paper":
        yield from _paper_scale(params)


def _names(params: Mapping[str, Any]) -> Iterator[str]:
    """Experiments name datasets, students and teachers that exist."""
    known = {"datasets": params["prepare_data"], "students": params["students"]}
    for name, experiment in params["experiments"].items():
        used = {key: experiment.get(key, []) for key in known}
        used["students"] = [
            *used["students"],
            *[experiment[k] for k in ["student"] if k in experiment],
        ]
        for key, values in used.items():
            for value in values:
                if value not in known[key]:
                    close = difflib.get_close_matches(value, list(known[key]), 1)
                    hint = f" (did you mean '{close[0]}'?)" if close else ""
                    where = "prepare_data" if key == "datasets" else key
                    yield (
                        f"experiments.{name}.{key}: '{value}' is not a block of "
                        f"{where}{hint}"
                    )
    for name, student in params["students"].items():
        if student["teacher"] not in params["teachers"]:
            yield f"students.{name}.teacher: no teacher '{student['teacher']}'"
    for needed in ("tirt", "min_snr"):
        if needed not in params["teachers"]:
            yield f"teachers: the block '{needed}' is missing (Table 2 needs it)"
    if "dash" not in params["students"]:
        yield "students: the block 'dash' is missing (figures 1, 6 and D1-D7 need it)"


def _all_widths(params: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    yield "train_teacher.width", params["train_teacher"]["width"]
    for name, experiment in params["experiments"].items():
        for width in [
            *experiment.get("widths", []),
            *([experiment["width"]] if "width" in experiment else []),
        ]:
            yield f"experiments.{name}", width


def _widths(params: Mapping[str, Any]) -> Iterator[str]:
    groups = params["network"]["norm_groups"]
    for key, width in _all_widths(params):
        if not any(width % count == 0 for count in groups):
            yield (
                f"{key}: no group count of network.norm_groups {groups} divides "
                f"the width {width}"
            )
        if width % 2:
            yield f"{key}: the width {width} is odd (timestep embedding needs halves)"


def _steps(params: Mapping[str, Any]) -> Iterator[str]:
    timesteps = params["diffusion"]["timesteps"]
    counts = [
        ("experiments.sampling.steps", params["experiments"]["sampling"]["steps"])
    ]
    counts += [("profile_model.steps", params["profile_model"]["steps"])]
    for name, experiment in params["experiments"].items():
        if name != "sampling":
            counts += [
                (f"experiments.{name}.steps", k) for k in experiment.get("steps", [])
            ]
    for key, count in counts:
        if timesteps % count:
            yield f"{key}: {count} steps do not divide {timesteps} timesteps"
    if params["diffusion"]["beta_min"] >= params["diffusion"]["beta_max"]:
        yield "diffusion: beta_min is not below beta_max"
    if params["tag"]["w_min"] > params["tag"]["w_max"]:
        yield "tag: w_min is above w_max"


def _sizes(params: Mapping[str, Any]) -> Iterator[str]:
    network = params["network"]
    halvings = 2 ** (len(network["channel_mult"]) - 1)
    for name, data in params["prepare_data"].items():
        size = data["image_size"]
        if size % halvings:
            yield (
                f"prepare_data.{name}.image_size: {size} cannot be halved "
                f"{len(network['channel_mult']) - 1} times"
            )
        levels = [size // 2**i for i in range(len(network["channel_mult"]))]
        if network["attention_resolution"] not in levels:
            yield (
                f"network.attention_resolution: {network['attention_resolution']} is "
                f"none of {name}'s resolutions {levels}"
            )
    count = params["generate_samples"]["num_samples"]
    if count < SHOWN:
        yield f"generate_samples.num_samples: {count}, Figure 6 shows {SHOWN}"
    for name in MOST_SAMPLES:
        if _get(params, name) > count:
            yield f"{name}: more than generate_samples.num_samples"
    if params["rank_pairs"]["shown"] > params["rank_pairs"]["pool"]:
        yield "rank_pairs.shown: more than rank_pairs.pool"


def _sources(params: Mapping[str, Any]) -> Iterator[str]:
    for name, data in params["prepare_data"].items():
        if data["source"] == "torchvision" and data["name"] not in (
            "CIFAR10",
            "CIFAR100",
        ):
            yield f"prepare_data.{name}.name: '{data['name']}' is not CIFAR10, CIFAR100"
        if data["source"] in ("torchvision", "folder") and not data["path"]:
            yield f"prepare_data.{name}.path: source {data['source']} needs a path"


def _students(params: Mapping[str, Any]) -> Iterator[str]:
    for name, block in params["students"].items():
        terms = [block[key] for key in ("lambda_im", "lambda_un", "lambda_an")]
        if block["objective"] == "branches" and not any(terms):
            yield f"students.{name}: objective branches, but every lambda is 0"
        if block["objective"] not in ("noise", "branches") and block["label_dropout"]:
            yield f"students.{name}.label_dropout: only for noise and branches"
        if block["objective"] == "noise" and not block["lambda_an"]:
            yield f"students.{name}: objective noise, but lambda_an is 0"


def _paper_scale(params: Mapping[str, Any]) -> Iterator[str]:
    """A run may call itself the paper's protocol only if it is."""
    for key, allowed in PAPER.items():
        value = _get(params, key)
        if value not in allowed:
            yield (
                f"scale: 'paper' needs {key} = {' or '.join(map(str, allowed))}, found "
                f"{value}; write 'scale: demo'"
            )
    for name, data in params["prepare_data"].items():
        wrong = [key for key in ("max_train", "max_test") if data[key] is not None]
        if data["source"] != "torchvision" or wrong or data["image_size"] != 32:
            yield (
                f"scale: 'paper' needs the whole of CIFAR through torchvision, found "
                f"prepare_data.{name}; write 'scale: demo'"
            )
