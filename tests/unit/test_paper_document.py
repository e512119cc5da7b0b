"""The whole paper as a PDF: no LaTeX is told, no number is typed."""

import os
import re
import shutil
import subprocess

import pytest
from paper_fixtures import ROOT, FakeJob, Workspace, small_params

from dash_repro.paper.figures.caption import sidecar
from dash_repro.paper.items import ITEMS
from dash_repro.paper.pdf import (
    PaperError,
    build_pdf,
    contents_tex,
    load_contents,
    unusable,
)

MAIN = ROOT / "paper" / "main.tex"
CONTENTS_FILE = ROOT / "paper" / "contents.yaml"
CONTENTS = load_contents(CONTENTS_FILE)
CAPTIONS = {i: sidecar(s, "paper", []) for i, s in ITEMS.items() if s.kind == "figure"}


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


def figure_files(workspace, suffix):
    """Pictures and their captions, as inputs of a job."""
    paths = [*files(workspace, "figures", suffix), *files(workspace, "figures", "json")]
    return [("plot_figure", "figures", path) for path in paths]


def test_without_latex_the_message_names_the_packages(monkeypatch, tmp_path):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(PaperError, match="texlive-latex-extra") as error:
        build_pdf(MAIN, CONTENTS, [], [], tmp_path / "main.pdf")
    assert "make report" in str(error.value)


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
        *figure_files(workspace, "pdf"),
    ]
    made = []
    for name in ("a", "b"):
        job = FakeJob(
            {}, {"scale": "demo"}, inputs, [MAIN, CONTENTS_FILE], tmp_path / name
        )
        build_paper.run(job)
        made.append((job.out / "main.pdf").read_bytes())
    assert made[0] == made[1] and len(made[0]) > 20_000


@needs_latex
@pytest.mark.slow
def test_the_pdf_of_own_data_compares_nothing(workspace, tmp_path):
    tables = files(workspace, "tables", "tex")
    for scale in ("own", "paper"):
        pdf = tmp_path / f"{scale}.pdf"
        build_pdf(MAIN, CONTENTS, tables, [], pdf, scale)
        if shutil.which("pdftotext"):
            command = ["pdftotext", "-l", "1", str(pdf), "-"]
            run = subprocess.run(command, capture_output=True, text=True, check=True)
            said = "Nothing here is compared" in " ".join(run.stdout.split())
            assert said == (scale == "own")


def test_every_item_is_in_the_pdf_once_and_panels_share_a_figure():
    text = contents_tex(CONTENTS, CAPTIONS)
    for item, spec in ITEMS.items():
        named = "\\maybetable{%s}" if spec.kind == "table" else "\\panel{%s}"
        assert text.count(named % item) == 1, item
    assert text.count("\\maybefigure") == len([i for i in ITEMS if "figure" in i]) - 4
    (figure4,) = [line for line in text.splitlines() if "figure4a" in line]
    assert "(a) TAG's guidance" in figure4 and "(c) Ratio $\\rho$ of" in figure4


def test_what_panels_share_is_said_once():
    told = {"figure5a": "Data: x.", "figure5b": "Data: y.", "figure5c": "Data: x."}
    captions = {i: {"caption": f"Shows {i}.", "data": d} for i, d in told.items()}
    text = contents_tex(CONTENTS, captions)
    (line,) = [line for line in text.splitlines() if "figure5a" in line]
    assert line.endswith("(c) Shows figure5c. (a, c) Data: x. (b) Data: y.}")
    captions["figure5b"]["data"] = "Data: x."
    assert contents_tex(CONTENTS, captions).count("Data: x.") == 1
    assert "figure6" not in text  # it has no picture


def test_no_measured_number_is_typed_in_the_papers_text():
    """Outside of lengths, file names and the arXiv id there is no number at all."""
    text = re.sub(r"(?m)%.*$", "", MAIN.read_text(encoding="utf-8"))
    text += contents_tex(CONTENTS, CAPTIONS)
    body = text.split("\\begin{document}")[1]
    body = re.sub(r"\\maybe(?:table|figure)\{[^}]*\}", "", body)
    body = re.sub(r"\\panel\{[^}]*\}\{[^}]*\}", "", body)
    body = re.sub(
        r"\\textbf\{Figure [A-Z]?\d+\.\}|(?:Figure|Table) [A-Z]?\d+", "", body
    )
    body = body.replace("$\\rho$ = 1", "")  # the teacher's, by definition
    body = body.replace("arXiv:2606.00798v1", "")
    assert re.findall(r"\d+(?:\.\d+)?", body) == []
