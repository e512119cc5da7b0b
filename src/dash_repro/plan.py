"""Which instances of which stage the experiments of params.yaml ask for.

A pure function of params.yaml, cheap enough for the Snakefile to call. Identities go
into workflow/plan.yaml, from which dvc.yaml's ``foreach`` stages take them; the stages
whose dependencies are lists of their own (collecting) are written out in dvc.yaml.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from dash_repro.paper.items import (
    ALL,
    FIRST,
    ITEMS,
    SECOND,
    STUDENTS,
    ItemSpec,
    Need,
)

Item = dict[str, Any]
STAGES = (
    "train_teacher",
    "export_tirt",
    "train_student",
    "generate_samples",
    "extract_reference",
    "compute_metrics",
    "measure_calibration",
    "profile_model",
    "rank_pairs",
    "plot_figure",
)
WRITTEN = (
    "prepare_data",
    "collect_results",
    "collect_images",
    "make_table",
    "build_paper",
    "build_page",
)
NOT_EXPERIMENTS = ("sampling",)


@dataclass
class Plan:
    """Identities by stage and id, and the stages that are written out in dvc.yaml.

    Attributes:
        instances: {stage: {id: identity}} of ``foreach`` stages.
        written: {"collect_results-table3": {"deps", "params", "item"}}, some with
            "uncounted": params that the stage reads and that do not count.
    """

    instances: dict[str, dict[str, Item]] = field(default_factory=dict)
    written: dict[str, Item] = field(default_factory=dict)


def datasets_of(experiment: Mapping[str, Any], which: str = ALL) -> list[str]:
    """Return all, the first, or the second (if any) of an experiment's datasets."""
    datasets = experiment["datasets"]
    return {ALL: datasets, FIRST: datasets[:1], SECOND: datasets[1:2]}[which]


def students_of(experiment: Mapping[str, Any]) -> list[str]:
    """Return the student blocks that an experiment names."""
    if "student" in experiment:
        return [experiment["student"]]
    return list(experiment.get("students", []))


def widths_of(experiment: Mapping[str, Any]) -> list[int]:
    """Return the student widths of an experiment."""
    return experiment.get("widths") or [experiment["width"]]


