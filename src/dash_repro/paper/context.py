"""What every table builder asks: raw values, paper values, names, captions."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any

from dash_repro.objectives.kinds import OBJECTIVES
from dash_repro.paper.aggregate import DASH, Cell, Value, cell, mean, units
from dash_repro.paper.measures import DISTANCES, MANY, MEASURES, QUALITY
from dash_repro.paper.needs import stepped
from dash_repro.paper.rows import Collected, CollectedError, Row
from dash_repro.paper.uncertainty import decimals_of

WORSE = "‡"  # mark of a distance above the constant image's


@dataclass(frozen=True)
class Sampler:
    """How samples are drawn: guidance "constant" or "tag", its scale, DDIM steps."""

    guidance: str
    scale: float
    steps: int


class PaperTable:
    """One of the paper's CSVs, its rows by id; values stay the text they are."""

    def __init__(self, by_id: Mapping[str, Mapping[str, str]]) -> None:
        self.by_id = by_id

    @classmethod
    def load(cls, path: Path, *keys: str) -> PaperTable:
        """Read a CSV; a row's id joins its columns `keys` by underscores."""
        with open(path, newline="", encoding="utf-8") as file:
            lines = list(csv.DictReader(file))
        return cls({"_".join(line[key] for key in keys): line for line in lines})

    def value(self, row: str, column: str) -> str:
        """Text of a value, "" where the paper has none."""
        return self.by_id.get(row, {}).get(column) or ""


class Rows(list[Row]):
    """Rows of one number over its seeds, and why some are missing."""

    def __init__(self, rows: Iterable[Row], reasons: Iterable[str] = ()) -> None:
        super().__init__(rows)
        self.reasons = list(reasons)


