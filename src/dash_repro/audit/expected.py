"""What a table cell must show, from its address and params.yaml alone.

The address grammar and this table of sources are written apart from the builders of
the tables: a builder that puts another student's, dataset's or seed's numbers into a
box disagrees with them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

EXPERIMENT = {"tableB3": "table3", "tableB4": "table4"}
MEASURES = {  # column ending -> stage, name in its file, key of its decimals
    "fid": ("compute_metrics", "frechet", "decimals"),
    "is": ("compute_metrics", "inception_score", "decimals"),
    "kid": ("compute_metrics", "kid", "decimals"),
    "rho": ("measure_calibration", "rho", "calibration_decimals"),
    "cos": ("measure_calibration", "cos", "calibration_decimals"),
    "gap_mse": ("measure_calibration", "gap_mse", "gap_decimals"),
}
_COLUMN = re.compile(r"(.+)_(fid|is|kid|rho|cos|gap_mse)(_std)?")
_BOUND = re.compile(r"(?:(.+)_)?bound_(real|constant|noise)")
PROFILED = {  # rows of table S1 -> key of profile.json, exponent, decimals
    "parameters_m": ("parameters", -6, 2),
    "flops_50step_cfg_g": ("sampling_flops", -9, 1),
    "latency_ms_t4_batch64": ("sampling_latency_s", 3, 1),
    "peak_memory_mb_t4_batch64": ("peak_memory_bytes", -6, 1),
}
TABLE2 = {  # row -> teacher, guidance
    "min_snr": ("teacher_min_snr", "low"),
    "fixed_cfg": ("teacher_min_snr", "high"),
    "tag_only": ("teacher_min_snr", "tag"),
    "tirt_only": ("teacher_tirt", "low"),
    "full": ("teacher_tirt", "tag"),
}


@dataclass(frozen=True)
class Source:
    """One number by its identity, over all seeds that params.yaml plans."""

    stage: str
    metric: str
    identity: Mapping[str, Any]
    seeds: tuple[int, ...] = ()
    sampling_seeds: tuple[int, ...] = ()


@dataclass(frozen=True)
class Expected:
    """How a measured cell must come about.

    ``exponent`` None: one unit for the whole column, a multiple of three.
    """

    statistic: str
    decimals: int
    first: Source
    second: Source | None = None
    exponent: int | None = 0
    sources: tuple[Source, ...] = field(init=False)

    def __post_init__(self) -> None:
        both = (self.first,) if self.second is None else (self.first, self.second)
        object.__setattr__(self, "sources", both)


class Expectations:
    """Reads addresses under one params.yaml."""

    def __init__(self, params: Mapping[str, Any]) -> None:
        self.params = params
        self.experiments = params["experiments"]
        self.sampling = self.experiments["sampling"]
        self.settings = params["make_table"]

    def of(self, address: str) -> Expected | None:
        """What the cell must show; None where no measurement belongs."""
        item, row, column = address.split("/")
        bound = _BOUND.fullmatch(row)
        if bound is not None:
            return self._bound(item, bound[1], bound[2], column)
        builder = {
            "table2": self._table2,
            "table3": self._rows,
            "table4": self._rows,
            "tableB3": self._rows,
            "tableB4": self._rows,
            "anchor": self._rows,
            "tableC5": self._steps,
            "tableC6": self._width,
            "tableC7": self._scales,
            "tableA1": self._a1,
            "tableS1": self._s1,
        }.get(item)
        return builder(item, row, column) if builder else None

    # sources

    def _sampler(self, model: str, **change: Any) -> dict[str, Any]:
        teacher = model.startswith("teacher_")
        kind = "tag" if teacher else self.sampling["student_guidance"]
        scale = (
            self.params["tag"]["w_max"]
            if kind == "tag"
            else self.sampling["guidance_scale"]
        )
        known = {"guidance": kind, "scale": scale, "steps": self.sampling["steps"]}
        return {**known, **change}

    def _seeds(self, item: str) -> tuple[int, ...]:
        return tuple(self.experiments[EXPERIMENT.get(item, item)]["seeds"])

    def _measure(
        self,
        item: str,
        column: str,
        dataset: str,
        model: str,
        width: int | None,
        **sampler: Any,
    ) -> Source:
        stage, metric, _ = MEASURES[column]
        identity: dict[str, Any] = {"dataset": dataset}
        if stage == "measure_calibration":
            identity |= {"student": model, "width": width}
            return Source(stage, metric, identity, self._seeds(item))
        width = self.params["train_teacher"]["width"] if width is None else width
        identity |= {"model": model, "width": width, **self._sampler(model, **sampler)}
        samplings = tuple(self.sampling["sampling_seeds"])
        return Source(stage, metric, identity, self._seeds(item), samplings)

    def _profile(self, dataset: str, model: str, width: int | None, key: str) -> Source:
        width = self.params["train_teacher"]["width"] if width is None else width
        identity = {"dataset": dataset, "model": model, "width": width}
        return Source("profile_model", key, identity)

    def _cell(self, column: str, first: Source, spread: bool) -> Expected:
        decimals = self.settings[MEASURES[column][2]]
        exponent = {"gap_mse": None, "kid": 3}.get(column, 0)
        return Expected("std" if spread else "mean", decimals, first, exponent=exponent)

    # tables

    def _bound(
        self, item: str, dataset: str | None, name: str, column: str
    ) -> Expected | None:
        """A set that bounds the metrics: one instance a dataset, no seeds."""
        if item in ("tableC5", "tableC7"):  # the distance in every column
            parts = (dataset or self.experiments[item]["datasets"][0], "fid", False)
        else:
            parts = self._split(item, column)
        if parts is None or MEASURES[parts[1]][0] != "compute_metrics":
            return None
        source = self.bound(name, MEASURES[parts[1]][1], parts[0])
        return self._cell(parts[1], source, parts[2])

    @staticmethod
    def bound(name: str, metric: str, dataset: str) -> Source:
        """A metric of a bounding set."""
        return Source("extract_reference", f"{name}_{metric}", {"dataset": dataset})

    def _split(self, item: str, column: str) -> tuple[str, str, bool] | None:
        match = _COLUMN.fullmatch(column)
        datasets = self.experiments[EXPERIMENT.get(item, item)]["datasets"]
        if match is None or match[1] not in datasets:
            return None
        return match[1], match[2], bool(match[3])

    def _rows(self, item: str, row: str, column: str) -> Expected | None:
        block = self.experiments[EXPERIMENT.get(item, item)]
        model = "teacher_tirt" if row == "teacher" else row
        width = None if row == "teacher" else block["width"]
        if column == "params_m":
            source = self._profile(block["datasets"][0], model, width, "parameters")
            return Expected("mean", 1, source, exponent=-6)
        parts = self._split(item, column)
        if parts is None:
            return None
        dataset, measure, spread = parts
        if row == "teacher" and measure in ("rho", "cos", "gap_mse"):
            return None  # by definition
        source = self._measure(item, measure, dataset, model, width)
        return self._cell(measure, source, spread)

    def _table2(self, item: str, row: str, column: str) -> Expected | None:
        if row not in TABLE2:
            return None  # literature
        model, kind = TABLE2[row]
        block = self.experiments["table2"]
        if column == "params_m":
            source = self._profile(block["datasets"][0], model, None, "parameters")
            return Expected("mean", 1, source, exponent=-6)
        parts = self._split(item, column)
        if parts is None:
            return None
        scale = {
            "low": block["guidance_scale"],
            "high": self.sampling["guidance_scale"],
        }.get(kind)
        change = {"guidance": "constant", "scale": scale} if scale is not None else {}
        dataset, measure, _ = parts
        source = self._measure(item, measure, dataset, model, None, **change)
        return self._cell(measure, source, False)

    def _pair(
        self, item: str, row: str, dataset: str, **sampler: Any
    ) -> Expected | None:
        block = self.experiments[item]
        place = (item, "fid", dataset)
        teacher = self._measure(*place, "teacher_tirt", None, **sampler)
        student = self._measure(*place, block["student"], block["width"], **sampler)
        decimals = self.settings["decimals"]
        if row == "gap":
            return Expected("difference", decimals, student, teacher)
        return Expected("mean", decimals, teacher if row == "teacher" else student)

    def _steps(self, item: str, row: str, column: str) -> Expected | None:
        for dataset in self.experiments[item]["datasets"]:
            if row.startswith(f"{dataset}_"):
                part = row.removeprefix(f"{dataset}_")
                return self._pair(item, part, dataset, steps=int(column[4:]))
        return None

    def _scales(self, item: str, row: str, column: str) -> Expected | None:
        datasets = self.experiments[item]["datasets"]
        if len(datasets) == 1:
            return self._pair(item, row, datasets[0], scale=float(column[1:]))
        for dataset in datasets:
            if row.startswith(f"{dataset}_"):
                part = row.removeprefix(f"{dataset}_")
                return self._pair(item, part, dataset, scale=float(column[1:]))
        return None

    def _width(self, item: str, row: str, column: str) -> Expected | None:
        name, _, number = row.rpartition("_")
        teacher = name == "teacher"
        model, width = ("teacher_tirt", None) if teacher else (name, int(number))
        first = self.experiments[item]["datasets"][0]
        own = self._profile(first, model, width, "parameters")
        if column == "params_m":
            return Expected("mean", 1, own, exponent=-6)
        if column == "compression":
            whole = self._profile(first, "teacher_tirt", None, "parameters")
            return Expected("ratio", 1, whole, own)
        parts = self._split(item, column)
        if parts is None or (teacher and parts[1] in ("rho", "cos")):
            return None
        source = self._measure(item, parts[1], parts[0], model, width)
        return self._cell(parts[1], source, False)

    def _a1(self, item: str, row: str, column: str) -> Expected | None:
        if row != "parameters" or column not in ("teacher", "student"):
            return None
        return Expected("mean", 1, self._of_table3(column, "parameters"), exponent=-6)

    def _of_table3(self, column: str, key: str) -> Source:
        block = self.experiments["table3"]
        model, width = {
            "teacher": ("teacher_tirt", None),
            "student": ("dash", block["width"]),
        }[column]
        return self._profile(block["datasets"][0], model, width, key)

    def _s1(self, item: str, row: str, column: str) -> Expected | None:
        if column not in ("teacher", "student", "ratio"):
            return None
        key, exponent, decimals = PROFILED[row]
        if column == "ratio":
            both = (self._of_table3(which, key) for which in ("teacher", "student"))
            return Expected("ratio", 2, *both)
        source = self._of_table3(column, key)
        return Expected("mean", decimals, source, exponent=exponent)
