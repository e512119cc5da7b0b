"""The whole paper: the page stands alone, no LaTeX is told, no number is typed."""

import os
import re
import shutil
from html.parser import HTMLParser

import pytest
from paper_fixtures import ROOT, FakeJob, Workspace, small_params

from dash_repro.paper.document import build_page, load_contents
from dash_repro.paper.items import ITEMS
from dash_repro.paper.pdf import PaperError, build_pdf, contents_tex, unusable
from runledger.errors import UserError

MAIN = ROOT / "paper" / "main.tex"
CONTENTS_FILE = ROOT / "paper" / "contents.yaml"
CONTENTS = load_contents(CONTENTS_FILE)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    made = Workspace(tmp_path_factory.mktemp("document"), small_params())
    for item in ("table2", "tableC7"):
        made.table(item)
    for item in ("figure3", "figureD6"):
        made.figure(item)
    return made


def files(workspace, kind, suffix):
    return sorted((workspace.root / kind).glob(f"*.{suffix}"))


class Reader(HTMLParser):
    """Collects texts, ids and sources of a page, and checks that tags close."""

    def __init__(self):
        super().__init__()
        self.open, self.ids, self.sources, self.cells = [], [], [], []

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.ids += [found["id"]] if "id" in found else []
        self.sources += [found["src"]] if "src" in found else []
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] == "td":
            self.cells.append(data)


def test_page_is_self_contained_and_shows_every_cell(workspace):
    import build_page as stage

    inputs = [
        *(
            ("make_table", "tables", path)
            for path in files(workspace, "tables", "json")
        ),
        *(
            ("plot_figure", "figures", path)
            for path in files(workspace, "figures", "png")
        ),
    ]
    out = workspace.root / "paper"
    job = FakeJob({}, {"scale": "demo"}, inputs, [CONTENTS_FILE], out)
    stage.run(job)
    text = (job.out / "index.html").read_text(encoding="utf-8")
    reader = Reader()
    reader.feed(text)
    assert not reader.open
    assert len(reader.sources) == 2
    assert all(source.startswith("data:image/png;base64,") for source in reader.sources)
    assert not re.search(r"(?:href|src)=['\"]https?:", text)
    cells = workspace.table("tableC7")["cells"]
    assert {f"tableC7/gap/w{w}" for w in ("1.5", "5.0")} <= set(reader.ids)
    for cell in cells.values():
        assert cell["displayed"] in reader.cells
    assert "Demo:" in text and "paper 8.87" in text


def test_page_of_the_paper_scale_does_not_say_demo():
    assert "Demo" not in build_page([], [], CONTENTS, "paper")


def test_page_refuses_an_item_that_no_section_shows(tmp_path):
    path = tmp_path / "tableZ9.json"
    path.write_text("{}")
    with pytest.raises(UserError, match="tableZ9"):
        build_page([path], [], CONTENTS, "paper")


def test_without_latex_the_message_names_the_packages(monkeypatch, tmp_path):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(PaperError, match="texlive-latex-extra") as error:
        build_pdf(MAIN, CONTENTS, [], [], tmp_path / "main.pdf")
    assert "index.html" in str(error.value)


def checkout(root, text):
    """A checkout with just a main.tex."""
    (root / "paper").mkdir(exist_ok=True)
    (root / "paper" / "main.tex").write_text(text)
    return root


def test_latex_that_is_absent_is_not_usable(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    root = checkout(tmp_path, MAIN.read_text())
    assert "no latexmk, no pdflatex (apt-get install latexmk" in unusable(root)
    (tmp_path / "latexmk").symlink_to("/bin/true")
    assert "not installed, no pdflatex (apt-get" in unusable(root)


needs_latex = pytest.mark.skipif(
    shutil.which("latexmk") is None and "CI" not in os.environ,
    reason="LaTeX is not installed",
)


@needs_latex
def test_latex_that_lacks_a_package_is_not_usable(monkeypatch, tmp_path):
    text = MAIN.read_text()
    said = unusable(checkout(tmp_path, text.replace("booktabs", "rareties")))
    assert "File `rareties.sty' not found" in said and "apt-get install" in said
    assert unusable(checkout(tmp_path, text)) is None
    # a success is not tried again, a failure is
    monkeypatch.setattr("dash_repro.paper.pdf._latexmk", lambda folder: 1 / 0)
    assert unusable(checkout(tmp_path, text)) is None
    with pytest.raises(ZeroDivisionError):
        unusable(checkout(tmp_path, text.replace("booktabs", "rareties")))

    def full(folder):
        raise OSError("No space left on device")

    monkeypatch.setattr("dash_repro.paper.pdf._latexmk", full)
    assert "No space left" in unusable(checkout(tmp_path, "%\n" + text))


@needs_latex
def test_a_broken_table_is_reported_with_latex_first_error(tmp_path):
    broken = tmp_path / "table2.tex"
    broken.write_text("\\begin{tabular}{l} a & b \\undefinedmacro \\end{tabular}\n")
    with pytest.raises(PaperError, match=r"LaTeX failed: !"):
        build_pdf(MAIN, CONTENTS, [broken], [], tmp_path / "main.pdf")


@pytest.mark.slow
@needs_latex
def test_pdf_holds_tables_and_figures_and_repeats(workspace, tmp_path):
    import build_paper

    inputs = [
        *(("make_table", "tables", path) for path in files(workspace, "tables", "tex")),
        *(
            ("plot_figure", "figures", path)
            for path in files(workspace, "figures", "pdf")
        ),
    ]
    made = []
    for name in ("a", "b"):
        job = FakeJob(
            {}, {"scale": "demo"}, inputs, [MAIN, CONTENTS_FILE], tmp_path / name
        )
        build_paper.run(job)
        made.append((job.out / "main.pdf").read_bytes())
    assert made[0] == made[1] and len(made[0]) > 20_000


def test_every_item_is_in_the_pdf_once_and_panels_share_a_figure():
    text = contents_tex(CONTENTS)
    for item, spec in ITEMS.items():
        named = "\\maybetable{%s}" if spec.kind == "table" else "\\panel{%s}"
        assert text.count(named % item) == 1, item
    assert text.count("\\maybefigure") == len([i for i in ITEMS if "figure" in i]) - 4
    (figure4,) = [line for line in text.splitlines() if "figure4a" in line]
    assert "(a) TAG's guidance" in figure4 and "(c) Ratio of guidance" in figure4


def test_no_measured_number_is_typed_in_the_papers_text():
    """Outside of lengths, file names and the arXiv id there is no number at all."""
    text = re.sub(r"(?m)%.*$", "", MAIN.read_text(encoding="utf-8"))
    text += contents_tex(CONTENTS)
    body = text.split("\\begin{document}")[1]
    body = re.sub(r"\\maybe(?:table|figure)\{[^}]*\}", "", body)
    body = re.sub(r"\\panel\{[^}]*\}\{[^}]*\}", "", body)
    body = re.sub(r"\\textbf\{Figure [A-Z]?\d+\.\}|Figures? [A-Z]?\d+", "", body)
    body = body.replace("arXiv:2606.00798v1", "")
    assert re.findall(r"\d+(?:\.\d+)?", body) == []
