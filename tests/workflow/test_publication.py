"""A published run: checked in a clone whose code has gone on, and gone on with."""

import re
import shutil
from pathlib import Path

import pytest
from bare_machine import BareMachine
from machine import require

from dash_repro.arrays import read_json
from dash_repro.publication import checking
from dash_repro.publication.checking import check, vary
from dash_repro.publication.published import RUN, Publication, publish, run
from dash_repro.workspace import commit
from runledger.errors import UserError
from runledger.git import git

pytestmark = pytest.mark.slow
CHANGED = "src/dash_repro/diffusion/noise.py"
LEFT_OUT = "results/train_student/*-scratch-*/model.safetensors"
SAMPLES = "digits-dash-w4-s42-cfg4.0-k4-n0"


@pytest.fixture(scope="module")
def published(
    bare: BareMachine, tmp_path_factory: pytest.TempPathFactory
) -> Publication:
    """The smallest demo, published; afterwards the checkout's code has changed."""
    require("latexmk", "pdflatex", install="latexmk texlive-latex-extra")
    root = tmp_path_factory.mktemp("published") / "check out"
    shutil.copytree(bare.root, root, symlinks=True, ignore=_no_demo(bare.root))
    shutil.copytree(bare.demo, root / "demo" / RUN, symlinks=True)
    found = Publication(root, "demo")
    with pytest.raises(UserError, match="git should not hold more than 1"):
        publish(found, limit=2**20)
    assert not (found.folder / "code").exists() and not [*found.stored()]
    said = publish(
        found, [LEFT_OUT], 2**26
    )  # a tiny run's features are those of a large network
    assert said.endswith(f"made by {git(root, 'rev-parse', 'HEAD').decode()[:12]}")
    module = root / CHANGED
    module.write_text(module.read_text() + "\n\nLATER = 1\n")
    git(root, "add", "-A")
    commit(root, "later")
    shutil.rmtree(root / "demo" / RUN)
    return found


def _no_demo(root: Path):
    return lambda folder, names: ["demo"] if Path(folder) == root else []


@pytest.fixture(scope="module")
def checked(published: Publication) -> dict[str, tuple[str, bool]]:
    """What a check of it says."""
    return {what: (said, good) for what, said, good in check(published, SAMPLES)}


def test_a_published_run_is_whole_and_its_code_is_told(
    published: Publication, checked: dict[str, tuple[str, bool]]
) -> None:
    found = checked
    assert all(good for _, good in found.values()), found
    assert "nothing to be done" in found["state"][0]
    assert "nothing to object to" in found["audit"][0]
    folder = published.folder / "results" / "records" / "train_student"
    stored = {path.name for path in published.stored()}
    scratch, *_ = folder.glob("*-scratch-*/*.json")
    kept = {
        Path(name).name: out["md5"][2:] in stored
        for name, out in read_json(scratch)["outputs"].items()
        if "inline" not in out
    }
    assert kept == {"model.safetensors": False, "history.csv": True}
    assert int(re.search(r"(\d+) files are not kept", found["bytes"][0])[1]) > 10
    sampled, _, numbers = found["sampled"][0].partition("\n")
    assert sampled == "5 files made again, 5 of equal bytes"
    rho, frechet = (
        next(line for line in numbers.splitlines() if line.startswith(f"{name} "))
        for name in ("rho", "frechet")
    )
    assert re.fullmatch(r"rho +published (.+ ± .+), now \1", rho)
    assert re.fullmatch(r"frechet +published (.+ ± .+), now \1", frechet)
    assert "of equal bytes" in found["drawn"][0]
    assert "1 of its " in found["code"][0] and f"({CHANGED})" in found["code"][0]
    assert f"git checkout {published.code[-1][:12]}" in found["code"][0]


