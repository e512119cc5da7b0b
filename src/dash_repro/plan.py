"""What the experiments of params.yaml ask for, as functions of a rule's wildcards.

Which instances of a stage exist follows from the rules: what an item collects names
files, and the rules say what these are made from. Cheap enough for every reading of
the Snakefile.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

from dash_repro.evaluation.extractors import EXTRACTORS
from dash_repro.objectives.kinds import OBJECTIVES
from dash_repro.paper.items import ITEMS
from dash_repro.paper.markup import to_plain
from dash_repro.paper.needs import (
    ALL,
    BESIDE,
    DISTILLED,
    FIRST,
    SECOND,
    STUDENTS,
    TEACHERS,
    Need,
    stepped,
)
from dash_repro.paper.registry import FigureSpec, ItemSpec

Item = dict[str, Any]
CONTENTS = "paper/contents.yaml"  # the items, section by section
SAMPLER = re.compile(r"(cfg|tag)([0-9.]+)-k(\d+)-n(\d+)")
_MODEL = ("model", "width")
SHOWN = {  # of a member's identity, by the wildcards of its stage's ids
    "dataset": ("dataset",),
    "label": _MODEL,
    "student": _MODEL,
    "origin": _MODEL,
    "teacher": _MODEL,
    "seed": ("seed",),
    "sampler": ("sampler", "guidance", "scale", "steps", "sampling_seed"),
}


def students_of(experiment: Mapping[str, Any]) -> list[str]:
    """Return the student blocks that an experiment names."""
    if "student" in experiment:
        return [experiment["student"]]
    return list(experiment.get("students", []))


def widths_of(experiment: Mapping[str, Any]) -> list[int]:
    """Return the student widths of an experiment."""
    return experiment.get("widths") or [experiment["width"]]


def stage_of(student: str) -> str:
    """The stage that trains a student."""
    return "train_student" if stepped(student)[1] is None else "distill_steps"


def starting_steps(listed: list[int], steps: int) -> int:
    """Steps of the student that one of `steps` starts from: the fewest it divides.

    Args:
        listed: the experiment's numbers of steps; of the first is the student itself.
        steps: one of them, or what a user asks for.
    """
    return min(k for k in listed if k > steps and k % steps == 0)


def sampler_fields(sampler: str) -> Item:
    """Return what the name of a sampler says: cfg4.0-k50-n0, tag4.0-k50-n0."""
    short, scale, steps, seed = SAMPLER.fullmatch(sampler).groups()
    return {
        "guidance": "tag" if short == "tag" else "constant",
        "scale": float(scale),
        "steps": int(steps),
        "sampling_seed": int(seed),
    }


class Plan:
    """Expands the experiments of validated params.

    Args:
        ledger: has the params, and the pattern of each stage's ids.
    """

    def __init__(self, ledger: Any) -> None:
        self.params, self.id_pattern = ledger.params, ledger.id_pattern
        self.experiments = self.params["experiments"]
        self.sampling = self.experiments["sampling"]
        self._known: dict[Need, list[tuple[str, Item]]] = {}

    # fields of identities, which rules name as `fields`

    def teacher(self, wildcards: Any) -> Item:
        """The teacher that a student learns from."""
        return {"teacher": self.params["students"][wildcards.student]["teacher"]}

    def distilled(self, wildcards: Any) -> Item:
        """What a student of fewer steps starts from: see `starting_steps`."""
        origin, steps = wildcards.origin, int(wildcards.steps)
        listed = self.experiments["stepwise"]["steps"]
        start = starting_steps(listed, steps)
        name = origin if start == listed[0] else f"{origin}_k{start}"
        id = "{dataset}-{name}-w{width}-s{seed}".format(**{**wildcards, "name": name})
        return {
            "teacher": self.params["students"][origin]["teacher"],
            "student": f"{origin}_k{steps}",
            "start_steps": start,
            "full_steps": listed[0],
            "start_stage": stage_of(name),
            "start_path": f"results/{stage_of(name)}/{id}/model.safetensors",
        }

    def model(self, wildcards: Any) -> Item:
        """A trained model and the file that holds it, by its label."""
        dataset, label, seed = (wildcards[k] for k in ("dataset", "label", "seed"))
        if label.startswith("teacher_"):
            stage, width = "train_teacher", self.params["train_teacher"]["width"]
            model, id = label, f"{dataset}-{label.removeprefix('teacher_')}-s{seed}"
        else:
            model, _, width = label.rpartition("-w")
            stage, id = stage_of(model), f"{dataset}-{label}-s{seed}"
        return {
            "model": model,
            "width": int(width),
            "model_stage": stage,
            "model_path": f"results/{stage}/{id}/model.safetensors",
        }

    def sampled(self, wildcards: Any) -> Item:
        """A model, and how it is sampled."""
        return {**self.model(wildcards), **sampler_fields(wildcards.sampler)}

    def profiled(self, wildcards: Any) -> Item:
        """A network; of those that differ by the seed only, the first."""
        id = "{dataset}-{label}".format(**wildcards)
        seed = self._first["profile_model", id]["seeds"][0]
        return {"seed": seed, **self.model({**wildcards, "seed": seed})}

    def pairs(self, wildcards: Any) -> Item:
        """The two sets of samples of the same noise that are compared."""
        experiment = self._first["rank_pairs", wildcards.dataset]
        need = Need(("generate_samples", ""), "", ("teacher_tirt", "dash"), ALL, FIRST)
        width = {"width": widths_of(experiment)[0]}
        one = {**experiment, "datasets": [wildcards.dataset], "widths": [], **width}
        ids = [id for id, _ in self._expand(need, one)]
        return {"teacher_samples": ids[0], "student_samples": ids[1]}

    def collected(self, wildcards: Any) -> Item:
        """Identities of what an item collects, its derived curves or its layout."""
        spec, found = ITEMS[wildcards.item], self._members[wildcards.item]
        known: Item = {"members": dict(sorted(found.items()))}
        if spec.derived:
            known["derived"] = list(spec.derived)
        if isinstance(spec, FigureSpec) and spec.images:
            known["layout"] = spec.layout
        return known

    def plotted(self, wildcards: Any) -> Item:
        """The file that a figure is drawn from, and of images whose they are."""
        images = ITEMS[wildcards.item].images
        found = self._members[wildcards.item] if images else {}
        kind, suffix = ("images", "npz") if images else ("results", "csv")
        data = f"results/collect_{kind}/{wildcards.item}.{suffix}"
        members = {k: m for k, m in found.items() if m["stage"] == "generate_samples"}
        return {"data": data, "members": members}

    def caption(self, wildcards: Any) -> str:
        """What a figure shows, for Snakemake's report."""
        return to_plain(ITEMS[wildcards.item].caption)

    def labels(self, wildcards: Any) -> dict[str, str]:
        """How Snakemake's report lists an item."""
        spec = ITEMS[wildcards.item]
        return {"number": spec.label, "title": spec.title}

    def paper(self, _wildcards: Any) -> Item:
        """Tables, and figures in the order of the paper."""
        tables = sorted(i for i in self._members if ITEMS[i].kind == "table")
        figures = [i for i in self._members if ITEMS[i].kind == "figure"]
        return {"item": "paper", "tables": tables, "figures": figures}

    # inputs and params

    def class_folders(self, wildcards: Any) -> list[str]:
        """Class folders of a dataset: inputs by content; where they lie is none."""
        block = self.params["prepare_data"][wildcards.dataset]
        path = f"${{prepare_data.{wildcards.dataset}.path}}"
        folders = ("train", "test") if block["source"] == "folder" else ()
        return [f"{path}/{folder}" for folder in folders]

    def extractor_weights(self, wildcards: Any) -> list[str]:
        """The file of the extractor's weights, where a stage makes them."""
        stage = EXTRACTORS[self.params["extractor"]["name"]].stage
        file = f"results/{stage}/{wildcards.dataset}/model.safetensors"
        return [file] if stage else []

    def dataset_params(self, wildcards: Any) -> list[str]:
        """Keys of a dataset's block that change the dataset."""
        block = self.params["prepare_data"][wildcards.dataset]
        return [f"prepare_data.{wildcards.dataset}.{k}" for k in block if k != "path"]

    def members(self, wildcards: Any) -> list[str]:
        """Files that an item collects; of images, their datasets, too."""
        item = wildcards.item
        files = {
            f"results/{need.stage}/{id}/{need.file}"
            for need in ITEMS[item].needs
            for id, _ in self._found(need)
        }
        if ITEMS[item].images:
            shown = {member["dataset"] for member in self._members[item].values()}
            files |= {f"results/prepare_data/{name}/images.npz" for name in shown}
        return sorted(files)

    def sources(self, wildcards: Any) -> list[str]:
        """Files in git that a table is made with: the paper's; on own data, none."""
        if self.params["scale"] == "own":
            return []
        return list(ITEMS[wildcards.item].sources)

    def shown(self, wildcards: Any) -> list[str]:
        """Params of an item; of students and datasets what its experiments name."""
        spec = ITEMS[wildcards.item]
        blocks = [
            self.experiments[name.partition(".")[2]]
            for name in spec.params
            if name.startswith("experiments.")
        ]
        datasets = [name for block in blocks for name in block.get("datasets", [])]
        teachers = [name for block in blocks for name in block.get("teachers", [])]
        students = [name for block in blocks for name in students_of(block)]
        named = {
            "students": [f"students.{name}" for name in students],
            "teachers": [f"teachers.{name}" for name in teachers],
            "prepare_data": [f"prepare_data.{name}.image_size" for name in datasets],
        }
        names = [name for key in spec.params for name in named.get(key, [key])]
        return list(dict.fromkeys(names)) or ["scale"]

    def pdf_files(self, wildcards: Any) -> list[str]:
        """What the PDF is set from."""
        paper = self.paper(wildcards)
        tables = [f"results/tables/{name}.tex" for name in paper["tables"]]
        figures = [f"results/figures/{name}.pdf" for name in paper["figures"]]
        captions = [f"results/figures/{name}.json" for name in paper["figures"]]
        return sorted([*tables, *figures, *captions, "paper/main.tex", CONTENTS])

    # experiments, expanded

    @cached_property
    def _items(self) -> list[ItemSpec]:
        """Items whose experiments there are; on own data, none about the paper."""
        own = self.params["scale"] == "own"
        return [
            spec
            for spec in ITEMS.values()
            if spec.experiments <= self.experiments.keys()
            and not (own and spec.about_paper)
        ]

    @cached_property
    def _members(self) -> dict[str, dict[str, Item]]:
        """{item: {"<stage>/<id>": identity}}, of the items that can be made."""
        found = {spec.name: self._members_of(spec) for spec in self._items}
        return {name: members for name, members in found.items() if members is not None}

    def _members_of(self, spec: ItemSpec) -> dict[str, Item] | None:
        """None for an item about the second dataset, of which there is none."""
        members: dict[str, Item] = {}
        for need in spec.needs:
            found = self._found(need)
            if not found and need.datasets == SECOND:
                return None
            for id, identity in found:
                members[f"{need.stage}/{id}"] = {"stage": need.stage, **identity}
        return members

    @cached_property
    def _first(self) -> dict[tuple[str, str], Mapping[str, Any]]:
        """{(stage, id): the experiment that asks for it first}."""
        first: dict[tuple[str, str], Mapping[str, Any]] = {}
        for spec in self._items:
            for need in spec.needs:
                for id, _ in self._found(need):
                    experiment = self.experiments[need.experiment]
                    first.setdefault((need.stage, id), experiment)
        return first

    def _found(self, need: Need) -> list[tuple[str, Item]]:
        """Return (id, identity) of every instance that a Need names."""
        if need not in self._known:
            experiment = self.experiments[need.experiment]
            self._known[need] = list(self._expand(need, experiment))
        return self._known[need]

    def _expand(
        self, need: Need, experiment: Mapping[str, Any]
    ) -> Iterator[tuple[str, Item]]:
        pattern = self.id_pattern(need.stage)
        named = [name for name in SHOWN if f"{{{name}}}" in pattern]
        shown = [key for name in named for key in SHOWN[name]]
        which = {ALL: slice(None), FIRST: slice(1), SECOND: slice(1, 2)}[need.datasets]
        runs: list[Item] = [{"dataset": d} for d in experiment["datasets"][which]]
        if "model" in shown:
            models = self._models(need, experiment)
            runs = [run | model for run in runs for model in models]
        if "seed" in shown:
            seeds = self._seeds(need, experiment["seeds"])
            runs = [run | {"seed": seed} for run in runs for seed in seeds]
        if "sampler" in shown:
            seeds = self._seeds(need, self.sampling["sampling_seeds"])
            runs = [
                run | {"sampler": f"{sampler}-n{seed}"}
                for run in runs
                for seed in seeds
                for sampler in self._samplers(need, experiment, run["model"])
            ]
            runs = [run | sampler_fields(run["sampler"]) for run in runs]
        for run in runs:
            yield pattern.format_map(run), {key: run[key] for key in shown}

    @staticmethod
    def _seeds(need: Need, seeds: list[int]) -> list[int]:
        return seeds if need.seeds == ALL else seeds[:1]

    def _models(self, need: Need, experiment: Mapping[str, Any]) -> list[Item]:
        present, fewer = students_of(experiment), experiment.get("steps", [])[1:]
        groups = {
            STUDENTS: present,
            BESIDE: experiment.get("beside", []),
            TEACHERS: [f"teacher_{t}" for t in experiment.get("teachers", [])],
            DISTILLED: [f"{s}_k{k}" for s in present for k in fewer],
        }
        found = [name for model in need.models for name in groups.get(model, [model])]
        models: list[Item] = []
        for model in dict.fromkeys(found):
            if model.startswith("teacher_"):
                named = {"label": model, "teacher": model.removeprefix("teacher_")}
                width = self.params["train_teacher"]["width"]
                models.append({"model": model, "width": width, **named})
            elif model in present or not need.optional_models:
                origin, steps = stepped(model)
                for width in widths_of(experiment):
                    named = {"label": f"{model}-w{width}", "student": model}
                    named |= {"origin": origin, "steps": steps}
                    models.append({"model": model, "width": width, **named})
        return models

    def _samplers(
        self, need: Need, experiment: Mapping[str, Any], model: str
    ) -> list[str]:
        """Return a Need's samplers (see needs.py), named but for the sampling seed."""
        steps, scale = self.sampling["steps"], self.sampling["guidance_scale"]
        w_max = self.params["tag"]["w_max"]
        teacher = model.startswith("teacher_")
        kind = "tag" if teacher else self.sampling["student_guidance"]
        plain = w_max if kind == "tag" else scale
        if not teacher and self._guided(model):
            kind, plain = "constant", 1.0
        counts, scales = [steps], [plain]
        if need.samplers == "scales":
            scales = experiment["guidance_scales"]
        elif need.samplers in ("steps", "stepped"):
            own = stepped(model)[1] if need.samplers == "stepped" else None
            counts = experiment["steps"] if own is None else [own]
        found = [(kind, w, k) for w in scales for k in counts]
        if need.samplers == "table2":
            low = [("constant", experiment["guidance_scale"], steps)]
            both = [("constant", scale, steps)] if model == "teacher_min_snr" else []
            found = [*low, *both, ("tag", w_max, steps)]
        return [
            f"{'tag' if guidance == 'tag' else 'cfg'}{float(w)}-k{k}"
            for guidance, w, k in found
        ]

    def _guided(self, student: str) -> bool:
        block = self.params["students"][stepped(student)[0]]
        return OBJECTIVES[block["objective"]].guided
