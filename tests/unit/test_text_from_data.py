"""Text from data is text everywhere: figures, LaTeX, HTML, CSV, logs."""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import subprocess
import warnings
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import pytest
from packed_page import unpacked
from paper_fixtures import ROOT, Workspace, small_params

from dash_repro.arrays import load_npz, save_npz
from dash_repro.audit import latex
from dash_repro.audit.audit import TRACED
from dash_repro.audit.page import parts
from dash_repro.audit.report import packed
from dash_repro.paper import markup
from dash_repro.paper.aggregate import Cell
from dash_repro.paper.figures.labels import class_label, drawable, wrapped
from dash_repro.paper.figures.make import build_figure
from dash_repro.paper.figures.style import Style
from dash_repro.paper.markup import (
    _LETTERS,
    literal,
    to_html,
    to_plain,
    to_plot,
    to_tex,
)
from dash_repro.paper.rows import Row, read_rows, write_rows
from dash_repro.paper.table import Entry, Line, Table, to_latex, to_sidecar
from dash_repro.paper.tables import TABLES
from runledger.errors import UserError, printable

HOSTILE = [
    *("a$b$c", "x_1 & y%", "$x^$", "<script>alert(1)</script>", "back\\slash{}", "#1"),
    *('it\'s "q"', "x_{1}^{2}", "~^tilde", "[1] first", "* star", "a--b---c", "''q``"),
    *(",,low", "]]>", "&amp;", "\\\\", "%", "{", "a | b", "Ünïcödé Łódź ß", "!`?`"),
]
FOREIGN = ["中文字", "日本", "हिन्दी", "한국어"]  # not in the fonts at hand
CONTROL = ["two\nlines", "tab\there", "\x1b[31mred", "nul\x00", "caf\udce9"]
CLASS_FIGURES = [f"figureD{index}" for index in (1, 2, 3, 4, 6, 7)]
ALL_IMAGES = [*CLASS_FIGURES, "figureD5", "figure6", "figure7"]


# figures


@pytest.fixture(scope="module")
def workspace(tmp_path_factory) -> Workspace:
    return Workspace(tmp_path_factory.mktemp("text"), small_params())


def renamed(workspace: Workspace, item: str, names: list[str], path: Path) -> Path:
    """The item's images, their shown classes called `names` in turn."""
    arrays = load_npz(workspace.data(item), [])
    shown = dict.fromkeys(arrays["labels"].ravel().tolist())
    known = arrays["class_names"].astype("U80")
    for index, label in enumerate(shown):
        known[label] = names[index % len(names)]
    arrays["class_names"] = known
    if len(arrays["columns"]):
        arrays["columns"] = known[arrays["labels"][0, 0]]
    save_npz(path, **arrays)
    return path


def drawn(workspace: Workspace, item: str, names: list[str], tmp_path: Path):
    """The figure's tick labels, after drawing with every warning an error."""
    path = renamed(workspace, item, names, tmp_path / f"{item}.npz")
    style = Style.from_params(workspace.params["plot_figure"], "paper")
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a glyph that is missing
        figure = build_figure(item, path, style)
        figure.savefig(tmp_path / f"{item}.pdf")
    return [label for axes in figure.axes for label in axes.get_xticklabels()]


@pytest.mark.parametrize("item", ALL_IMAGES)
def test_class_names_are_drawn_as_they_are(workspace, item, tmp_path) -> None:
    def joined(text: str) -> str:
        return re.sub(r"\s", "", text)

    for start in range(0, len(HOSTILE), 10):
        names = HOSTILE[start : start + 10]
        labels = drawn(workspace, item, names, tmp_path)
        assert not any(label.get_parse_math() for label in labels)
        assert bool(labels) == (item in CLASS_FIGURES)
        found = {joined(label.get_text()) for label in labels}
        whole = {text for text in found if not text.endswith("…")}
        assert whole <= {joined(name) for name in names}
        assert len(found - whole) <= 1  # the longest may be cut


@pytest.mark.parametrize("item", CLASS_FIGURES)
def test_names_that_the_font_lacks_are_numbers_and_said(
    workspace, item, tmp_path, caplog
) -> None:
    from paper_fixtures import figure_job
    from plot_figure import run

    labels = drawn(workspace, item, FOREIGN, tmp_path)
    assert all(re.fullmatch(r"class\s\d+", label.get_text()) for label in labels)
    job = figure_job(tmp_path, workspace.params, item, tmp_path / f"{item}.npz")
    with caplog.at_level(logging.WARNING):
        run(job)
    (said,) = [one.getMessage() for one in caplog.records if one.name == "test"]
    number = labels[0].get_text().split()[1]
    assert f"class {number}: 中文字" in said


