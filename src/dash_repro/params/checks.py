"""What in params.yaml only fits together: names, sizes, the paper's protocol."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from dash_repro.data.sources import SOURCES
from dash_repro.objectives.kinds import OBJECTIVES
from dash_repro.paper.figures import FIGURES
from dash_repro.paper.needs import stepped
from dash_repro.params.definition import Experiments
from dash_repro.params.lookup import at, close, keys

Problem = tuple[str, str]  # dotted key, and what is wrong with it
NEEDED = (  # blocks that tables and figures name themselves
    ("teachers", "tirt", "Table 2 needs it"),
    ("teachers", "min_snr", "Table 2 needs it"),
    ("students", "dash", "figures 1, 6 and D1-D7 need it"),
)
NAMING = {  # keys of experiments, and the section whose blocks they name
    "datasets": "prepare_data",
    "students": "students",
    "student": "students",
    "beside": "students",
    "teachers": "teachers",
}
BEYOND_PAPER = {"weightings"}  # experiments that the paper does not report
MOST_SAMPLES = (
    "compute_metrics.is_splits",
    "compute_metrics.kid_subset_size",
    "rank_pairs.pool",
)


def cross_checks(params: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield what is wrong with params whose types are right."""
    yield from _names(params)
    yield from _firsts(params)
    yield from _reserved(params)
    yield from _scales(params)
    yield from _widths(params)
    yield from _steps(params)
    yield from _sizes(params)
    yield from _sources(params)
    yield from _students(params)
    if params["scale"] == "paper":
        for need in _unlike_paper(params):
            yield "scale", f"'paper' needs {need}; write 'scale: own'"


def _names(params: Mapping[str, Any]) -> Iterator[Problem]:
    """What is named exists: an experiment's datasets and students, a teacher."""
    for key, name, section in _references(params):
        if name not in params[section]:
            hint = close(name, params[section])
            yield key, f"'{name}' is not a block of {section}{hint}"
    for section, name, why in NEEDED:
        if name not in params[section]:
            yield section, f"the block '{name}' is missing ({why})"


def _firsts(params: Mapping[str, Any]) -> Iterator[Problem]:
    """Figure 5c joins students of both experiments, on their first dataset."""
    both = [params["experiments"].get(name) for name in ("table3", "tableC6")]
    if all(both) and len({one["datasets"][0] for one in both if one["datasets"]}) > 1:
        says = "does not begin with the first dataset of table3, which Figure 5c shows"
        yield "experiments.tableC6.datasets", says


def _of_experiments(params: Mapping[str, Any], *keys: str) -> Iterator[tuple[str, Any]]:
    """(dotted key, value) of these keys of all experiments, each entry of a list."""
    for name, experiment in params["experiments"].items():
        for key in keys:
            found = experiment.get(key, [])
            for value in found if isinstance(found, list) else [found]:
                yield f"experiments.{name}.{key}", value


