"""Every item of the paper has an entry, a builder, a place in the paper; no weight."""

import subprocess
import sys
from pathlib import Path

import pytest
from paper_fixtures import small_params

from dash_repro.paper.items import ITEMS, contents
from dash_repro.paper.registry import FigureSpec, Section, TableSpec, register
from runledger.errors import UserError

ROOT = Path(__file__).resolve().parents[2]
# The paper's, and our own: of the released README, of Appendix F, of samples.
TABLES = {
    *("table1", "table2", "table3", "table4", "tableA1", "tableA2", "tableB3"),
    *("tableB4", "tableC5", "tableC6", "tableC7", "anchor", "claims", "tableS1"),
    *("tableS2", "tableS3", "tableS4", "tableS5"),
}
FIGURES = {
    *("figure1", "figure2", "figure3", "figure4a", "figure4b", "figure4c"),
    *("figure5a", "figure5b", "figure5c", "figure6", "figure7"),
    *(f"figureD{index}" for index in range(1, 8)),
    *("figureS1", "figureS2", "figureS3", "figureS4", "figureS5"),
    "figureS6",
}


def test_items_are_those_of_the_spec():
    assert {item for item, spec in ITEMS.items() if spec.kind == "table"} == TABLES
    assert {item for item, spec in ITEMS.items() if spec.kind == "figure"} == FIGURES


def test_every_item_is_listed_once_in_the_papers_order():
    listed = [entry["item"] for part in contents() for entry in part["items"]]
    assert listed == list(ITEMS)
    parts = {part["section"]: part["items"] for part in contents()}
    assert list(parts) == [section.value for section in Section]
    names = [entry["item"] for entry in parts["Appendix A: settings"]]
    assert names == ["tableA1", "tableA2", "anchor"]
    assert [e["item"] for e in parts["Students"]][:3] == [
        "table3",
        "table4",
        "figure5a",
    ]


def test_items_know_their_printed_names_and_panels():
    labels = {item: spec.label for item, spec in ITEMS.items()}
    assert labels["table3"] == "Table 3" and labels["figureS1"] == "Figure S1"
    assert labels["anchor"] == "Table A3" and labels["claims"] == "Claims"
    panels = {item for item, spec in ITEMS.items() if getattr(spec, "panel", "")}
    assert panels == {f"figure{n}{letter}" for n in (4, 5) for letter in "abc"}


def test_a_name_is_taken_once():
    about = {"title": "", "section": Section.STUDENTS}
    for spec in (
        TableSpec(name="table3", build=print, **about),
        FigureSpec(name="figure1", draw=print, caption="", **about),
    ):
        with pytest.raises(UserError, match=f"register as item '{spec.name}'") as told:
            register(spec)
        first, second = told.value.where.split(" and ")
        module = {"table3": "tables/students.py", "figure1": "figures/pipeline.py"}
        assert f"paper/{module[spec.name]}, line " in first
        assert second != first


def test_a_name_is_taken_once_of_what_else_registers():
    from dash_repro.data.source import source
    from dash_repro.data.sources import SOURCES
    from dash_repro.evaluation.extractors.inception import extractor
    from dash_repro.evaluation.metric import metric
    from dash_repro.evaluation.sample_metrics import METRICS
    from dash_repro.objectives.kinds.gap import objective

    first = SOURCES["digits"].read, METRICS["kid"].measure
    for register_again, what in (
        (source("digits"), "source 'digits'"),
        (metric("kid", "KID", "kid"), "metric 'kid'"),
        (objective("gap"), "objective 'gap'"),
        (extractor("inception", 1.0), "extractor 'inception'"),
    ):
        with pytest.raises(UserError, match=f"two things register as {what}"):
            register_again(print)
    assert first == (SOURCES["digits"].read, METRICS["kid"].measure)


def test_sources_exist_and_needs_name_known_experiments():
    params = small_params()
    for item, spec in ITEMS.items():
        for source in spec.sources:
            assert (ROOT / source).exists(), source
        for need in spec.needs:
            assert need.experiment in params["experiments"], item
        for key in spec.params:
            value = params
            for part in key.split("."):
                assert part in value, f"{item}: {key}"
                value = value[part]


def test_items_import_nothing_heavy():
    """Nothing beyond numpy, which Snakemake itself has loaded."""
    code = (
        "import sys; sys.path[:0] = ['src', 'runledger/src']; "
        "import dash_repro.paper.items; "
        "print([m for m in ('torch', 'scipy', 'matplotlib', 'pandas', 'yaml') "
        "if m in sys.modules])"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True
    )
    assert run.stdout.strip() == "[]", run.stdout + run.stderr
