"""A fault in a table's specification is found by the audit, which has one of its own.

Every table is laid out from synthetic results as specified, and with one part of the
specification exchanged. What the audit's checks find in the cells must be nothing, and
something.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
from paper_fixtures import ROOT, Workspace, small_params

from dash_repro.audit.evidence import Evidence
from dash_repro.audit.expected import Expectations
from dash_repro.audit.printed import check_paper
from dash_repro.audit.tables import (
    check_cell,
    check_collected,
    check_names,
    check_units,
)
from dash_repro.paper import calibration_columns, columns, results
from dash_repro.paper.context import Context
from dash_repro.paper.measures import MEASURES
from dash_repro.paper.registry import TableSpec
from dash_repro.paper.results import ResultsTable, View
from dash_repro.paper.rows import read_rows
from dash_repro.paper.table import to_sidecar
from dash_repro.paper.tables import TABLES, efficiency
from dash_repro.paper.tables.sweeps import SweepTable
from dash_repro.params import load_params
from runledger.errors import UserError

MEASURED = {
    name: spec
    for name, spec in TABLES.items()
    if isinstance(spec, ResultsTable | SweepTable)
}
RESULTS = {n: spec for n, spec in MEASURED.items() if isinstance(spec, ResultsTable)}
SAMPLED = [name for name, spec in RESULTS.items() if spec.samplers]


class Synthetic(Evidence):
    """The raw files of a synthetic workspace, as the checks of tables read them."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace, self.root, self._raw = workspace, ROOT, {}
        self.params = workspace.params
        self.expectations = Expectations(self.params)

    @cached_property
    def by_stage(self) -> dict[str, list[tuple[str, Any]]]:
        found: dict[str, dict[str, Any]] = {}
        for name in (*MEASURED, "tableS1", "tableA1"):
            self.workspace.data(name)  # writes the raw files
            instance = self.workspace.pipeline.find(f"collect_results/{name}")
            for key, member in instance.item["members"].items():
                stage, _, id = key.partition("/")
                student = {"student": member.get("model")}
                known = student if stage == "measure_calibration" else {}
                found.setdefault(stage, {})[id] = {**member, **known}
        return {stage: list(items.items()) for stage, items in found.items()}

    def collected(self, item: str) -> list[dict[str, str]]:
        with open(self.workspace.data(item), encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))

    def text(self, path: str, instance: str) -> str | None:
        file = self.workspace.root / Path(path).relative_to("results")
        return file.read_text(encoding="utf-8") if file.exists() else None


@pytest.fixture(scope="module")
def evidence(tmp_path_factory) -> Synthetic:
    return Synthetic(Workspace(tmp_path_factory.mktemp("audit"), small_params()))


def objections(evidence: Synthetic, spec: TableSpec) -> list[str]:
    """What is wrong with a table as a specification lays it out; or why it cannot."""
    workspace = evidence.workspace
    context = Context(
        spec.name,
        read_rows(workspace.data(spec.name)),
        workspace.params["make_table"],
        "demo",
        {path.name: path for path in (ROOT / "paper" / "tables").glob("*.csv")},
    )
    try:
        sidecar = json.loads(json.dumps(to_sidecar(spec.table(context))))
    except (UserError, KeyError, ValueError) as error:
        return [f"cannot be made: {error!r}"]
    found = [
        f"{address}: {kind}"
        for address, cell in sidecar["cells"].items()
        for kind, _ in check_cell(evidence, address, cell)
    ]
    for check in (check_units, check_names):
        found += [one.kind for one in check(spec.name, sidecar)]
    found += [one.kind for one in check_collected(evidence, spec.name, sidecar)]
    return found + [one.kind for one in check_paper(evidence, spec.name, sidecar)]


@pytest.mark.parametrize("item", [*MEASURED, "tableS1", "tableA1"])
def test_nothing_is_found_in_a_table_as_specified(evidence, item) -> None:
    assert objections(evidence, TABLES[item]) == []


def exchanged(spec: ResultsTable, index: int) -> ResultsTable:
    """Two neighbouring rows show each other's numbers."""

    def rows(view: View) -> list[columns.TableRow]:
        found = spec.rows(view)
        own = [place for place, row in enumerate(found) if row.model]
        one, two = own[index], own[index + 1]
        whose = [
            {k: getattr(found[i], k) for k in ("model", "width", "sampler")}
            for i in (two, one)
        ]
        found[one] = replace(found[one], **whose[0])
        found[two] = replace(found[two], **whose[1])
        return found

    return replace(spec, rows=rows)


def row_faults() -> Iterator[Any]:
    for name, spec in RESULTS.items():
        for index in range(4 if name != "anchor" else 3):
            yield pytest.param(exchanged(spec, index), id=f"{name}-rows-{index}")


@pytest.mark.parametrize("spec", list(row_faults()))
def test_rows_that_show_each_others_numbers_are_found(evidence, spec) -> None:
    assert objections(evidence, spec)


def other_experiments() -> Iterator[Any]:
    for name, spec in MEASURED.items():
        other = "table4" if spec.experiment == "table3" else "table3"
        yield pytest.param(replace(spec, experiment=other), id=f"{name}-{other}")


@pytest.mark.parametrize("spec", list(other_experiments()))
def test_another_experiment_is_found(evidence, spec) -> None:
    assert objections(evidence, spec)


def other_sources() -> Iterator[Any]:
    for name, spec in MEASURED.items():
        if spec.csv:
            other = TABLES["table4" if name in ("table3", "tableB3") else "table3"]
            changed = replace(spec, csv=other.csv, keys=other.keys)
            yield pytest.param(changed, id=f"{name}-{other.csv}")


