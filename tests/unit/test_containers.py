"""The Dockerfile and the Apptainer definition: what needs no builder of them."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCKER = (ROOT / "Dockerfile").read_text(encoding="utf-8")
APPTAINER = (ROOT / "apptainer.def").read_text(encoding="utf-8")


def section(name: str) -> str:
    found = re.search(rf"^%{name}\n((?:    .*\n)+)", APPTAINER, re.M)
    return "\n".join(line.strip() for line in found[1].splitlines())


def test_both_are_made_alike() -> None:
    steps = re.findall(r"^RUN (.*)$", DOCKER, re.M)
    alike = section("post").replace("{{ TORCH }}", "$TORCH").splitlines()
    assert [line for line in alike if not line.startswith("cd ")] == steps
    (image,) = re.findall(r"^FROM (.*)$", DOCKER, re.M)
    assert f"From: {image}\n" in APPTAINER and ":" in image
    assert "ARG TORCH=cpu" in DOCKER and section("arguments") == "TORCH=cpu"


def test_they_install_what_the_readme_says_is_needed() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    latex = re.search(r"apt-get install (latexmk[\w -]*)", readme)[1].split()
    (line,) = [one for one in DOCKER.splitlines() if "apt-get" in one]
    assert {*latex, "git", "make"} <= set(line.split())


def test_the_context_leaves_out_what_a_run_makes() -> None:
    left = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    ignored = (ROOT / ".gitignore").read_text(encoding="utf-8").split()
    assert {name.strip("/") for name in ignored} >= set(left) and ".git" not in left


def test_a_run_of_the_image_sets_nothing_up_again(tmp_path: Path) -> None:
    """Its script, with this checkout in the place of the image's."""
    image = tmp_path / "image"
    subprocess.run(["git", "clone", "-q", str(ROOT), str(image)], check=True)
    (image / ".venv" / "bin").mkdir(parents=True)
    (image / ".venv" / ".ready-cpu").touch()
    script = section("runscript").replace("/opt/dash-repro", str(image))
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MAKE")}
    for arguments in ([], ["make", "-n", "demo"]):
        text = script.replace("make demo", "make -n demo")
        done = subprocess.run(
            ["sh", "-c", text, "run", *arguments],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        assert "dash_repro.workspace demo" in done.stdout
        assert "dash_repro.install" not in done.stdout, "it would set up once more"
