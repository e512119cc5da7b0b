"""Files where people and other sites look first say what is so."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import yaml

from dash_repro.version import __version__

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def load(name: str):
    return yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))


def test_the_citation_is_of_this_version_and_of_the_paper() -> None:
    cited = load("CITATION.cff")
    assert {"cff-version", "message", "title", "authors"} <= cited.keys()
    assert (cited["version"], cited["license"]) == (
        __version__,
        PROJECT["license"],
    )
    paper = cited["preferred-citation"]
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert f"*{paper['title']}*" in " ".join(readme.split())
    assert paper["url"] in readme
    assert len(paper["authors"]) == 4


def test_the_changes_begin_with_what_is_not_released() -> None:
    heads = re.findall(r"^## (.*)$", (ROOT / "CHANGELOG.md").read_text(), re.M)
    assert heads[:2] == ["Unreleased", __version__]


def test_a_commit_is_checked_as_make_checks_it() -> None:
    (repo,) = load(".pre-commit-config.yaml")["repos"]
    for hook in repo["hooks"]:
        words = hook["entry"].split()
        assert words[0] == "make"
        done = subprocess.run(["make", "-n", *words[1:]], cwd=ROOT, capture_output=True)
        assert done.returncode == 0, done.stderr
    assert [hook["id"] for hook in repo["hooks"]] == ["lint", "drift"]


def test_the_catalog_is_told_what_the_workflow_can() -> None:
    usage = load(".snakemake-workflow-catalog.yml")["usage"]
    assert usage["mandatory-flags"].keys() == {"desc", "flags"}
    rules = "".join(p.read_text() for p in (ROOT / "workflow/rules").glob("*.smk"))
    deployed = usage["software-stack-deployment"]
    assert deployed["conda"] == ("conda:" in rules)
    assert deployed["apptainer"] == ("container:" in rules)


def test_every_params_file_is_described() -> None:
    text = (ROOT / "config" / "README.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `(\S+)`", text, re.M)) == {
        path.name for path in (ROOT / "config").glob("*.yaml")
    }
