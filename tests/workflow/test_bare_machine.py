"""The README's first command, with nothing optional installed and much set amiss."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from bare_machine import BareMachine
from machine import require

pytestmark = [pytest.mark.slow]
INSTALL = "apt-get install latexmk texlive-latex-extra"


def test_demo_makes_all_but_the_pdf_and_says_so(bare: BareMachine) -> None:
    code, out = bare.said("whole")
    assert code == 0, out[-3000:]
    results = bare.demo / "results"
    assert (results / "report.html").stat().st_size > 10_000
    assert "the same as a PDF   not made. LaTeX is not installed" in out
    lines = [line for line in out.splitlines() if INSTALL in line]
    assert all("left out: " in line or "as a PDF" in line for line in lines), lines
    assert f"look first at       {results}/report.html" in out
    assert "18 of 18 tables" in out and "23 of 23 figures" in out
    assert "Error" not in out and "noise" not in out


def test_a_target_is_all_that_is_made_and_no_failure(bare: BareMachine) -> None:
    """The audit of so little objects to all that is not there."""
    code, out = bare.said("target")
    assert code == 0, out[-3000:]
    assert "done           " in out and "prepare_data digits" in out
    assert "train_teacher" not in out and "0 of 18 tables" in out


def test_interrupted_it_says_what_there_is_and_goes_on(bare: BareMachine) -> None:
    code, out = bare.said("interrupted")
    assert code != 0
    assert "look first at       not made yet" in out
    assert out.rstrip().count("goes on from here") == 1, out[-2000:]


def test_the_pdf_by_its_own_name_fails_with_its_reason(bare: BareMachine) -> None:
    code, out = bare.said("paper")
    assert code != 0
    assert "LaTeX is not installed, so there is no PDF" in out
    assert "results/report.html" in out
    assert "look first at" in out, "the summary follows a failure, too"


def test_a_page_that_cannot_be_written_fails_the_demo(bare: BareMachine) -> None:
    code, out = bare.said("page")
    assert code != 0
    assert "where: results/report.html" in out and "Traceback" not in out
    assert "0 of 18 tables" in out, "the summary follows a failure, too"


def test_dvc_and_audit_take_the_missing_pdf_for_what_it_is(bare: BareMachine) -> None:
    assert list(json.loads(bare.said("dvc"))) == ["build_paper"]
    code, out = bare.said("audit")
    assert code == 0, out
    assert "build_paper" in out


def test_nothing_of_the_callers_own_was_touched(bare: BareMachine) -> None:
    home = Path(bare.environment["CDPATH"])
    assert list(home.rglob("*")) == [home / "demo"]
    modes = {p.stat().st_mode & 0o077 for p in (bare.demo / "results").rglob("*.json")}
    assert modes == {0}, "umask 077"


def test_with_latex_only_the_pdf_is_made(bare: BareMachine) -> None:
    require("latexmk", "pdflatex", install="latexmk texlive-latex-extra")
    code, out = bare.said("pdf")
    assert code == 0, out[-3000:]
    made = (bare.demo / "results" / "paper" / "main.pdf").read_bytes()
    assert made.startswith(b"%PDF")
    assert f"the same as a PDF   {bare.demo}/results/paper/main.pdf" in out
    assert "left out" not in out and "make_table" not in out