def _references(params: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """(key, name, section that has a block of this name) of all that name a block."""
    for key, section in NAMING.items():
        for dotted, name in _of_experiments(params, key):
            yield dotted, name, section
    for student, block in params["students"].items():
        yield f"students.{student}.teacher", block["teacher"], "teachers"


def _reserved(params: Mapping[str, Any]) -> Iterator[Problem]:
    """Names that mean something else where they go: in file names, plan and rows."""
    for section in ("prepare_data", "teachers", "students"):
        for name in params[section]:
            if yaml.safe_load(name) != name:
                yield f"{section}.{name}", "a word of YAML; take another name"
            if section == "students" and stepped(name)[1] is not None:
                says = "ends like a student distilled to so many steps"
                yield f"{section}.{name}", f"{says}; take another name"
            if section == "students" and name.startswith("teacher"):
                says = "rows whose names begin with 'teacher' are teachers"
                yield f"{section}.{name}", f"{says}; take another name"


def _scales(params: Mapping[str, Any]) -> Iterator[Problem]:
    """Scales that sample sets are named for: cfg4.0, never cfg-1.0 or cfg1e-05."""
    scales = _of_experiments(params, "guidance_scale", "guidance_scales")
    for key, value in [("tag.w_max", params["tag"]["w_max"]), *scales]:
        if not re.fullmatch(r"\d+\.\d+", str(float(value))):
            yield key, f"{value} cannot be in a file name; use 0, or 0.0001 to 1e15"


def _widths(params: Mapping[str, Any]) -> Iterator[Problem]:
    groups = params["network"]["norm_groups"]
    teacher = ("train_teacher.width", params["train_teacher"]["width"])
    for key, width in [teacher, *_of_experiments(params, "width", "widths")]:
        if not any(width % count == 0 for count in groups):
            says = f"no group count of network.norm_groups {groups} divides the width"
            yield key, f"{says} {width}"
        if width % 2:
            yield key, f"the width {width} is odd (timestep embedding needs halves)"


def _steps(params: Mapping[str, Any]) -> Iterator[Problem]:
    timesteps = params["diffusion"]["timesteps"]
    profiled = ("profile_model.steps", params["profile_model"]["steps"])
    for key, count in [profiled, *_of_experiments(params, "steps")]:
        if timesteps % count:
            yield key, f"{count} steps do not divide {timesteps} timesteps"
    listed = params["experiments"].get("stepwise", {}).get("steps", [])
    for index, count in enumerate(listed[1:], 1):
        if not any(k > count and k % count == 0 for k in listed[:index]):
            says = f"{count} steps divide none of the numbers before"
            yield "experiments.stepwise.steps", says
    if params["diffusion"]["beta_min"] >= params["diffusion"]["beta_max"]:
        yield "diffusion.beta_min", "not below beta_max"
    if params["tag"]["w_min"] > params["tag"]["w_max"]:
        yield "tag.w_min", "above w_max"


def _sizes(params: Mapping[str, Any]) -> Iterator[Problem]:
    network = params["network"]
    halvings = len(network["channel_mult"]) - 1
    for name, data in params["prepare_data"].items():
        size = data["image_size"]
        if size % 2**halvings:
            key = f"prepare_data.{name}.image_size"
            yield key, f"{size} cannot be halved {halvings} times"
        levels = [size // 2**i for i in range(halvings + 1)]
        attention = network["attention_resolution"]
        if attention not in levels:
            says = f"{attention} is none of {name}'s resolutions {levels}"
            yield "network.attention_resolution", says
    count = params["generate_samples"]["num_samples"]
    most = max(FIGURES.values(), key=lambda figure: figure.in_grid)
    if count < most.in_grid:
        says = f"{count}, {most.label} shows {most.in_grid}"
        yield "generate_samples.num_samples", says
    for name in MOST_SAMPLES:
        if at(params, name.split(".")) > count:
            yield name, "more than generate_samples.num_samples"
    if params["rank_pairs"]["shown"] > params["rank_pairs"]["pool"]:
        yield "rank_pairs.shown", "more than rank_pairs.pool"


def _sources(params: Mapping[str, Any]) -> Iterator[Problem]:
    for name, data in params["prepare_data"].items():
        cifar = data["name"] in ("CIFAR10", "CIFAR100")
        if data["source"] == "torchvision" and not cifar:
            says = f"'{data['name']}' is not CIFAR10, CIFAR100"
            yield f"prepare_data.{name}.name", says
        if SOURCES[data["source"]].needs_path and not data["path"]:
            says = f"source {data['source']} needs a path"
            yield f"prepare_data.{name}.path", says


def _students(params: Mapping[str, Any]) -> Iterator[Problem]:
    asked = {name for _, name in _of_experiments(params, "students")}
    for name, block in params["students"].items():
        terms = [block[key] for key in ("lambda_im", "lambda_un", "lambda_an")]
        key, objective = f"students.{name}", block["objective"]
        if objective == "branches" and not any(terms):
            yield f"{key}.objective", "branches, but every lambda is 0"
        if not OBJECTIVES[objective].label_dropout and block["label_dropout"]:
            yield f"{key}.label_dropout", "only for noise and branches"
        if objective == "noise" and not block["lambda_an"]:
            yield f"{key}.objective", "noise, but lambda_an is 0"
        blocks = block["blocks"] or params["train_student"]["blocks"]
        whole = params["train_teacher"]["blocks"]
        if name in asked and block["init"] == "pruned" and blocks != whole:
            yield f"{key}.blocks", f"pruned of a teacher of {whole}, so {whole}"


def _unlike_paper(params: Mapping[str, Any]) -> Iterator[str]:
    """What a run that calls itself the paper's needs, and is not so."""
    tables = Experiments.model_fields.keys() - BEYOND_PAPER
    for name in tables - params["experiments"].keys():
        yield f"every table, and experiments.{name} is not there"
    for key, definition in keys():
        if not definition.get("protocol"):
            continue
        value, paper = at(params, key.split(".")), definition["default"]
        if value not in (paper, definition.get("code", paper)):
            wanted = " or ".join(
                str(definition[one]) for one in ("default", "code") if one in definition
            )
            yield f"{key} = {wanted}, found {value}"
    for name, data in params["prepare_data"].items():
        wrong = [key for key in ("max_train", "max_test") if data[key] is not None]
        shape = (data["image_size"], data["channels"])
        if data["source"] != "torchvision" or wrong or shape != (32, 3):
            yield f"the whole of CIFAR through torchvision, found prepare_data.{name}"
