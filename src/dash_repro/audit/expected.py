"""What a table cell must show, from its address and params.yaml alone.

A second opinion on purpose: the grammar of addresses and the table of sources below are
written apart from the builders of the tables. A builder that puts another student's,
dataset's or seed's numbers into a box disagrees with them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Block = Mapping[str, Any]  # of params, or an identity
Facts = Mapping[str, str]  # what an address says, by the names of the patterns
TEACHER = "teacher_tirt"
SAMPLES, GAPS = "compute_metrics", "measure_calibration"
MEASURES: dict[str, tuple[str, str, str, int | None, bool]] = {
    # ending of a column -> stage, name in its file, key of its decimals, exponent
    # (None: one unit a column, a multiple of three), whether it is a distance
    "fd": (SAMPLES, "frechet", "decimals", 0, True),
    "is": (SAMPLES, "inception_score", "decimals", 0, False),
    "kid": (SAMPLES, "kid", "decimals", None, True),
    "fd_inf": (SAMPLES, "frechet_infinity", "decimals", 0, True),
    "precision": (SAMPLES, "precision", "decimals", 2, False),
    "recall": (SAMPLES, "recall", "decimals", 2, False),
    "nn": (SAMPLES, "nearest", "decimals", 0, False),
    "acc": (SAMPLES, "class_accuracy", "decimals", 2, False),
    "rho": (GAPS, "rho", "calibration_decimals", 0, False),
    "cos": (GAPS, "cos", "calibration_decimals", 0, False),
    "gap_mse": (GAPS, "gap_mse", "gap_decimals", None, False),
    "err_cond": (GAPS, "err_cond", "gap_decimals", None, False),
    "err_uncond": (GAPS, "err_uncond", "gap_decimals", None, False),
    "err_cos": (GAPS, "err_cos", "calibration_decimals", 0, False),
}
ERRORS = ("err_cond", "err_uncond")  # of the branches, one over the other
DISTANCES = {(stage, name) for stage, name, _, _, far in MEASURES.values() if far}
PROFILED = {  # row, or column -> key of profile.json, exponent, decimals
    "params_m": ("parameters", -6, 1),
    "parameters": ("parameters", -6, 1),
    "parameters_m": ("parameters", -6, 2),
    "flops_50step_cfg_g": ("sampling_flops", -9, 1),
    "latency_ms_t4_batch64": ("sampling_latency_s", 3, 1),
    "peak_memory_mb_t4_batch64": ("peak_memory_bytes", -6, 1),
}
TEACHERS = {  # row of Table 2 -> teacher, constant guidance scale (None: TAG)
    "min_snr": ("teacher_min_snr", "table2.guidance_scale"),
    "fixed_cfg": ("teacher_min_snr", "sampling.guidance_scale"),
    "tag_only": ("teacher_min_snr", None),
    "tirt_only": (TEACHER, "table2.guidance_scale"),
    "full": (TEACHER, None),
}
# Patterns of rows and columns; {d} stands for the experiment's datasets.
_STD = r"(?P<std>_std|_sampling_std)?"
_MEASURE = rf"(?P<dataset>{{d}})_(?P<measure>{'|'.join(MEASURES)}){_STD}"
_SIZE = r"(?P<size>params_m)"
_ROLE = r"(?P<role>teacher|student|ratio)"
_BOUND = r"bound_(?P<bound>real|constant|noise)"
_NETWORK = r"(?P<model>\w+)"
_OWN = r".*(?<!_std)"  # columns of a CSV that two tables share


@dataclass(frozen=True)
class Layout:
    """How the addresses of a table read.

    Attributes:
        experiment: block of `experiments`.
        rows, columns: patterns, tried in this order.
        csv, keys: the paper's values, and the columns that name their rows.
        beside: pattern of the CSV's columns that this table shows.
    """

    experiment: str
    rows: tuple[str, ...] = (_BOUND, _NETWORK)
    columns: tuple[str, ...] = (_SIZE, _MEASURE)
    csv: str = ""
    keys: tuple[str, ...] = ("model",)
    beside: str = ".*"


_T3 = {"csv": "table3_main.csv"}
_T4 = {"csv": "table4_ablation.csv", "keys": ("configuration",)}
_SPREADS = r".*_(fd|is).*"
LAYOUTS = {
    "table2": Layout(
        "table2",
        (_BOUND, f"(?P<teacher>{'|'.join(TEACHERS)})"),
        csv="table2_teacher_ablation.csv",
        keys=("method",),
    ),
    "table3": Layout("table3", **_T3, beside=_OWN),
    "table4": Layout("table4", columns=(_MEASURE,), **_T4, beside=_OWN),
    "tableB3": Layout("table3", columns=(_MEASURE,), **_T3, beside=_SPREADS),
    "tableB4": Layout("table4", columns=(_MEASURE,), **_T4, beside=_SPREADS),
    "tableC5": Layout(
        "tableC5",
        (rf"(?P<dataset>{{d}})_{_BOUND}", rf"(?P<dataset>{{d}})_{_NETWORK}"),
        (r"fd_(?P<steps>\d+)",),
        csv="tableC5_steps.csv",
        keys=("dataset", "model"),
    ),
    "tableC6": Layout(
        "tableC6",
        (_BOUND, rf"{_NETWORK}_(?P<width>\d+)"),
        (_SIZE, r"(?P<size>compression)", _MEASURE),
        csv="tableC6_width.csv",
        keys=("config", "width"),
    ),
    "tableC7": Layout(
        "tableC7",
        (rf"(?:(?P<dataset>{{d}})_)?{_BOUND}", rf"(?:(?P<dataset>{{d}})_)?{_NETWORK}"),
        (r"w(?P<scale>\d+\.\d+)",),
        csv="tableC7_guidance.csv",
    ),
    "anchor": Layout("anchor", columns=(_MEASURE,)),
    "tableA1": Layout("table3", (r"(?P<key>parameters)",), (_ROLE,)),
    "tableS3": Layout("table3", columns=(_MEASURE,)),
    "tableS1": Layout(
        "table3",
        (f"(?P<key>{'|'.join(PROFILED)})",),
        (_ROLE,),
        csv="released_code_efficiency.csv",
        keys=("metric",),
    ),
    "tableS4": Layout(
        "stepwise",
        (r"(?P<dataset>{d})_(?P<stepwise>plain|distilled|gain|rho)",),
        (r"fd_(?P<steps>\d+)",),
    ),
    "tableS2": Layout(
        "released",
        columns=(r"(?P<size>parameters_m)", _MEASURE),
        csv="released_code_extra.csv",
    ),
    "tableS5": Layout(
        "table3", columns=(_MEASURE, r"(?P<dataset>{d})_(?P<over>err_ratio)")
    ),
}


@dataclass(frozen=True)
class Source:
    """One number by its identity, over all seeds that params.yaml plans."""

    stage: str
    metric: str
    identity: Block
    seeds: tuple[int, ...] = ()
    sampling_seeds: tuple[int, ...] = ()


@dataclass(frozen=True)
class Expected:
    """How a cell must come about; at most `decimals`; exponent as in MEASURES."""

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

    def __init__(self, params: Block) -> None:
        self.params = params
        self.experiments = params["experiments"]
        self.sampling = self.experiments["sampling"]
        self.settings = params["make_table"]
        self.teacher_width = params["train_teacher"]["width"]

    def expected_for(self, address: str) -> Expected | None:
        """What the cell must show; None where no measurement belongs."""
        item, row, column = address.split("/")
        if item not in LAYOUTS:
            return None
        layout = LAYOUTS[item]
        block = self.experiments[layout.experiment]
        datasets = "|".join(map(re.escape, block["datasets"]))
        own = _first_match(layout.rows, row, datasets)
        shown = _first_match(layout.columns, column, datasets)
        if own is None or shown is None:
            return None
        facts = {"dataset": block["datasets"][0], **own, **shown}
        if "bound" in facts:
            return self._bound(facts)
        if "key" in facts:
            return self._profiled(facts, block)
        if "stepwise" in facts:
            return self._stepwise(facts, block)
        return self._network(facts, block, layout.experiment)

    def _bound(self, facts: Facts) -> Expected | None:
        """A set that bounds the metrics; one instance a dataset, no seeds."""
        measure = facts.get("measure", "fd")  # of sweeps, in every column
        if "size" in facts or MEASURES[measure][0] != SAMPLES:
            return None
        source = self.bound(facts["bound"], MEASURES[measure][1], facts["dataset"])
        return self._cell(measure, source, facts.get("std", ""))

    @staticmethod
    def bound(name: str, metric: str, dataset: str) -> Source:
        """The expected value of a metric of a bounding set of images."""
        return Source("extract_reference", f"{name}_{metric}", {"dataset": dataset})

    def _printed(self, name: str) -> tuple[str, int, int]:
        """PROFILED, with two digits of a million where networks are small."""
        key, exponent, decimals = PROFILED[name]
        small = key == "parameters" and self.params["scale"] != "paper"
        return key, exponent, max(decimals, 2) if small else decimals

    def _profiled(self, facts: Facts, block: Block) -> Expected | None:
        """A number of the profiles of the teacher and of dash."""
        key, exponent, decimals = self._printed(facts["key"])
        teacher = self._profile(block, TEACHER, self.teacher_width, key)
        student = self._profile(block, "dash", block["width"], key)
        if facts["role"] == "ratio":
            return Expected("ratio", 2, teacher, student)
        own = teacher if facts["role"] == "teacher" else student
        return Expected("mean", decimals, own, exponent=exponent)

    def _stepwise(self, facts: Facts, block: Block) -> Expected | None:
        """A student sampled in some steps as it is, and distilled to them."""
        row, steps, width = facts["stepwise"], int(facts["steps"]), block["width"]
        own = steps == block["steps"][0]
        student = block["student"] if own else f"{block['student']}_k{steps}"
        if row == "rho":
            identity = {"dataset": facts["dataset"], "student": student, "width": width}
            stage, seeds = GAPS if own else "distill_steps", tuple(block["seeds"])
            return self._cell("rho", Source(stage, "rho", identity, seeds), "")
        place, change = ("stepwise", "fd", facts["dataset"]), {"steps": steps}
        plain = self._measure(place, block["student"], width, change)
        distilled = self._measure(place, student, width, change)
        if row == "gain":
            return Expected("difference", self._digits("fd"), plain, distilled)
        return self._cell("fd", plain if row == "plain" else distilled, "")

    def _network(self, facts: Facts, block: Block, experiment: str) -> Expected | None:
        """A number of one network, or the gap between two."""
        model, width = facts.get("model", ""), facts.get("width", block.get("width"))
        change: dict[str, Any] = {}
        if "teacher" in facts:
            model, scale = TEACHERS[facts["teacher"]]
            if scale is not None:
                name, _, key = scale.partition(".")
                change = {"guidance": "constant", "scale": self.experiments[name][key]}
        elif model == "teacher":
            model = TEACHER
        is_teacher = model.startswith("teacher_")
        width = self.teacher_width if is_teacher else int(width)
        if "size" in facts:
            return self._size(facts["size"], block, model, width)
        if "measure" in facts:
            place = (experiment, facts["measure"], facts["dataset"])
            if is_teacher and MEASURES[facts["measure"]][0] == GAPS:
                return None  # by definition
            source = self._measure(place, model, width, change)
            return self._cell(facts["measure"], source, facts.get("std", ""))
        if "over" in facts:
            places = ((experiment, m, facts["dataset"]) for m in ERRORS)
            pair = (self._measure(place, model, width, change) for place in places)
            return Expected("ratio", self._digits(ERRORS[0]), *pair)
        if "steps" in facts:
            change = {"steps": int(facts["steps"])}
        else:
            change = {"scale": float(facts["scale"])}
        place = (experiment, "fd", facts["dataset"])
        teacher = self._measure(place, TEACHER, self.teacher_width, change)
        student = self._measure(place, block["student"], block["width"], change)
        if model == "gap":
            return Expected("difference", self._digits("fd"), student, teacher)
        return self._cell("fd", teacher if model == TEACHER else student, "")

    def _size(self, size: str, block: Block, model: str, width: int) -> Expected:
        own = self._profile(block, model, width, "parameters")
        if size == "compression":
            whole = self._profile(block, TEACHER, self.teacher_width, "parameters")
            return Expected("ratio", 1, whole, own)
        _, exponent, decimals = self._printed(size)
        return Expected("mean", decimals, own, exponent=exponent)

    def _measure(
        self, place: tuple[str, str, str], model: str, width: int, change: Block
    ) -> Source:
        """A measure of a network over the experiment's seeds.

        Args:
            place: experiment, measure, dataset.
            change: of the model's default sampler.
        """
        experiment, measure, dataset = place
        stage, metric, *_ = MEASURES[measure]
        seeds = tuple(self.experiments[experiment]["seeds"])
        identity: dict[str, Any] = {"dataset": dataset}
        if stage == GAPS:
            identity |= {"student": model, "width": width}
            return Source(stage, metric, identity, seeds)
        identity |= {"model": model, "width": width, **self._sampler(model), **change}
        samplings = tuple(self.sampling["sampling_seeds"])
        return Source(stage, metric, identity, seeds, samplings)

    def one_branch(self, student: str) -> bool:
        """Whether a student learns guided noise; claims name some that a run lacks."""
        block = self.params["students"].get(re.sub(r"_k\d+$", "", student), {})
        return block.get("objective") == "guided"

    def _sampler(self, model: str) -> dict[str, Any]:
        steps, kind = self.sampling["steps"], self.sampling["student_guidance"]
        if self.one_branch(model):
            return {"guidance": "constant", "scale": 1.0, "steps": steps}
        if model.startswith("teacher_"):
            kind = "tag"
        scale = self.sampling["guidance_scale"]
        scale = self.params["tag"]["w_max"] if kind == "tag" else scale
        return {"guidance": kind, "scale": scale, "steps": steps}

    def _profile(self, block: Block, model: str, width: int, key: str) -> Source:
        identity = {"dataset": block["datasets"][0], "model": model, "width": width}
        return Source("profile_model", key, identity)

    def _cell(self, measure: str, first: Source, spread: str) -> Expected:
        statistic, exponent = spread.removeprefix("_") or "mean", MEASURES[measure][3]
        return Expected(statistic, self._digits(measure), first, exponent=exponent)

    def _digits(self, measure: str) -> int:
        return self.settings[MEASURES[measure][2]]

    def unsupported(self, expected: Expected) -> bool:
        """Whether there are too few samples for a number: below 10,000 no score."""
        few = self.params["generate_samples"]["num_samples"] < 10_000
        return few and expected.first.metric.endswith("inception_score")


def _first_match(
    patterns: tuple[str, ...], text: str, datasets: str
) -> dict[str, str] | None:
    """The named parts of the first pattern that a text matches as a whole."""
    for pattern in patterns:
        match = re.fullmatch(pattern.replace("{d}", datasets), text)
        if match is not None:
            return {k: v for k, v in match.groupdict().items() if v is not None}
    return None
