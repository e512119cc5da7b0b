"""What the table checks read: raw results, collected rows, sidecars, .tex, params."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from dash_repro.audit import exact
from dash_repro.audit.expected import DISTANCES, Expectations, Expected, Source
from runledger import md5_file
from runledger.audit import Chain

RAW_FILES = {
    "compute_metrics": "metrics.json",
    "extract_reference": "bounds.json",
    "measure_calibration": "calibration.json",
    "profile_model": "profile.json",
    "distill_steps": "gap.json",
}


@dataclass(frozen=True)
class RawNumber:
    """One number of a raw result file, as the text that reads back to it."""

    stage: str
    instance: str
    seed: str
    sampling_seed: str
    text: str
    error: str = ""
    n: str = ""
    name: str = ""
    extractor: str = ""

    @property
    def seeded(self) -> tuple[str, str, str]:
        """(seed, sampling seed, number)."""
        return self.seed, self.sampling_seed, self.text


@dataclass
class Evidence:
    """A checkout as the table checks see it.

    Args:
        chain: its instances, records and bytes.
    """

    chain: Chain
    _raw: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.root: Path = self.chain.root
        self.params: Mapping[str, Any] = self.chain.pipeline.params
        self.expectations = Expectations(self.params)

    @cached_property
    def tables(self) -> list[str]:
        """Items that are tables, in the plan's order."""
        stem = "make_table-"
        return [
            n.removeprefix(stem) for n in self.chain.instances if n.startswith(stem)
        ]

    @cached_property
    def figures(self) -> list[str]:
        """Items that are figures."""
        stem = "plot_figure@"
        return [
            n.removeprefix(stem) for n in self.chain.instances if n.startswith(stem)
        ]

    @cached_property
    def sidecars(self) -> dict[str, dict[str, Any]]:
        """{item: sidecar JSON} of the tables whose file can be read."""
        found = {}
        for item in self.tables:
            text = self.text(f"results/tables/{item}.json", f"make_table-{item}")
            try:
                found[item] = json.loads(text or "")
            except ValueError:
                continue
        return found

    @cached_property
    def cells(self) -> dict[str, dict[str, Any]]:
        """{address: cell} over all tables."""
        return {
            address: cell
            for sidecar in self.sidecars.values()
            for address, cell in sidecar["cells"].items()
        }

    def text(self, path: str, instance: str) -> str | None:
        """A text of the checkout as it is; absent, the copy in its record."""
        try:
            return (self.root / path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            record = self.chain.record_of(instance)
            return record.outputs.get(path, {}).get("inline") if record else None

    def raw_json(self, stage: str, instance: str) -> Any:
        """A raw result file; None if it is nowhere or broken."""
        path = f"results/{stage}/{instance}/{RAW_FILES[stage]}"
        if path not in self._raw:
            try:
                self._raw[path] = json.loads(
                    self.text(path, f"{stage}@{instance}") or ""
                )
            except (ValueError, KeyError):
                self._raw[path] = None
        return self._raw[path]

    @cached_property
    def by_stage(self) -> dict[str, list[tuple[str, Mapping[str, Any]]]]:
        """{stage: (id, identity) of its planned instances}."""
        found: dict[str, list[tuple[str, Mapping[str, Any]]]] = {}
        for name in self.chain.instances:
            instance = self.chain.verdicts[name].instance
            found.setdefault(instance.stage, []).append((instance.id, instance.item))
        return found

    def planned(self, source: Source) -> list[tuple[str, Mapping[str, Any]]]:
        """(id, identity) of the planned instances a source names, over its seeds."""
        return [
            (id, item)
            for id, item in self.by_stage.get(source.stage, [])
            if all(item.get(key) == value for key, value in source.identity.items())
            and (not source.seeds or item.get("seed") in source.seeds)
            and (
                not source.sampling_seeds
                or item.get("sampling_seed") in source.sampling_seeds
            )
        ]

    def numbers(self, source: Source) -> list[RawNumber]:
        """The raw numbers of a source that exist; seeds without a run are absent."""
        found = []
        for id, item in self.planned(source):
            content = self.raw_json(source.stage, id)
            if source.stage == "extract_reference":
                found += _bounds(content, source, id)
                continue
            entry = _entry(content, source)
            if entry is None:
                continue
            profile = source.stage == "profile_model"
            number, about = entry
            found.append(
                RawNumber(
                    source.stage,
                    id,
                    "" if profile else str(item.get("seed", "")),
                    str(item.get("sampling_seed", "")) if not profile else "",
                    number,
                    **about,
                )
            )
        return found

    def mark(self, expected: Expected | None) -> str:
        """The mark of a mean distance above that of the dataset's constant image."""
        if expected is None or expected.statistic != "mean":
            return ""
        source = expected.first
        if (source.stage, source.metric) not in DISTANCES:
            return ""
        dataset = source.identity["dataset"]
        bound = self.expectations.bound("constant", source.metric, dataset)
        pair = [self.numbers(source), self.numbers(bound)]
        if not all(pair):
            return ""
        ours, constant = (exact.average([v.seeded for v in raw]) for raw in pair)
        return "‡" if ours > constant else ""

    def instances_of(self, expected: Expected) -> set[str]:
        """Names of the planned instances behind an expected cell."""
        return {
            f"{source.stage}@{id}"
            for source in expected.sources
            for id, _ in self.planned(source)
        }

    def collected(self, item: str) -> list[dict[str, str]] | None:
        """Rows of an item's CSV if its bytes are here and are its record's."""
        path = f"results/collect_results/{item}.csv"
        record = self.chain.record_of(f"collect_results-{item}")
        target = self.root / path
        if record is None or not target.is_file():
            return None
        if md5_file(target) != record.outputs[path]["md5"]:
            return None
        with open(target, newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))


def json_number(value: Any) -> str | None:
    """Shortest text of a JSON number; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return repr(value)


def _bounds(content: Any, source: Source, id: str) -> list[RawNumber]:
    """The numbers of a bound, one a set: the sets count like samplings."""
    name, _, metric = source.metric.partition("_")
    bound = content.get("bounds", {}).get(name, {}) if isinstance(content, dict) else {}
    found = []
    for index, metrics in enumerate(bound.get("sets", [])):
        entry = metrics.get(metric, {})
        number = json_number(entry.get("value"))
        if number is not None:
            error = json_number(entry.get("standard_error")) or ""
            about = (number, error, str(bound.get("n")), str(entry.get("name")))
            extractor = str(entry.get("extractor", content.get("extractor")))
            found.append(RawNumber(source.stage, id, "", str(index), *about, extractor))
    return found


def _entry(content: Any, source: Source) -> tuple[str, dict[str, str]] | None:
    """The number of a source in its file's content, and what is said about it."""
    if not isinstance(content, dict):
        return None
    if source.stage == "compute_metrics":
        entry = content.get("metrics", {}).get(source.metric, {})
        number = json_number(entry.get("value"))
        about = {
            "error": json_number(entry.get("standard_error")) or "",
            "n": str(content.get("num_samples")),
            "name": str(entry.get("name")),
            "extractor": str(entry.get("extractor", content.get("extractor"))),
        }
    else:
        number, about = json_number(content.get(source.metric)), {}
        if source.stage in ("measure_calibration", "distill_steps"):
            errors = content.get("standard_error", {})
            about = {
                "error": json_number(errors.get(source.metric)) or "",
                "n": str(content.get("pairs")),
                "name": source.metric,
            }
        else:
            about = {"name": source.metric}
    return (number, about) if number is not None else None