def test_another_processor_gives_other_bytes_and_the_same_numbers(
    published: Publication,
    checked: dict[str, tuple[str, bool]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Kernels without vector instructions add up in another order."""
    assert checked["sampled"][1]
    monkeypatch.setenv("ATEN_CPU_CAPABILITY", "default")
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "SSE41")
    again = published.folder / checking.AGAIN
    found = checking.sets_of(again, SAMPLES)
    said, good = checking.remade(again, found)
    equal = int(re.search(r"5 files made again, (\d) of equal bytes", said)[1])
    assert good and equal < 5 and "other bytes (same kind of" in said, said


def test_another_setting_trains_one_student_and_shows_both(
    published: Publication,
) -> None:
    made, *numbers = vary(published, "students.dash.lambda_an=0.3", SAMPLES)
    counts = dict(reversed(part.split()) for part in made.split(": ")[1].split(", "))
    assert counts.pop("fingerprint_code", "1") and counts == {
        "train_student": "1",
        "generate_samples": "1",
        "compute_metrics": "1",
        "measure_calibration": "1",
    }
    (rho,) = [line for line in numbers if line.startswith("rho ")]
    old, new = re.fullmatch(
        r"rho +published (.+) ± .+, with it (.+) ± .+", rho
    ).groups()
    assert float(old) != float(new)
    for path in ("params.yaml", "results"):
        assert git(published.root, "status", "--porcelain", "--", path) == b""
    with pytest.raises(UserError, match="no samples are called 'nothing'"):
        list(vary(published, "students.dash.lambda_an=0.3", "nothing"))
    with pytest.raises(UserError, match="no samples are called 'nothing'"):
        next(check(published, "nothing"))


def test_a_damaged_object_of_the_store_is_named(published: Publication) -> None:
    path = next(published.folder.glob("results/records/train_student/*-dash-*/*.json"))
    outputs = read_json(path)["outputs"]
    (out,) = [outputs[name] for name in outputs if name.endswith("model.safetensors")]
    stored = published.store / "files" / "md5" / out["md5"][:2] / out["md5"][2:]
    whole = stored.read_bytes()
    stored.chmod(0o644)
    try:
        stored.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        what, said, good = next(check(published, SAMPLES))
    finally:
        stored.write_bytes(whole)
    assert (what, good) == ("bytes", False) and path.parent.name in said


def test_the_run_goes_on_elsewhere(published: Publication, capfd) -> None:
    """What is published is not run again; what is not, is."""
    assert run(published, False, ["-n", "--cores", "1"]) == 0
    assert "Nothing to be done" in "".join(capfd.readouterr())
    records = published.folder / RUN / "results" / "records" / "compute_metrics"
    shutil.rmtree(records / SAMPLES)
    assert run(published, False, ["-n", "--cores", "1"]) == 0
    shown = "".join(capfd.readouterr())
    assert "compute_metrics: 1 instance" in shown and "train_student" not in shown
    assert run(published, True, ["-n", "--cores", "1"]) == 0
    shown = "".join(capfd.readouterr())
    assert "never run: 2 prepare_data" in shown and "train_student" in shown


def test_a_text_that_was_edited_is_named(published: Publication) -> None:
    (table,) = published.folder.glob("results/tables/table3.tex")
    text = table.read_text()
    table.write_text(text.replace("DASH", "DISH"))
    try:
        with pytest.raises(UserError, match=r"results/tables/table3\.tex"):
            next(check(published, SAMPLES))
    finally:
        table.write_text(text)


def test_what_cannot_be_published_is_refused(
    published: Publication, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UserError, match="no run is published here"):
        Publication(published.root, "other").code  # noqa: B018
    shallow = tmp_path / "shallow"
    url = f"file://{published.root}"
    git(tmp_path, "clone", "-q", "--depth", "1", url, str(shallow))
    shutil.copytree(published.folder, shallow / "demo", dirs_exist_ok=True)
    with pytest.raises(UserError, match="lacks the commit") as caught:
        Publication(shallow, "demo").code  # noqa: B018
    assert "unshallow" in caught.value.remedy
    (published.root / "params.yaml").write_text("edited: true\n")
    with pytest.raises(UserError, match="no commit has"):
        run(Publication(published.root, "another"), False, [])
