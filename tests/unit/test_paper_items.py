"""Every item of the paper has an entry, a builder, a place in the paper; no weight."""

import subprocess
import sys
from pathlib import Path

from dash_repro.paper.document import SECTIONS
from dash_repro.paper.figures.make import PLOTS
from dash_repro.paper.items import ITEMS
from dash_repro.paper.tables import BUILDERS

ROOT = Path(__file__).resolve().parents[2]
# The paper's, two plots of our own, and the efficiency table of the released README.
TABLES = {
    *("table1", "table2", "table3", "table4", "tableA1", "tableA2", "tableB3"),
    *("tableB4", "tableC5", "tableC6", "tableC7", "anchor", "claims", "tableS1"),
}
FIGURES = {
    *("figure1", "figure2", "figure3", "figure4a", "figure4b", "figure4c"),
    *("figure5a", "figure5b", "figure5c", "figure6", "figure7"),
    *(f"figureD{index}" for index in range(1, 8)),
    *("figureS1", "figureS2"),
}


def test_items_are_those_of_the_spec():
    assert {item for item, spec in ITEMS.items() if spec.kind == "table"} == TABLES
    assert {item for item, spec in ITEMS.items() if spec.kind == "figure"} == FIGURES


def test_every_item_has_a_builder():
    assert set(BUILDERS) == TABLES
    pictures = {item for item, spec in ITEMS.items() if spec.images}
    assert set(PLOTS) | pictures == FIGURES and not set(PLOTS) & pictures


def test_every_item_is_on_the_page_and_in_main_tex_once():
    shown = [item for _, items in SECTIONS for item in items]
    assert sorted(shown) == sorted(ITEMS)
    text = (ROOT / "paper" / "main.tex").read_text(encoding="utf-8")
    for item, spec in ITEMS.items():
        named = "\\maybetable{%s}" if spec.kind == "table" else "\\panel{%s}"
        assert text.count(named % item) == 1, item


def test_sources_exist_and_needs_name_known_experiments():
    import yaml

    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
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
    code = (
        "import sys; sys.path.insert(0, 'src'); import dash_repro.paper.items; "
        "print([m for m in ('torch', 'numpy', 'matplotlib', 'pandas', 'yaml') "
        "if m in sys.modules])"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True
    )
    assert run.stdout.strip() == "[]", run.stdout + run.stderr
