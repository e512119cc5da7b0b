"""Finished runs of the paper that all test processes of a session share."""

from __future__ import annotations

from pathlib import Path

import pytest
from bare_machine import BareMachine
from machine import require
from once import once


def bare_machine(factory: pytest.TempPathFactory) -> BareMachine:
    """The demo at the smallest size, made on a machine with the least; to look at."""

    def prepare(folder: Path) -> None:
        BareMachine(folder).prepare(folder)

    return BareMachine(once(factory, "bare", prepare))


def tiny_run(factory: pytest.TempPathFactory) -> Path:
    """A finished and committed run of the whole paper at the smallest size, to copy."""
    require("latexmk", "pdflatex", install="latexmk texlive-latex-extra")
    return bare_machine(factory).demo