def test_control_characters_are_escapes_in_figures(workspace, tmp_path) -> None:
    names = [name for name in CONTROL if "\x00" not in name]  # numpy drops a last NUL
    labels = drawn(workspace, "figureD1", names, tmp_path)
    joined = {label.get_text().replace("\n", "") for label in labels}
    assert joined == {printable(name) for name in names}


def test_labels_are_wrapped_to_their_column() -> None:
    assert wrapped("cat", 9) == "cat"
    assert wrapped("aquarium_fish", 9) == "aquarium_\nfish"
    assert wrapped("great white shark", 11) == "great white\nshark"
    assert wrapped("abcdefghijklmnop", 8) == "abcdefgh\nijklmnop"
    lines = wrapped("n02085620-Chihuahua of a very long name", 9).split("\n")
    assert len(lines) == 3 and lines[-1].endswith("…")
    assert max(map(len, lines)) <= 9
    assert class_label("中文", 7, 9) == "class 7" and not drawable("中")
    assert drawable("Привет Ωß")


def test_plot_text_leaves_dollars_alone() -> None:
    from matplotlib.cbook import is_math_text

    assert not is_math_text(to_plot("a$b$c"))
    assert to_plot("L_{un}") == r"$L_{\mathrm{un}}$"


# LaTeX


def table_of(texts: list[str]) -> Table:
    """A table with the texts as labels, boxes and in all other places."""
    lines = []
    for index, text in enumerate(map(literal, texts)):
        cell = Cell(f"table1/r{index}/c", text, "literature")
        lines.append(Line(f"r{index}", text, (Entry((cell,)),)))
    every = ", ".join(map(literal, texts))
    header = (literal(texts[0]), literal(texts[-1]))
    groups = (("", 1), (literal(texts[3]), 1))
    return Table("table1", every, header, tuple(lines), groups, (every,))


def test_the_tex_reader_undoes_the_writer_on_any_text() -> None:
    for text in [*HOSTILE, *FOREIGN, _LETTERS]:
        assert latex.plain_tex(to_tex(literal(text))) == latex.plain_text(literal(text))
    for text in CONTROL:
        assert latex.plain_tex(to_tex(literal(text))) == printable(text)
    table = table_of(HOSTILE)
    found = latex.rows(to_latex(table))
    wanted = [boxes for _, boxes, _ in latex.wanted_rows(to_sidecar(table))]
    assert found[-len(wanted) :] == wanted


@pytest.mark.parametrize("long", [False, True])
@pytest.mark.skipif(
    shutil.which("latexmk") is None and "CI" not in os.environ,
    reason="LaTeX is not installed",
)
def test_latex_prints_every_text_as_it_is(tmp_path, long) -> None:
    from dataclasses import replace

    from dash_repro.paper.pdf import build_pdf, load_contents

    texts = [*HOSTILE, *CONTROL, *FOREIGN, *_LETTERS]
    short = replace(table_of(HOSTILE), long=long)
    whole = replace(table_of([*texts]), caption="", notes=(), long=long)
    sources = []
    for item, table in (("table1", short), ("table2", whole)):
        sources.append(tmp_path / f"{item}.tex")
        sources[-1].write_text(to_latex(table), encoding="utf-8")
    pdf = tmp_path / "main.pdf"
    contents = load_contents(ROOT / "paper" / "contents.yaml")
    build_pdf(ROOT / "paper" / "main.tex", contents, sources, [], pdf)
    if shutil.which("pdftotext") is None:
        return
    run = subprocess.run(["pdftotext", str(pdf), "-"], capture_output=True, check=True)
    read = squeezed(run.stdout.decode())
    for text in HOSTILE:
        assert squeezed(text) in read, text
    assert squeezed("[U+4E2D][U+6587][U+5B57]") in read
    assert squeezed(printable("two\nlines")) in read


def squeezed(text: str) -> str:
    """Without blanks, and quotes as a PDF's text has them."""
    return re.sub(r"\s", "", text).translate(str.maketrans("’‘”“", '\'`""'))


@pytest.mark.skipif(
    shutil.which("latexmk") is None and "CI" not in os.environ,
    reason="LaTeX is not installed",
)
def test_the_tables_need_no_codes(workspace) -> None:
    """What this project's own texts use, LaTeX has."""
    for item in TABLES:
        workspace.table(item)
        path = workspace.root / "tables" / f"{item}.tex"
        assert "U+" not in path.read_text(encoding="utf-8")


# HTML


