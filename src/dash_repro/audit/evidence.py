"""What the table checks read: raw results, collected rows, sidecars, .tex, params."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from dash_repro.audit import exact
from dash_repro.audit.expected import DISTANCES, Expectations, Expected, Source
from runledger import md5_file
from runledger.audit import OBJECTION, Chain, Finding
from runledger.errors import UserError

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


Numbers = Sequence[RawNumber]
Json = Mapping[str, Any]  # a sidecar of a table, a cell of it, a block of params


class Evidence:
    """A checkout as the table checks see it.

    Args:
        chain: its instances, records and bytes.
    """

    def __init__(self, chain: Chain) -> None:
        self.chain, self.root = chain, chain.root
        self.params: Json = chain.pipeline.params
        self.expectations = Expectations(self.params)
        self._raw: dict[str, Any] = {}

    @cached_property
    def tables(self) -> list[str]:
        """Items that are tables, in the plan's order."""
        return [item for item, _ in self.by_stage.get("make_table", [])]

    @cached_property
    def figures(self) -> list[str]:
        """Items that are figures."""
        return [item for item, _ in self.by_stage.get("plot_figure", [])]

    @cached_property
    def sidecars(self) -> dict[str, dict[str, Any]]:
        """{item: sidecar JSON} of the tables whose file can be read."""
        found = {
            item: self._json(f"results/tables/{item}.json", f"make_table-{item}")
            for item in self.tables
        }
        return {item: sidecar for item, sidecar in found.items() if sidecar is not None}

    @cached_property
    def cells(self) -> dict[str, dict[str, Any]]:
        """{address: cell} over all tables."""
        return {
            address: cell
            for sidecar in self.sidecars.values()
            for address, cell in sidecar["cells"].items()
        }

    def cell(self, address: str) -> dict[str, Any]:
        """The cell of that address.

        Raises:
            UserError: no table has it; the message names its neighbours.
        """
        if address in self.cells:
            return self.cells[address]
        item, _, rest = address.partition("/")
        cells = self.sidecars.get(item, {}).get("cells", {})
        near = [known for known in cells if rest.split("/")[0] in known] or list(cells)
        listed = ", ".join(near[:8]) or ", ".join(self.sidecars)
        what = f"there is no cell {address!r}"
        raise UserError(what, "--cell", f"for example {listed}")

    @property
    def measured(self) -> list[str]:
        """What cells of measured numbers print."""
        cells = self.cells.values()
        return [cell["displayed"] for cell in cells if cell["kind"] == "measured"]

    def text(self, path: str, instance: str) -> str | None:
        """A text of the checkout as it is; absent, the copy in its record."""
        try:
            return (self.root / path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            record = self.chain.record_of(instance)
            return record.outputs.get(path, {}).get("inline") if record else None

    def _json(self, path: str, instance: str) -> Any:
        try:
            return json.loads(self.text(path, instance) or "")
        except ValueError:
            return None

    def raw_json(self, stage: str, instance: str) -> Any:
        """A raw result file; None if it is nowhere or broken."""
        path = f"results/{stage}/{instance}/{RAW_FILES[stage]}"
        if path not in self._raw:
            self._raw[path] = self._json(path, f"{stage}@{instance}")
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
        return [
            number
            for id, item in self.planned(source)
            for number in _numbers(self.raw_json(source.stage, id), source, id, item)
        ]

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


def _numbers(
    content: Any, source: Source, id: str, item: Mapping[str, Any]
) -> Iterator[RawNumber]:
    """The numbers of a source in the content of one of its files; none if broken."""
    if not isinstance(content, dict):
        return
    seeds = str(item.get("seed", "")), str(item.get("sampling_seed", ""))
    metric, n = source.metric, ""
    if source.stage == "extract_reference":  # sets of a bound count like samplings
        name, _, metric = metric.partition("_")
        bound = content.get("bounds", {}).get(name, {})
        sets, n = bound.get("sets", []), str(bound.get("n"))
        entries = {("", str(i)): one.get(metric, {}) for i, one in enumerate(sets)}
    elif source.stage == "compute_metrics":
        entries = {seeds: content.get("metrics", {}).get(metric, {})}
        n = str(content.get("num_samples"))
    else:
        entry = {"value": content.get(metric), "name": metric, "extractor": ""}
        if source.stage == "profile_model":
            seeds = "", ""
        else:
            entry["standard_error"] = content.get("standard_error", {}).get(metric)
            n = str(content.get("pairs"))
        entries = {seeds: entry}
    for place, entry in entries.items():
        number = json_number(entry.get("value"))
        if number is not None:
            error = json_number(entry.get("standard_error")) or ""
            extractor = str(entry.get("extractor", content.get("extractor")))
            about = error, n, str(entry.get("name")), extractor
            yield RawNumber(source.stage, id, *place, number, *about)


def both_sides(
    evidence: Evidence, expected: Expected
) -> tuple[list[RawNumber], list[RawNumber]]:
    """Raw numbers of a cell, and those that they are compared with or divided by."""
    first, *second = map(evidence.numbers, expected.sources)
    return first, second[0] if second else []


def objection(kind: str, address: str, detail: str) -> Finding:
    """What is wrong with one cell."""
    return Finding(OBJECTION, kind, address, detail, cells=(address,))