class Planner:
    """Expands the experiments of validated params into a Plan."""

    def __init__(self, params: Mapping[str, Any]) -> None:
        self.params = params
        self.experiments = params["experiments"]
        self.sampling = self.experiments["sampling"]
        self.plan = Plan({stage: {} for stage in STAGES})

    def build(self) -> Plan:
        """Return the plan; the same params give the same plan, in the same order."""
        for name, experiment in self.experiments.items():
            if name not in NOT_EXPERIMENTS:
                for dataset, seed in self._runs(experiment):
                    for student in students_of(experiment):
                        for width in widths_of(experiment):
                            self._student(dataset, student, width, seed)
        for name, spec in ITEMS.items():
            self._collect(name, spec)
        self._paper()
        for stage, instances in self.plan.instances.items():
            self.plan.instances[stage] = dict(sorted(instances.items()))
        return self.plan

    @staticmethod
    def _runs(experiment: Mapping[str, Any]) -> list[tuple[str, int]]:
        return [(d, s) for d in experiment["datasets"] for s in experiment["seeds"]]

    def _add(self, stage: str, id: str, item: Item) -> str:
        self.plan.instances[stage].setdefault(id, item)
        return id

    def _data(self, dataset: str) -> None:
        """A dataset: class folders are inputs by content; where they lie is not.

        Nor is where archives are kept that torchvision checks by their md5.
        """
        key, block = f"prepare_data.{dataset}", self.params["prepare_data"][dataset]
        path = f"{key}.path"
        folders = ("train", "test") if block["source"] == "folder" else ()
        self.plan.written[f"prepare_data-{dataset}"] = {
            "deps": [f"${{{path}}}/{split}" for split in folders],
            "params": [f"{key}.{name}" for name in block if name != "path"],
            "uncounted": [path],
            "item": {"dataset": dataset},
        }

    def _teacher(self, dataset: str, teacher: str, seed: int) -> str:
        self._data(dataset)
        item = {"dataset": dataset, "teacher": teacher, "seed": seed}
        return self._add("train_teacher", f"{dataset}-{teacher}-s{seed}", item)

    def _export(self, dataset: str, teacher: str, seed: int) -> str:
        id = self._teacher(dataset, teacher, seed)
        return self._add(
            "export_tirt", id, dict(self.plan.instances["train_teacher"][id])
        )

    def _student(self, dataset: str, student: str, width: int, seed: int) -> str:
        teacher = self.params["students"][student]["teacher"]
        self._export(dataset, teacher, seed)
        item = {
            "dataset": dataset,
            "student": student,
            "width": width,
            "seed": seed,
            "teacher": teacher,
        }
        return self._add("train_student", f"{dataset}-{student}-w{width}-s{seed}", item)

    def _calibration(self, dataset: str, student: str, width: int, seed: int) -> str:
        id = self._student(dataset, student, width, seed)
        return self._add(
            "measure_calibration", id, dict(self.plan.instances["train_student"][id])
        )

    def _model(self, dataset: str, model: str, width: int | None, seed: int) -> Item:
        """Identity of a trained model, and the file that holds it."""
        if model.startswith("teacher_"):
            teacher = model.removeprefix("teacher_")
            made_by, id = "train_teacher", self._teacher(dataset, teacher, seed)
            label, width = model, self.params["train_teacher"]["width"]
        else:
            made_by, id = "train_student", self._student(dataset, model, width, seed)
            label = f"{model}-w{width}"
        return {
            "dataset": dataset,
            "model": model,
            "label": label,
            "width": width,
            "seed": seed,
            "model_stage": made_by,
            "model_path": f"results/{made_by}/{id}/model.safetensors",
        }

    def _samplers(self, need: Need, experiment: Mapping, model: str) -> list[tuple]:
        """Return (guidance, scale, steps) of a Need; see items.py."""
        steps, scale = self.sampling["steps"], self.sampling["guidance_scale"]
        w_max = self.params["tag"]["w_max"]
        teacher = model.startswith("teacher_")
        kind = "tag" if teacher else self.sampling["student_guidance"]
        plain = w_max if kind == "tag" else scale
        if need.samplers == "steps":
            return [(kind, plain, k) for k in experiment["steps"]]
        if need.samplers == "scales":
            return [(kind, w, steps) for w in experiment["guidance_scales"]]
        if need.samplers == "table2":
            low = [("constant", experiment["guidance_scale"], steps)]
            both = [("constant", scale, steps)] if model == "teacher_min_snr" else []
            return [*low, *both, ("tag", w_max, steps)]
        return [(kind, plain, steps)]

    def _samples(self, model: Item, sampler: tuple, sampling_seed: int) -> str:
        guidance, scale, steps = sampler
        short = "tag" if guidance == "tag" else "cfg"
        name = f"{short}{float(scale)}-k{steps}-n{sampling_seed}"
        id = f"{model['dataset']}-{model['label']}-s{model['seed']}-{name}"
        item = {
            **model,
            "sampler": name,
            "guidance": guidance,
            "scale": float(scale),
            "steps": steps,
            "sampling_seed": sampling_seed,
        }
        return self._add("generate_samples", id, item)

    def _metrics(self, samples: str) -> str:
        item = self.plan.instances["generate_samples"][samples]
        self._reference(item["dataset"])
        return self._add("compute_metrics", samples, dict(item))

    def _reference(self, dataset: str) -> str:
        return self._add("extract_reference", dataset, {"dataset": dataset})

    def _profile(self, dataset: str, model: str, width: int | None, seed: int) -> str:
        item = self._model(dataset, model, width, seed)
        return self._add("profile_model", f"{dataset}-{item['label']}", item)

    def _pairs(self, dataset: str, need: Need, experiment: Mapping) -> str:
        seed, sampling_seed = experiment["seeds"][0], self.sampling["sampling_seeds"][0]
        ids = []
        for name in ("teacher_tirt", "dash"):
            model = self._model(dataset, name, widths_of(experiment)[0], seed)
            sampler = self._samplers(need, experiment, name)[0]
            ids.append(self._samples(model, sampler, sampling_seed))
        item = {
            "dataset": dataset,
            "teacher_samples": ids[0],
            "student_samples": ids[1],
        }
        return self._add("rank_pairs", dataset, item)

    def _expand(self, need: Need) -> Iterator[tuple[str, Item]]:
        """Yield (id, identity) of every instance that a Need names."""
        experiment = self.experiments[need.experiment]
        seeds = experiment["seeds"] if need.seeds == ALL else experiment["seeds"][:1]
        for dataset in datasets_of(experiment, need.datasets):
            if need.stage == "rank_pairs":
                yield self._pairs(dataset, need, experiment), {"dataset": dataset}
                continue
            if need.stage == "extract_reference":
                yield self._reference(dataset), {"dataset": dataset}
                continue
            for model in self._models(need, experiment):
                teacher = model.startswith("teacher_")
                for width in [None] if teacher else widths_of(experiment):
                    for seed in seeds:
                        yield from self._one(
                            need, experiment, (dataset, model, width, seed)
                        )

    @staticmethod
    def _models(need: Need, experiment: Mapping) -> list[str]:
        present, models = students_of(experiment), []
        for model in need.models:
            if model == STUDENTS:
                models += present
            elif (
                model.startswith("teacher_")
                or model in present
                or not need.optional_models
            ):
                models.append(model)
        return list(dict.fromkeys(models))

    def _one(
        self, need: Need, experiment: Mapping, run: tuple
    ) -> Iterator[tuple[str, Item]]:
        dataset, model, width, seed = run
        teacher = model.startswith("teacher_")
        if need.stage == "profile_model":
            id = self._profile(dataset, model, width, seed)
        elif need.stage == "export_tirt":
            id = self._export(dataset, model.removeprefix("teacher_"), seed)
        elif need.stage == "train_teacher":
            id = self._teacher(dataset, model.removeprefix("teacher_"), seed)
        elif need.stage == "measure_calibration":
            id = self._calibration(dataset, model, width, seed)
        elif need.stage == "train_student":
            id = self._student(dataset, model, width, seed)
        else:
            which = self._model(dataset, model, width, seed)
            seeds = self.sampling["sampling_seeds"]
            for sampling_seed in seeds if need.seeds == ALL else seeds[:1]:
                for sampler in self._samplers(need, experiment, model):
                    id = self._samples(which, sampler, sampling_seed)
                    if need.stage == "compute_metrics":
                        self._metrics(id)
                    yield id, self._identity(self.plan.instances[need.stage][id])
            return
        if teacher:
            width = self.params["train_teacher"]["width"]
        known = {"dataset": dataset, "model": model, "width": width}
        yield id, known if need.stage == "profile_model" else {**known, "seed": seed}

    @staticmethod
    def _identity(item: Item) -> Item:
        hidden = ("label", "model_stage", "model_path")
        return {key: value for key, value in item.items() if key not in hidden}

    def _collect(self, name: str, spec: ItemSpec) -> None:
        deps: dict[str, None] = {}
        members: dict[str, Item] = {}
        for need in spec.needs:
            found = list(self._expand(need))
            if not found and need.datasets == SECOND:
                return  # an item about the second dataset, of which there is none
            for id, identity in found:
                deps[f"results/{need.stage}/{id}/{need.file}"] = None
                members[f"{need.stage}/{id}"] = {"stage": need.stage, **identity}
        stage = "collect_images" if spec.images else "collect_results"
        if spec.images:
            for dataset in {member["dataset"] for member in members.values()}:
                deps[f"results/prepare_data/{dataset}/images.npz"] = None
        self.plan.written[f"{stage}-{name}"] = {
            "deps": sorted(deps),
            "params": self._collected_params(spec),
            "item": {"item": name, "members": dict(sorted(members.items()))},
        }
        data = f"results/{stage}/{name}.{'npz' if spec.images else 'csv'}"
        if spec.kind == "figure":
            self._add("plot_figure", name, {"item": name, "data": data})
            return
        self.plan.written[f"make_table-{name}"] = {
            "deps": [data, *spec.sources],
            "params": ["scale", "make_table"],
            "item": {"item": name},
        }

    def _collected_params(self, spec: ItemSpec) -> list[str]:
        """List an item's params; of students and datasets what its experiments name."""
        blocks = [
            self.experiments[name.partition(".")[2]]
            for name in spec.params
            if name.startswith("experiments.")
        ]
        named = {
            "students": [f"students.{s}" for b in blocks for s in students_of(b)],
            "prepare_data": [
                f"prepare_data.{dataset}.image_size"
                for block in blocks
                for dataset in block.get("datasets", [])
            ],
        }
        names = [name for key in spec.params for name in named.get(key, [key])]
        return list(dict.fromkeys(names)) or ["scale"]

    def _paper(self) -> None:
        tables = sorted(
            name.removeprefix("make_table-")
            for name in self.plan.written
            if name.startswith("make_table-")
        )
        figures = list(self.plan.instances["plot_figure"])
        for stage in ("build_paper", "build_page"):
            deps = [f"results/tables/{name}.json" for name in tables]
            if stage == "build_paper":
                deps = [f"results/tables/{name}.tex" for name in tables]
            suffix = "pdf" if stage == "build_paper" else "png"
            deps += ["paper/main.tex"] if stage == "build_paper" else []
            deps += [f"results/figures/{name}.{suffix}" for name in figures]
            item = {"item": "paper", "tables": tables, "figures": figures}
            self.plan.written[stage] = {
                "deps": sorted(deps),
                "params": ["scale"],
                "item": item,
            }


def build_plan(params: Mapping[str, Any]) -> Plan:
    """Expand params into the plan of every stage instance."""
    return Planner(params).build()
