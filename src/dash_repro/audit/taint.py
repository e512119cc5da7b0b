"""Which printed numbers rest on which runs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
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
        if address in self._makers:
            return self._makers[address]
        if "/" not in address:
            found = {f"plot_figure@{address}"}
        elif address.startswith("claims/"):
            found = self._claim(address)
        else:
            cell = self.evidence.cells.get(address, {"values": []})
            found = {f"{v['stage']}@{v['instance']}" for v in cell["values"]}
            if cell.get("kind") == "record":
                found |= self._trainings(address)
            expected = self.evidence.expectations.expected_for(address)
            if expected is not None:
                found |= self.evidence.instances_of(expected)
        known = frozenset(found & set(self.chain.verdicts))
        self._makers[address] = known
        return known

    def _trainings(self, address: str) -> set[str]:
        """Trainings whose time or device a cell tells."""
        item, _, column = address.split("/")
        item_of = self.chain.verdicts[f"collect_results-{item}"].instance.item
        return {
            key.replace("/", "@", 1)
            for key, member in item_of["members"].items()
            if member["stage"] == f"train_{column}"
        }

    def _claim(self, address: str) -> set[str]:
        """Runs behind the operands that a claim names."""
        _, claim, column = address.split("/")
        side = column.partition("_")[0]
        note = self.evidence.cells.get(f"claims/{claim}/{side}_values", {}).get("note")
        found: set[str] = set()
        if side != "ours" or not note:
            return found
        for operand in _OPERAND.findall(note.partition(" from ")[2]):
            item, row = operand.split("/")[:2]
            if item in ("curve", "tirt"):
                found |= self._curve(item, row, operand)
            elif item != "claims" and operand.count("/") == 2:
                found |= self.runs(operand)
        return found

    def _curve(self, kind: str, row: str, operand: str) -> set[str]:
        members: Mapping[str, Any] = self.chain.verdicts[
            "collect_results-claims"
        ].instance.item["members"]
        stages = {"curve": ("measure_calibration", "train_student")}.get(
            kind, ("export_tirt", "train_teacher")
        )
        return {
            key.replace("/", "@", 1)
            for key, member in members.items()
            if member["stage"] in stages
            and (member["dataset"] in operand)
            and (kind == "tirt" or member["model"] == row)
        }

    def closure(self, address: str) -> frozenset[str]:
        """Every run that a cell or figure rests on, and its table's two stages."""
        found: set[str] = set()
        for name in self.runs(address):
            found |= self.chain.ancestors(name)
        if "/" in address:
            item = address.partition("/")[0]
            layout = {f"make_table-{item}", f"collect_results-{item}"}
            found |= layout & set(self.chain.verdicts)
        return frozenset(found)

    @cached_property
    def by_run(self) -> dict[str, set[str]]:
        """{instance: cells and figures that rest on it}."""
        found: dict[str, set[str]] = {}
        for address in (*self.evidence.cells, *self.evidence.figures):
            for name in self.closure(address):
                found.setdefault(name, set()).add(address)
        return found

    def cells(self, instances: Iterable[str]) -> set[str]:
        """Cells and figures that rest on any of these; of a lost table, its name."""
        found: set[str] = set()
        for name in instances:
            found |= self.by_run.get(name, set())
            if name.startswith("make_table-"):
                item = name.removeprefix("make_table-")
                found |= set() if item in self.evidence.sidecars else {item}
        return found

    def table_runs(self, item: str) -> frozenset[str]:
        """Every run behind a table's measured cells."""
        found: set[str] = set()
        for address in self.evidence.sidecars.get(item, {"cells": {}})["cells"]:
            for name in self.runs(address):
                found |= self.chain.ancestors(name)
        return frozenset(found)


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
