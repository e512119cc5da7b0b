"""The documentation site is built without a warning, and works without a network."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from dash_repro.cli import main as dash_repro
from dash_repro.params.definition import Params
from runledger.cli import main as runledger

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """The site, as `make docs` builds it; a warning is an error."""
    folder = tmp_path_factory.mktemp("site")
    said = subprocess.run(
        ["make", "-n", "docs"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    (line,) = re.findall(r"^sphinx-build (.*) docs site$", said, re.M)
    assert "-W" in line.split()
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going"]
    done = subprocess.run(
        [*command, "-d", str(folder / "state"), "docs", str(folder / "html")],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return folder / "html"


def test_no_page_loads_anything_from_elsewhere(site: Path) -> None:
    loads = r"<(?:script|img|iframe|source)\b[^>]*\bsrc=[\"'](?:https?:)?//[^>]*"
    loads += r"|<link\b[^>]*\bhref=[\"'](?:https?:)?//[^>]*"
    styles = r"url\([\"']?(?:https?:)?//[^)]*|@import[^;]*//[^;]*"
    for page in site.rglob("*.html"):
        assert re.findall(loads, page.read_text(encoding="utf-8")) == [], page
    for file in [*site.rglob("*.css"), *site.rglob("*.svg")]:
        assert re.findall(styles, file.read_text(encoding="utf-8")) == [], file


def test_every_page_is_found_from_the_first_one(site: Path) -> None:
    front = (site / "index.html").read_text(encoding="utf-8")
    pages = {page.stem for page in (ROOT / "docs").glob("*.md")}
    assert pages <= {Path(p).stem for p in re.findall(r'href="(\S+\.html)', front)} | {
        "index"
    }


def test_the_reference_has_every_command_option_and_setting(site: Path) -> None:
    page = (site / "commands.html").read_text(encoding="utf-8")
    for program, group in (
        ("dash-repro", dash_repro),
        ("python-m-runledger", runledger),
    ):
        for name, command in group.commands.items():
            assert f'id="{program}-{name}"' in page, name
            for param in command.params:
                if isinstance(param, click.Option) and not param.hidden:
                    assert param.opts[-1] in page, (name, param.opts)
    for name in re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.M):
        assert f"make {name}</span>" in page or f">{name}</span>" in page, name
    settings = (site / "params.html").read_text(encoding="utf-8")
    for section in Params.model_fields:
        assert f'id="{section.replace("_", "-")}"' in settings, section
