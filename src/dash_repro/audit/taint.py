"""Which printed numbers rest on which runs."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import cached_property
from typing import Any

from dash_repro.audit.evidence import Evidence

_OPERAND = re.compile(r"[A-Za-z0-9_]+/[A-Za-z0-9_.]+(?:/[A-Za-z0-9_.]+)?")


class Taint:
    """The runs behind every cell and figure, from their addresses.

    A cell rests on the runs whose numbers it averages, what those rest on, and the
    two stages that gather and lay out its table; not on the other runs of the table.
    """

    def __init__(self, evidence: Evidence) -> None:
        self.evidence, self.chain = evidence, evidence.chain
        self._makers: dict[str, frozenset[str]] = {}

    def runs(self, address: str) -> frozenset[str]:
        """Names of the instances whose numbers a cell shows (a figure: its whole)."""
        if address not in self._makers:
            found = self._named_by(address) & self.chain.verdicts.keys()
            self._makers[address] = frozenset(found)
        return self._makers[address]

    def _named_by(self, address: str) -> set[str]:
        """Instances that a figure, a claim or the values of a cell name."""
        item, *place = address.split("/")
        if not place:
            return {f"plot_figure@{item}"}
        if item == "claims":
            return self._claim(place[0]) if place[1].startswith("ours_") else set()
        cell = self.evidence.cells.get(address, {"values": []})
        found = {f"{v['stage']}@{v['instance']}" for v in cell["values"]}
        if cell.get("kind") == "record":  # the time or the device of trainings
            found |= self._members(item, lambda m: m["stage"] == f"train_{place[1]}")
        expected = self.evidence.expectations.expected_for(address)
        return found | (self.evidence.instances_of(expected) if expected else set())

    def _members(self, item: str, wanted: Callable[[Any], bool]) -> set[str]:
        """Instances whose results an item collects, if their identity is wanted."""
        instance = self.chain.verdicts[f"collect_results-{item}"].instance
        return {
            key.replace("/", "@", 1)
            for key, member in instance.item["members"].items()
            if wanted(member)
        }

    def _claim(self, claim: str) -> set[str]:
        """Runs behind the operands that a claim names."""
        cell = self.evidence.cells.get(f"claims/{claim}/ours_values", {})
        operands, found = (cell.get("note") or "").partition(" from ")[2], set[str]()
        for operand in _OPERAND.findall(operands):
            item, row = operand.split("/")[:2]
            if item in ("curve", "tirt"):
                found |= self._curve(item, row, operand)
            elif item != "claims" and operand.count("/") == 2:
                found |= self.runs(operand)
        return found

    def _curve(self, kind: str, row: str, operand: str) -> set[str]:
        """Runs behind a curve: of a student, or of all teachers' weights."""
        stages = {
            "curve": ("measure_calibration", "train_student"),
            "tirt": ("export_tirt", "train_teacher"),
        }[kind]
        return self._members(
            "claims",
            lambda member: (
                member["stage"] in stages
                and member["dataset"] in operand
                and (kind == "tirt" or member["model"] == row)
            ),
        )

    def _upstream(self, names: Iterable[str]) -> set[str]:
        return set().union(*map(self.chain.ancestors, names))

    def closure(self, address: str) -> frozenset[str]:
        """Every run that a cell or figure rests on, and its table's two stages."""
        found = self._upstream(self.runs(address))
        if "/" in address:
            item = address.partition("/")[0]
            found |= {f"make_table-{item}", f"collect_results-{item}"}
        return frozenset(found & self.chain.verdicts.keys())

    @cached_property
    def by_run(self) -> dict[str, set[str]]:
        """{instance: cells and figures that rest on it}."""
        found: dict[str, set[str]] = {}
        for address in (*self.evidence.cells, *self.evidence.figures):
            for name in self.closure(address):
                found.setdefault(name, set()).add(address)
        return found

    def cells(self, instances: Iterable[str]) -> set[str]:
        """Cells and figures that rest on any of these; a table that is not readable."""
        found: set[str] = set()
        for name in instances:
            found |= self.by_run.get(name, set())
            if name.startswith("make_table-"):
                item = name.removeprefix("make_table-")
                found |= set() if item in self.evidence.sidecars else {item}
        return found

    def table_runs(self, item: str) -> frozenset[str]:
        """Every run behind a table's measured cells."""
        cells = self.evidence.sidecars.get(item, {"cells": {}})["cells"]
        return frozenset(self._upstream(set().union(*map(self.runs, cells))))


def short(cells: Iterable[str], everything: Iterable[str]) -> str:
    """Cells as few words: whole rows and tables as table3/dash/*, table3/*."""
    wanted, rows, whole = set(cells), {}, {}
    for address in everything:
        parts = address.split("/")
        if len(parts) == 3:
            rows.setdefault((parts[0], parts[1]), set()).add(address)
            whole.setdefault(parts[0], set()).add(address)
    words: list[str] = []
    for item, members in whole.items():
        if members <= wanted:
            words.append(f"{item}/*")
            wanted -= members
    for (item, row), members in rows.items():
        part = members & wanted
        if part == members:
            words.append(f"{item}/{row}/*")
        elif part:
            names = sorted(address.split("/")[2] for address in part)
            listed = names[0] if len(names) == 1 else "{" + ",".join(names) + "}"
            words.append(f"{item}/{row}/{listed}")
        wanted -= part
    return ", ".join([*sorted(words), *sorted(wanted)])