@dataclass(frozen=True)
class Context:
    """Everything a builder may read.

    Attributes:
        item: table that is built.
        collected: its rows (of `claims`: the union of several tables' rows).
        settings: section make_table of params.yaml.
        scale: as in params.yaml.
        sources: the paper's CSVs by file name.
        allow_missing: a missing number becomes a dash instead of an error.
        absent: (identity, reason) of instances that are missing, to say so in cells.
    """

    item: str
    collected: Collected
    settings: Mapping[str, Any]
    scale: str
    sources: Mapping[str, Path] = field(default_factory=dict)
    allow_missing: bool = False
    absent: Sequence[tuple[Mapping[str, Any], str]] = ()

    def param(self, key: str) -> Any:
        """Value of params.yaml recorded with the rows."""
        return self.collected.param(key)

    @cached_property
    def samples(self) -> int:
        """The fewest samples behind a distance to the training images."""
        found = self.collected.find("frechet", stage=QUALITY)
        return min((int(row.n) for row in found), default=MANY)

    def sampler(self, model: str) -> Sampler:
        """The default sampler: TAG for teachers, the params' for students.

        A student that has learned the guided noise is not guided again.
        """
        sampling = self.param("experiments.sampling")
        if model.startswith("teacher_"):
            return Sampler("tag", float(self.param("tag.w_max")), sampling["steps"])
        if self.guided(model):
            return Sampler("constant", 1.0, sampling["steps"])
        kind = sampling["student_guidance"]
        scale = self.param("tag.w_max") if kind == "tag" else sampling["guidance_scale"]
        return Sampler(kind, float(scale), sampling["steps"])

    def guided(self, student: str) -> bool:
        """Whether its one branch is the guided noise."""
        name = stepped(student)[0]
        return OBJECTIVES[self.param(f"students.{name}.objective")].guided

    def over_seeds(
        self,
        metric: str,
        experiment: str,
        dataset: str,
        model: str,
        width: int | None,
        sampler: Sampler | None = None,
    ) -> list[Row]:
        """Rows of a metric over the experiment's training seeds.

        With a sampler, of samples: over the sampling seeds, too.
        """
        samplings: list[dict[str, Any]] = [{}]
        if sampler is not None:
            noise = self.param("experiments.sampling.sampling_seeds")
            samplings = [{**asdict(sampler), "sampling_seed": seed} for seed in noise]
        where = {"dataset": dataset, "model": model, "width": width}
        seeds = self.param(f"experiments.{experiment}.seeds")
        places = [
            {**where, "seed": s, **sampling} for s in seeds for sampling in samplings
        ]
        return self._rows(metric, places)

    def profile(
        self, key: str, dataset: str, model: str, width: int | None = None
    ) -> list[Row]:
        """The row of one number of a network's profile."""
        where = {"name": key, "dataset": dataset, "model": model, "width": width}
        return self._rows("profile", [where])

    def bound(self, name: str, metric: str, dataset: str) -> list[Row]:
        """Rows of a metric of a bounding set: real, constant, noise (bounds.json)."""
        where = {"stage": "extract_reference", "dataset": dataset}
        found = self.collected.find(f"{name}_{metric}", **where)
        return found or self._rows(f"{name}_{metric}", [where])

    def _rows(self, metric: str, places: Iterable[Mapping[str, Any]]) -> Rows:
        """The one row at each place; with allow_missing, or why it is missing."""
        found, reasons = [], []
        for where in places:
            if self.allow_missing and not self.collected.find(metric, **where):
                reasons += self._reasons(where)
            else:
                found.append(self.collected.one(metric, **where))
        return Rows(found, reasons)

    def _reasons(self, where: Mapping[str, Any]) -> list[str]:
        """Why a number is missing, of the instances that could have given it."""
        found = [
            why
            for identity, why in self.absent
            if all(identity.get(k, v) == v for k, v in where.items() if v is not None)
        ]
        return sorted(set(found)) or ["not made"]

    def measured(
        self, address: str, rows: list[Row], decimals: int, **more: Any
    ) -> Cell:
        """A cell from rows; with allow_missing, a dash where there are none.

        Args:
            address: without the item.
            rows: of the number, over its seeds.
            decimals: the most digits after the point.
            more: fields of Cell; "values" and "name" instead of those of the rows.
        """
        reasons = ", ".join(dict.fromkeys(getattr(rows, "reasons", ())))
        if not rows:
            note = f"missing: {reasons}" if reasons else "missing"
            return self.dash(address, note, more.get("paper", ""))
        if reasons:
            note = more.get("note", "")
            more["note"] = f"{note}; missing values: {reasons}"
        values = more.pop("values", None) or [value_of(row) for row in rows]
        statistic, ddof = more.get("statistic", "mean"), self.settings["ddof"]
        if statistic == "mean":
            more["mark"] = self._mark(rows[0], values)
        unit = more.get("exponent", 0)
        return cell(
            f"{self.item}/{address}",
            values,
            decimals_of(values, statistic, ddof, unit, decimals),
            ddof,
            metric=rows[0].metric,
            name=more.pop("name", "") or _same(rows, "name"),
            n=_same(rows, "n"),
            extractor=_same(rows, "extractor"),
            **more,
        )

    def millions(
        self, address: str, rows: list[Row], decimals: int = 1, paper: str = ""
    ) -> Cell:
        """A cell of parameters; other scales have networks of hundredths of a million.

        Args:
            address, rows, decimals: as of `measured`; decimals at the paper's scale.
            paper: the paper's value.
        """
        most = decimals if self.scale == "paper" else max(decimals, 2)
        about = {"exponent": -6, "paper": paper, "unit": "millions"}
        return self.measured(address, rows, most, **about)

    def of_two(
        self,
        statistic: str,
        address: str,
        first: list[Row],
        second: list[Row],
        decimals: int,
        paper: str = "",
    ) -> Cell:
        """A cell of the difference or ratio of two means, named for the first."""
        values = [value_of(row) for row in first]
        values += [value_of(row, "second") for row in second]
        rows = [*first, *second] if first and second else []
        about = {"statistic": statistic, "values": values, "paper": paper}
        about["name"] = first[0].name if first else ""
        return self.measured(address, rows, decimals, **about)

    def dash(self, address: str, note: str, paper: str = "") -> Cell:
        """A cell without a number, and why."""
        return Cell(f"{self.item}/{address}", DASH, "dash", note=note, paper=paper)

    def word(
        self, address: str, text: str, kind: str = "param", paper: str = ""
    ) -> Cell:
        """A cell that shows a param, a definition or a word."""
        return Cell(f"{self.item}/{address}", text or DASH, kind, paper=paper)

    def quoted(self, address: str, text: str) -> Cell:
        """A cell that shows what the paper or the released code prints."""
        return self.word(address, text, "literature", text)

    def digits(self, column: str) -> int:
        """Digits after the point, at the most, of a column as MEASURES has it."""
        return self.settings[MEASURES[column].decimals]

    def _mark(self, row: Row, values: Sequence[Value]) -> str:
        """WORSE for a distance above that of the dataset's constant image."""
        if row.metric not in DISTANCES:
            return ""
        bound = self.collected.find(f"constant_{row.metric}", dataset=row.dataset)
        worse = bound and mean(units(values)) > mean_of(bound)
        return WORSE if worse else ""


def value_of(row: Row, role: str = "") -> Value:
    """The raw value of a row, with where it came from."""
    where = row.seed, row.sampling_seed, row.stage, row.instance
    return Value(row.value, *where, role, row.error)


def mean_of(rows: Iterable[Row]) -> Decimal:
    """Mean over training seeds, each the mean over its sampling seeds."""
    return mean(units([value_of(row) for row in rows]))


def _same(rows: Sequence[Row], column: str) -> str:
    found = sorted({getattr(row, column) for row in rows})
    if len(found) > 1:
        raise CollectedError(
            f"one cell mixes {column}s {found}",
            ", ".join(f"{row.stage}/{row.instance}" for row in rows),
            "run the instances again with the same params",
        )
    return found[0]