class Texts(HTMLParser):
    """Every text, attribute value and tag of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.values: list[str] = []
        self.tags: set[str] = set()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.tags.add(tag)
        self.values += [value or "" for _, value in attrs]

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def to_page(sidecar: dict) -> str:
    """HTML of a table, as the page shows it."""
    evidence = SimpleNamespace(cells=sidecar["cells"], sidecars={"x": sidecar})
    audit = SimpleNamespace(evidence=evidence, beside={})
    audit.status = lambda address: TRACED
    return parts.table(audit, "x")


@pytest.mark.parametrize("symbol", markup._MATH)
def test_the_audit_reads_every_symbol_that_tables_write(symbol: str) -> None:
    for text in (symbol, f"E_{{{symbol}}} = 1"):
        assert latex.plain_tex(to_tex(text)) == latex.plain_text(text)


def test_a_negative_number_has_a_minus_and_data_has_its_hyphen() -> None:
    text = "-0.5; 2-3; [-1.2, 5]"
    assert to_tex(text) == r"$-$0.5; 2-3; {[}$-$1.2, 5{]}"
    assert to_html(text) == "−0.5; 2-3; [−1.2, 5]"
    assert latex.plain_tex(to_tex(text)) == latex.plain_text(text)
    assert (to_tex(literal("-5")), to_html(literal("-5"))) == ("-5", "-5")


def test_html_shows_every_text_as_it_is() -> None:
    texts = [*HOSTILE, *FOREIGN, *CONTROL[:4]]
    sidecar = json.loads(json.dumps(to_sidecar(table_of(texts))))
    page = Texts(to_page(sidecar))
    assert "script" not in page.tags and "sub" not in page.tags
    for text in texts:
        assert printable(text) in page.texts
        assert any(f": {printable(text)}, traced" in value for value in page.values)


def test_what_is_read_aloud_holds_no_tags() -> None:
    assert to_html("L_{un}") == "L<sub>un</sub>" and to_plain("L_{un}") == "L_un"
    cell = Cell("table1/a/c", 'L_{un} is "0"', "literature")
    table = Table("table1", "", ("", "x"), (Line("a", "a", (Entry((cell,)),)),))
    page = Texts(to_page(to_sidecar(table)))
    assert 'table1/a/c: L_un is "0", traced' in page.values


def test_data_of_the_audits_page_cannot_end_its_element() -> None:
    texts = [*HOSTILE, "</script><!--<script>"]
    page = Texts(f'<script type="text/plain">{packed(texts)}</script><p>x</p>')
    assert page.texts[-1] == "x" and len(page.texts) == 2


@pytest.mark.parametrize(
    "data",
    [
        ["long enough", "long enough", "~0", "~", "once", ""],
        {"a": [1, 2.5, None, True], "~b": {"c": "long enough"}, "d": "long enough"},
    ],
)
def test_the_audits_page_unpacks_to_what_was_packed(data) -> None:
    for whole in (data, [data, [*HOSTILE, *HOSTILE]]):
        page = f'<script id="data">{packed(whole)}</script>'
        assert unpacked(page) == whole


# CSV, JSON, terminal


def test_rows_keep_every_text(tmp_path) -> None:
    rows = [
        Row(item="t", metric="profile_text", name="device", value=text, instance=str(i))
        for i, text in enumerate([*HOSTILE, *FOREIGN, *CONTROL[:3], '"', ",", "=1+1"])
    ]
    write_rows(tmp_path / "rows.csv", rows)
    assert read_rows(tmp_path / "rows.csv").rows == sorted(rows)


def test_a_device_of_any_name_is_in_the_tables(workspace) -> None:
    device = "GPU_{x} & <b> 中 $1$"
    path = workspace.data("tableS1")
    text = path.read_text(encoding="utf-8")
    assert "a test's CPU & more" in text
    path.write_text(text.replace("a test's CPU & more", device), encoding="utf-8")
    sidecar = workspace.table("tableS1")
    assert device in "".join(Texts(to_page(sidecar)).texts)
    tex = (workspace.root / "tables" / "tableS1.tex").read_text(encoding="utf-8")
    shown = r"GPU\_\{x\} \& \textless{}b\textgreater{} {[}U+4E2D{]} \$1\$"
    assert shown in tex
    assert latex.caption(tex).endswith(latex.plain_text(sidecar["caption"]))


def test_errors_hold_no_control_characters() -> None:
    for text in CONTROL:
        error = UserError(f"what {text!r}", text, f"do {text}")
        assert str(error).replace("\n", "").isprintable()
        str(error).encode()  # no half of a surrogate pair
        assert "\n" not in error.where
    assert UserError("one\ntwo").what == "one\ntwo"
    assert printable("中文 é") == "中文 é" and printable("\x1b[31m") == "\\x1b[31m"
