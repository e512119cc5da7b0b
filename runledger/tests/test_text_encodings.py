"""Text that is not UTF-8, and places where Python would not assume UTF-8."""

from __future__ import annotations

import json
import logging
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from toy import Toy

from runledger import environment, legs
from runledger.canonical import digest, pretty, read_text, write_atomic
from runledger.errors import UserError
from runledger.execution import Context, publish
from runledger.fingerprint import Fingerprinter
from runledger.pipeline import Instance, Output
from runledger.queue import labelled
from runledger.recipes import snapshot_code
from runledger.records import Record
from runledger.yamlfile import load_yaml

LATIN = "für".encode("latin-1")
RUNLEDGER = ("-m", "runledger")
ASCII_ONLY = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}


def test_a_latin1_change_does_not_stop_head_or_job(toy: Toy) -> None:
    name = os.fsdecode(b"notes-" + LATIN + b".txt")
    (toy.root / "src/toy/arithmetic.py").write_bytes(
        b"# -*- coding: latin-1 -*-\n# " + LATIN + b"\n"
        b"def times(a, b):\n    return b * a  # " + LATIN + b"\n"
    )
    (toy.root / name).write_bytes(LATIN)
    (toy.root / "src/toy/notes.txt").write_bytes(LATIN)
    assert "Traceback" not in toy.snakemake()
    assert toy.read("results/report/_/report.txt") == "numbers\na 20\nb 80\nc 60\n"
    assert toy.stale() == set()


def test_a_name_that_dvc_cannot_keep_is_refused_before_anything_runs(toy: Toy) -> None:
    (toy.root / os.fsdecode(b"src/caf\xe9.py")).write_bytes(LATIN)
    toy.edit("params.yaml", "title: numbers", "title: other")
    out = toy.snakemake(check=False)
    assert toy.code == 1
    assert "a file name that is not UTF-8" in out
    assert "caf\\xe9.py" in out.replace("\\udce9", "\\xe9")
    assert "report" in {name.partition("@")[0] for name in toy.stale()}, "nothing ran"


def test_a_machine_that_knows_ascii_only(toy: Toy) -> None:
    toy.edit("params.yaml", "title: numbers", "title: λ für")

    def run(*arguments: str) -> str:
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=toy.root,
            env=toy.environment() | ASCII_ONLY,
            check=True,
            capture_output=True,
        ).stdout.decode("ascii")

    why = run(*RUNLEDGER, "why", "report")
    assert "report.title: numbers -> \\u03bb f\\xfcr" in why
    run("stages/report.py")
    text = (toy.root / "results/report/_/report.txt").read_bytes()
    assert text.startswith("λ für\n".encode())
    assert "report" in run(*RUNLEDGER, "logs", "report")
    assert "1 valid present" in run(*RUNLEDGER, "status")


@pytest.mark.parametrize("name", ["params.yaml", "dvc.yaml", "pyproject.toml"])
def test_what_people_edit_is_refused_by_line(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"a: 1\nb: " + LATIN + b"\n")
    read = read_text if name.endswith("toml") else load_yaml
    with pytest.raises(UserError, match="line 2 has the byte 0xfc") as told:
        read(tmp_path / name)
    assert name in str(told.value)


def test_an_output_in_git_that_is_not_text_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "staging").mkdir()
    (tmp_path / "staging/table.tex").write_bytes(LATIN)
    output = Output("results/table/table.tex", cached=False)
    instance = Instance("table", "table", "", "", (), (), (output,))
    with pytest.raises(UserError, match="kept in git is not UTF-8 text") as told:
        publish(Context(tmp_path), instance, tmp_path / "staging")
    assert output.path in str(told.value)


def test_a_record_keeps_names_that_are_not_utf8(tmp_path: Path) -> None:
    """A surrogate is written as JSON's escape, and read back as it was."""
    name = os.fsdecode(b"caf\xe9")
    files = {f"results/x/{name}": {"md5": "0" * 32, "size": 1}}
    record = Record("x", "k", {}, {}, {}, files, {"end": "2026", "host": name})
    instance = Instance("x", "x", "", "", (), (), ())
    records = Context(tmp_path).records
    records.write(instance, record)
    assert records.get(instance, "k").outputs == files
    assert digest(name) != digest(os.fsdecode(b"caf\xe8")) != digest("caf\\udce8")
    write_atomic(tmp_path / "a.json", pretty({"a": name}))
    assert json.loads((tmp_path / "a.json").read_text("utf-8")) == {"a": name}


def test_a_snapshot_of_code_with_such_a_name(tmp_path: Path) -> None:
    name = os.fsdecode(b"src/caf\xe9.py")
    (tmp_path / "src").mkdir()
    (tmp_path / name).write_bytes(LATIN)
    snapshot = tmp_path / snapshot_code(tmp_path, Fingerprinter(tmp_path))
    assert (snapshot / name).read_bytes() == LATIN


def test_host_processor_and_queue_in_other_encodings(
    toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: os.fsdecode(b"knot\xe9n"))
    assert legs.hostname() == "knot?n"
    pretty(environment.describe(toy.root)).encode()
    place = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9")
    line = b"17".ljust(20) + os.fsencode(place) + b"/results/recipes/measure/a/k.json"
    other = b"18".ljust(20) + b"/dev/null" + LATIN
    (tmp_path / "answer").write_bytes(line + b"\n" + other + b"\n")
    squeue = tmp_path / "bin/squeue"
    squeue.parent.mkdir()
    squeue.write_text(f"#!/bin/sh\ncat {tmp_path}/answer\n", encoding="utf-8")
    squeue.chmod(0o755)
    monkeypatch.setenv("PATH", f"{squeue.parent}:{os.environ['PATH']}")
    assert labelled(Path(place)) == {"results/recipes/measure/a/k.json": "17"}


def test_a_requeue_that_fails_in_latin1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture
) -> None:
    scontrol = tmp_path / "scontrol"
    scontrol.write_bytes(b"#!/bin/sh\nprintf 'f\\374r' >&2\nexit 1\n")
    scontrol.chmod(0o755)
    assert subprocess.run([scontrol], capture_output=True).stderr == LATIN
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    legs.requeue()
    assert "job 17 could not be put back" in capfd.readouterr().err


def test_a_log_line_with_a_broken_letter_is_written(toy: Toy) -> None:
    """A log that fails would print a traceback into every job's output."""
    from runledger.job import Job
    from runledger.judge import Judge
    from runledger.project import load_pipeline
    from runledger.recipes import of_verdict

    pipeline = load_pipeline(toy.root)
    verdict = Judge(toy.root, pipeline).judge()["report"]
    job = Job(Context(toy.root), of_verdict(verdict, pipeline))
    job.log.log(logging.INFO, "reads %s", os.fsdecode(LATIN))
    for handler in job.log.handlers:
        handler.flush()
    assert "reads f\\udcfcr" in toy.read("results/logs/report/_.log")