@pytest.mark.parametrize("spec", list(other_sources()))
def test_another_table_of_the_papers_is_found(evidence, spec) -> None:
    assert objections(evidence, spec)


MEASURE_FAULTS: dict[str, tuple[str, dict[str, Any]]] = {
    "IS in the place of FID": ("fd", {"metric": "inception_score"}),
    "FID in the place of IS": ("is", {"metric": "frechet"}),
    "FID in the place of KID": ("kid", {"metric": "frechet"}),
    "KID in its own unit": ("kid", {"exponent": 0}),
    "FID with the digits of the gap": ("fd", {"decimals": "gap_decimals"}),
    "recall in the place of precision": ("precision", {"metric": "recall"}),
    "a share that is called percent": ("acc", {"exponent": 0}),
    "a ratio in another unit": ("nn", {"exponent": 1}),
    "rho with the digits of the gap": ("rho", {"decimals": "gap_decimals"}),
    "cos in the place of rho": ("rho", {"metric": "cos"}),
    "an error in the place of the other": ("err_cond", {"metric": "err_uncond"}),
    "an angle of errors for that of gaps": ("err_cos", {"metric": "cos"}),
    "rho in the place of the gap": ("gap_mse", {"metric": "rho"}),
}


@pytest.mark.parametrize("fault", MEASURE_FAULTS)
def test_a_measure_that_is_another_is_found(evidence, monkeypatch, fault) -> None:
    column, change = MEASURE_FAULTS[fault]
    monkeypatch.setitem(MEASURES, column, replace(MEASURES[column], **change))
    shown = {
        "kid": ("tableB3", "tableB4"),
        "fd": tuple(item for item in MEASURED if item not in ("tableS3", "tableS5")),
        "is": tuple(item for item in SAMPLED if item != "tableS3"),
        **dict.fromkeys(("precision", "acc", "nn"), ("tableS3",)),
        **dict.fromkeys(("err_cond", "err_cos"), ("tableS5",)),
    }.get(column, ("table3", "table4"))
    for item in shown:
        assert objections(evidence, MEASURED[item]), item


def test_a_ratio_that_is_upside_down_is_found(evidence, monkeypatch) -> None:
    upside_down = replace(MEASURES["err_ratio"], metric="err_uncond", over="err_cond")
    monkeypatch.setitem(MEASURES, "err_ratio", upside_down)
    found = objections(evidence, RESULTS["tableS5"])
    assert "tableS5/dash/cifar10_err_ratio: wrong number" in found


def test_bounds_that_are_each_others_are_found(evidence, monkeypatch) -> None:
    right = results._bounds()
    wrong = [
        replace(row, bound=other.bound)
        for row, other in zip(right, right[1:] + right[:1], strict=True)
    ]
    monkeypatch.setattr(results, "_bounds", lambda: wrong)
    for item in SAMPLED:
        assert objections(evidence, RESULTS[item]), item


def unlike(change: Callable[[Any], Any]) -> list[Any]:
    """Results tables with every column of a kind changed."""
    found = []
    for spec in RESULTS.values():
        changed = tuple(map(change, spec.columns))
        if changed != tuple(spec.columns):
            found.append(replace(spec, columns=changed))
    assert found
    return found


class TeachersSize(columns.Parameters):
    """Everybody has the teacher's parameters."""

    def cell(self, view, row, paper):
        return super().cell(
            view, replace(row, model=columns.TEACHER, width=None), paper
        )


class SecondDataset(calibration_columns.Calibration):
    """Every dataset's gap is the second one's."""

    def _cell(self, view, row, dataset, name):
        wrong = super()._cell(view, row, view.datasets[-1], name)
        address = f"{view.context.item}/{row.id}/{dataset}_{name}"
        return replace(wrong, address=address)


@pytest.mark.parametrize(
    ("kind", "fault"),
    [
        (columns.Parameters, lambda column: TeachersSize()),
        (
            calibration_columns.Calibration,
            lambda column: SecondDataset(
                column.measures, column.datasets, column.joined
            ),
        ),
    ],
)
def test_a_column_of_another_network_or_dataset_is_found(evidence, kind, fault) -> None:
    for spec in unlike(lambda c: fault(c) if type(c) is kind else c):
        if spec.name != "anchor":  # it has one dataset
            assert objections(evidence, spec), spec.name


@pytest.mark.parametrize("row", efficiency.EFFICIENCY)
def test_an_efficiency_of_something_else_is_found(evidence, monkeypatch, row) -> None:
    key, *about = efficiency.EFFICIENCY[row]
    other = "forward_flops" if key != "forward_flops" else "sampling_flops"
    monkeypatch.setitem(efficiency.EFFICIENCY, row, (other, *about))
    assert objections(evidence, TABLES["tableS1"])


def test_what_a_run_lacks_is_expected_to_have_no_runs() -> None:
    """A claim names students that the demo has not; the audit asks for them, too."""
    params = load_params(ROOT / "config" / "demo.params.yaml")
    expectations = Expectations(params)
    assert "dash_an005" not in params["students"]
    text = (ROOT / "paper" / "claims.yaml").read_text(encoding="utf-8")
    operands = set(re.findall(r'"(\w+/\w+/[\w{}.]+)"', text))
    assert len(operands) > 50
    for address in operands:
        expectations.expected_for(re.sub(r"\{d\d?\}", "digits", address))
    found = expectations.expected_for("anchor/dash_an005/digits_fd")
    assert found.first.identity["model"] == "dash_an005"
