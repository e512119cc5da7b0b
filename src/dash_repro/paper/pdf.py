"""The whole paper as a PDF, where there is LaTeX."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Collection, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from dash_repro.arrays import read_json
from dash_repro.paper.markup import to_tex
from runledger import digest, load_yaml, write_atomic
from runledger.errors import UserError

INSTALL = (
    "apt-get install latexmk texlive-latex-extra texlive-fonts-recommended lmodern"
)
PROGRAMS = ("latexmk", "pdflatex")
SECONDS = 240
OWN = (
    "A run on own data, with own settings, of the method of the paper DASH: "
    "Dual-Branch Score Distillation for Guidance-Calibrated Compact Diffusion Models "
    "(arXiv:2606.00798v1). Tables and figures are numbered as they are there. Nothing "
    "here is compared with the paper. Columns are named for the metric that was "
    "computed."
)
TRIAL = "\\begin{document}\\maketitle\\textbf{x} $x$\\end{document}\n"


Contents = Sequence[Mapping[str, Any]]


def load_contents(path: Path) -> Contents:
    """Sections with their items, as paper/contents.yaml lists them.

    Returns:
        [{"section": title, "items": [{"item", "kind", "label", "title", of figures
        "share", "wide" and "panel"}]}], as dash_repro.paper.items.contents.
    """
    return load_yaml(path)


def present(contents: Contents, items: Collection[str]) -> list[dict[str, Any]]:
    """The contents without the items that a run has not made, and empty sections."""
    parts = [
        {**part, "items": [entry for entry in part["items"] if entry["item"] in items]}
        for part in contents
    ]
    return [part for part in parts if part["items"]]


class PaperError(UserError):
    """The paper could not be put together."""


def unusable(root: Path) -> str | None:
    """Return why this machine makes no PDF, and what to install; None if it can.

    LaTeX is tried on what main.tex loads, for installed is not enough: packages and
    fonts come apart from it. A success is remembered, a failure never.

    Args:
        root: the checkout.
    """
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if missing:
        return f"LaTeX is not installed, no {', no '.join(missing)} ({INSTALL})"
    text = (Path(root) / "paper" / "main.tex").read_text(encoding="utf-8")
    trial = text.partition("\\begin{document}")[0] + TRIAL
    programs = [shutil.which(name) for name in PROGRAMS]
    known = digest([trial, [[path, os.stat(path).st_mtime_ns] for path in programs]])
    mark = Path(root) / "results" / ".state" / "latex" / known
    if mark.exists():
        return None
    try:
        with tempfile.TemporaryDirectory(prefix="dash-latex-") as name:
            (Path(name) / "main.tex").write_text(trial, encoding="utf-8")
            _latexmk(Path(name))
    except PaperError as error:
        return f"{error.what} ({INSTALL})"
    except OSError as error:  # no temporary folder, or a full one
        return f"LaTeX could not be tried: {error}"
    write_atomic(mark, "")
    return None


def contents_tex(contents: Contents, captions: Mapping[str, Mapping[str, str]]) -> str:
    """What main.tex reads as contents.tex: sections, tables, figures with captions.

    Args:
        contents: see `load_contents`.
        captions: {figure: its sidecar} of those that are shown.
    """
    lines = []
    for part in contents:
        lines.append(rf"\heading{{{to_tex(part['section'])}}}")
        for name, group in groupby(part["items"], _figure_name):
            entries = list(group)
            if entries[0]["kind"] == "table":
                lines.append(rf"\maybetable{{{entries[0]['item']}}}")
            elif shown := [entry for entry in entries if entry["item"] in captions]:
                lines.append(_figure_tex(name, shown, captions))
    return "\n".join([*lines, ""])


def _figure_name(entry: Mapping[str, Any]) -> str:
    """The printed name of an item without its panel: panels share a caption."""
    return entry["label"].removesuffix(entry.get("panel", ""))


def _figure_tex(
    name: str,
    entries: Sequence[Mapping[str, Any]],
    captions: Mapping[str, Mapping[str, str]],
) -> str:
    """One figure, of one picture or of several side by side."""
    panels: dict[str, list[str]] = {}  # by the sentence on their data
    for entry in entries:
        data = captions[entry["item"]]["data"]
        panels.setdefault(data, []).append(entry.get("panel", ""))
    pictures = r"\hfill".join(
        rf"\panel{{{entry['item']}}}{{{entry['share']}}}" for entry in entries
    )
    texts = (
        (f"({entry['panel']}) " if "panel" in entry else "")
        + to_tex(captions[entry["item"]]["caption"])
        for entry in entries
    )
    sentences = (
        (f"({', '.join(letters)}) " if len(panels) > 1 else "") + to_tex(data)
        for data, letters in panels.items()
        if data
    )
    caption = rf"\textbf{{{name}.}} {' '.join([*texts, *sentences])}"
    return rf"\maybefigure{{{entries[0]['item']}}}{{{pictures}}}{{{caption}}}"


def build_pdf(
    main_tex: Path,
    contents: Contents,
    tables: Sequence[Path],
    figures: Sequence[Path],
    pdf: Path,
    scale: str = "paper",
    about: str = "",
) -> None:
    """Run latexmk on main.tex beside copies of its tables and figures.

    Args:
        main_tex: paper/main.tex.
        contents: see `load_contents`.
        tables: .tex files.
        figures: .pdf and .json files; items that are not here are left out.
        scale: "own": the first page says so.
        pdf: file to write; equal inputs give equal bytes with one TeX installation.
        about: a sentence of the first page, and the report lies beside the PDF; "":
            it lies in the folder above.

    Raises:
        PaperError: no LaTeX, or it fails; the message has its first error.
    """
    if any(shutil.which(name) is None for name in PROGRAMS):
        raise PaperError(
            "LaTeX is not installed, so there is no PDF",
            "build_paper",
            f"{INSTALL}; or make report, which shows the same tables and figures",
        )
    with tempfile.TemporaryDirectory(prefix="dash-paper-") as name:
        folder = Path(name)
        shutil.copy(main_tex, folder / "main.tex")
        if scale == "own":
            (folder / "own.tex").write_text(to_tex(OWN), encoding="utf-8")
        captions = {f.stem: read_json(f) for f in figures if f.suffix == ".json"}
        made = {path.stem for path in (*tables, *figures)}
        text = contents_tex(present(contents, made), captions)
        (folder / "contents.tex").write_text(text, encoding="utf-8")
        if about:
            beside = rf"\renewcommand{{\reportpage}}{{report.html}}{to_tex(about)}"
            (folder / "about.tex").write_text(beside, encoding="utf-8")
        for kind, files in (("tables", tables), ("figures", figures)):
            (folder / kind).mkdir()
            for file in files:
                shutil.copy(file, folder / kind / file.name)
        _latexmk(folder)
        shutil.copyfile(folder / "main.pdf", pdf)


def _latexmk(folder: Path) -> None:
    # -norc: a latexmkrc of the user's may choose another engine or output folder
    command = ["latexmk", "-norc", "-pdf", "-interaction=nonstopmode"]
    environment = {**os.environ, "SOURCE_DATE_EPOCH": "0", "FORCE_SOURCE_DATE": "1"}
    try:
        run = subprocess.run(
            [*command, "-halt-on-error", "main.tex"],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise PaperError(
            f"LaTeX did not finish in {SECONDS} s",
            "paper/main.tex",
            "run latexmk -pdf by hand in results/ to see where it hangs",
        ) from None
    if run.returncode or not (folder / "main.pdf").exists():
        raise PaperError(
            f"LaTeX failed: {first_error(folder / 'main.log')}",
            "paper/main.tex",
            f"mend it, or install what it misses ({INSTALL})",
        )


def first_error(log: Path) -> str:
    """First error of a LaTeX log, with the lines that follow it."""
    if not log.exists():
        return "no log was written"
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    for index, line in enumerate(lines):
        if line.startswith("!"):
            return " ".join(lines[index : index + 3]).strip()
    return lines[-1] if lines else "an empty log"
