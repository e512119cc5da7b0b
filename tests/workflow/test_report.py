"""results/report.html of a really run workspace, opened in headless Chromium."""

from __future__ import annotations

import csv
import html
import io
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest
from machine import unavailable
from packed_page import opened, unpacked
from paper_workspace import Workspace
from tampering import CELL, STUDENT, Forger, private_copy, sidecars

from dash_repro.audit.audit import run_audit
from dash_repro.audit.report import AUDITED, write_report
from dash_repro.paper.registry import Section

pytestmark = [pytest.mark.slow]
NAMES = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="module")
def page(tiny: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "report.html"
    write_report(run_audit(tiny.root), path)
    return path


@pytest.fixture(scope="module")
def browser() -> str:
    for name in NAMES:
        if shutil.which(name):
            return name
    unavailable("no Chromium (apt-get install chromium)")


def dom(browser: str, url: str, width: int = 1280) -> str:
    done = subprocess.run(
        [
            browser,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            f"--window-size={width},900",
            "--virtual-time-budget=4000",
            "--dump-dom",
            url,
        ],
        capture_output=True,
        text=True,
        timeout=120,
    )
    return done.stdout


class Reader(HTMLParser):
    """What the page is made of."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list) -> None:
        self.tags.append((tag, dict(attributes)))


def test_the_page_needs_nothing_else(page: Path) -> None:
    text = page.read_text()
    for tag, about in Reader(opened(text)).tags:
        for key in ("src", "href", "action", "srcset"):
            link = about.get(key) or "#"
            assert link.startswith(("#", "data:")), (tag, link)
    assert "@import" not in opened(text)
    assert not re.search(r"url\((?!#)", opened(text))
    assert "fetch(" not in text


def unprinted(cells: dict) -> set[str]:
    """Spreads of single values, which a table leaves out."""
    return {a for a in cells if a.endswith("_std") and cells[a]["kind"] == "dash"}


def test_every_cell_has_a_button_and_an_account(tiny: Workspace, page: Path) -> None:
    text = page.read_text()
    tags, accounts = Reader(opened(text)).tags, unpacked(text)
    buttons = {about["data-cell"] for _, about in tags if about.get("data-cell")}
    cells = sidecars(tiny.root)
    assert set(accounts["cells"]) == set(cells)
    words = {a for a in cells if a.startswith("claims/") and a.endswith("_verdict")}
    alone = unprinted(cells)
    assert alone and set(cells) - words - alone <= buttons <= set(cells) - words
    assert accounts["cells"][CELL]["recomputed"] == cells[CELL]["displayed"]
    names = [accounts["runs"][i]["run"] for i in accounts["cells"][CELL]["run_names"]]
    assert f"{STUDENT.replace('/', '@')}" in names


def test_sections_pictures_and_words_for_those_who_do_not_see(page: Path) -> None:
    tags = Reader(opened(page.read_text())).tags
    ids = [about["id"] for _, about in tags if "id" in about]
    assert len(ids) == len(set(ids))
    parts = {part.name.lower().replace("_", "-") for part in Section}
    assert {*AUDITED, *parts} <= set(ids)
    images = [about for tag, about in tags if tag == "img"]
    assert len(images) >= 15
    assert all(image["alt"].strip() for image in images)
    assert ("html", {"lang": "en"}) in tags
    regions = [about for _, about in tags if about.get("role") == "region"]
    assert regions
    assert all(r.get("aria-label") or r.get("aria-labelledby") for r in regions)


def test_a_cell_opens_its_account_in_a_browser(page: Path, browser: str) -> None:
    text = dom(browser, f"{page.as_uri()}#cell={CELL}")
    dialog = re.search(r"<dialog.*?</dialog>", text, re.S)[0]
    assert re.match(r"<dialog[^>]* open", dialog)
    for words in (
        CELL,
        "recomputed from the raw files",
        "not the paper's scale",
        "lambda_an",
    ):
        assert words in dialog
    assert "bytes read and equal" in dialog
    closed = dom(browser, page.as_uri())
    assert not re.search(r"<dialog[^>]* open", closed)


def acted(
    page: Path, browser: str, tmp_path: Path, script: str, width: int = 1280
) -> str:
    """The page's DOM after a script of ours ran behind its own."""
    copy = tmp_path / "acted.html"
    then = f"document.addEventListener('ready', () => {{ {script} }})"
    end = f"<script>{then}</script></body>"
    copy.write_text(page.read_text().replace("</body>", end))
    return dom(browser, copy.as_uri(), width)


def test_numbers_are_found_and_come_as_a_file(
    tiny: Workspace, page: Path, browser: str, tmp_path: Path
) -> None:
    script = """
    URL.createObjectURL = (blob) => { blob.text().then((text) => {
      const pre = document.createElement("pre"); pre.id = "got";
      pre.textContent = text; document.body.append(pre); }); return "#"; };
    search.value = "table3/dash/"; search.dispatchEvent(new Event("input"));
    document.querySelector("[data-download=csv]").click();
    """
    text = acted(page, browser, tmp_path, script)
    cells = sidecars(tiny.root)
    told = {
        a: f"{a} {c['displayed']} {c['name']} {c['note']}" for a, c in cells.items()
    }
    wanted = {a for a, text in told.items() if "table3/dash/" in text}
    wanted = {a for a in wanted if not a.endswith("_verdict")}
    assert len([a for a in wanted if a.startswith("table3/dash/")]) > 4
    assert re.search(r'id="found">(.*?)<', text)[1] == f"{len(wanted)} numbers"
    dimmed = {
        about["data-cell"]
        for _, about in Reader(text).tags
        if about.get("data-cell") and "dim" in about.get("class", "").split()
    }
    assert not dimmed & wanted and "table3/teacher/params_m" in dimmed
    away = [about for _, about in Reader(text).tags if "hidden" in about]
    ids = {about.get("id") for about in away}
    assert "table2" in ids and "table3" not in ids
    got = html.unescape(re.search(r'<pre id="got">(.*?)</pre>', text, re.S)[1])
    rows = {row["address"]: row for row in csv.DictReader(io.StringIO(got))}
    assert set(rows) == wanted
    for address, row in rows.items():
        assert row["displayed"] == cells[address]["displayed"]
        numbers = [value["number"] for value in cells[address]["values"]]
        assert row["values"].split() == numbers


def test_a_heading_sorts_its_list(page: Path, browser: str, tmp_path: Path) -> None:
    head = 'document.querySelectorAll("#claims .list th")[3]'
    for clicks, flip in ((1, False), (2, True)):
        text = acted(page, browser, tmp_path, f"{head}.click();" * clicks)
        body = re.search(r'id="claims".*?<tbody>(.*?)</tbody>', text, re.S)[1]
        rows = [
            re.findall(r"<td.*?</td>", row, re.S) for row in body.split("</tr>")[:-1]
        ]
        words = [re.sub(r"<.*?>", "", row[3]) for row in rows]
        assert len(set(words)) > 1
        assert words == sorted(words, reverse=flip)


def test_the_page_says_what_to_quote(tiny: Workspace, page: Path) -> None:
    text = opened(page.read_text())
    command = ["git", "rev-parse", "HEAD"]
    head = subprocess.run(command, cwd=tiny.root, capture_output=True, text=True).stdout
    assert f"commit <b>{head[:12]}</b>" in text
    assert re.search(r"audited <b>20\d\d-\d\d-\d\d \d\d:\d\d UTC</b>", text)
    assert re.search(r"params <b>[0-9a-f]{12}</b>", text)
    if shutil.which("latexmk") and shutil.which("pdftotext"):
        command = ["pdftotext", "-l", "1", str(page.with_suffix(".pdf")), "-"]
        first = subprocess.run(command, capture_output=True, text=True).stdout
        assert head[:12] in first and "nothing to object to" in first
    claims = json.loads((tiny.root / "results/tables/claims.json").read_text())
    words = [c["displayed"] for a, c in claims["cells"].items() if "ours_verdict" in a]
    head = text[: text.index("</header>")]
    assert len(words) > 50
    for name in ("holds", "fails", "inconclusive", "not testable"):
        assert f"{words.count(name)} {name}" in head
    captions = re.findall(r"<figcaption>.*?</figcaption>", text)
    (five,) = [caption for caption in captions if "Figure 5c." in caption]
    assert "training seed" in five and "samples a point" in five


@pytest.mark.parametrize("width", [500, 1280])
def test_the_page_does_not_scroll_sideways(
    page: Path, browser: str, width: int, tmp_path: Path
) -> None:
    probe = (
        "document.title = document.documentElement.scrollWidth + ' ' + "
        "window.innerWidth;"
    )
    text = acted(page, browser, tmp_path, probe, width)
    title = re.search(r"<title>(\d+) (\d+)</title>", text)
    assert int(title[1]) <= int(title[2])


def test_it_prints(page: Path, browser: str, tmp_path: Path) -> None:
    out = tmp_path / "report.pdf"
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu"]
    options = [f"--print-to-pdf={out}", "--virtual-time-budget=4000", page.as_uri()]
    subprocess.run([*command, *options], capture_output=True, timeout=120)
    data = out.read_bytes()
    assert data.startswith(b"%PDF")
    pages = len(re.findall(rb"/Type\s*/Page\b", data))
    assert 3 <= pages <= 80


def test_a_tainted_cell_is_marked(tiny: Workspace, tmp_path: Path) -> None:
    forger = Forger(private_copy(tiny.root, tmp_path / "forged"))
    forger.flip(f"results/{STUDENT}/model.safetensors")
    audit = run_audit(forger.root)
    write_report(audit, tmp_path / "report.html")
    text = opened((tmp_path / "report.html").read_text())
    marked = {
        about["data-cell"]
        for tag, about in Reader(text).tags
        if about.get("data-cell") and "s-objection" in about.get("class", "")
    }
    shown = {a for a in marked if not a.startswith("claims/")}
    wanted = {c for f in audit.objections for c in f.cells}
    wanted -= unprinted(sidecars(forger.root))
    assert shown == {c for c in wanted if "/" in c and not c.startswith("claims/")}
    assert CELL in marked
    assert "s-objection" in text.split("banner")[-1]
