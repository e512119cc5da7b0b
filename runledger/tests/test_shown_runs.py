"""What real runs show: in a log, on a terminal, of a failure, when they only plan."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time

import pytest
from toy import BIN, Toy


def test_a_failing_bundle_in_a_log(empty: Toy) -> None:
    empty.edit("params.yaml", "b: {value: 4,", "b: {value: x,")
    empty.edit("src/toy/arithmetic.py", "return a * b", "return int(a) * b")
    planned = empty.snakemake("-n", "--config", "bundle=3")
    assert "  measure: 3 instances in 1 job\n" in planned
    assert "  double: 3 instances in 3 jobs\n" in planned
    assert "3 never run" not in planned
    assert "never run: 3 measure, 3 double, 1 report\n" in planned
    assert "input:" not in planned
    assert len(planned.splitlines()) < 15

    config = ("--config", "bundle=3", "--keep-going")
    out = empty.snakemake(*config, check=False)
    assert empty.code != 0
    said = "\n".join(ln for ln in out.splitlines() if not re.match(r"20\d\d-", ln))
    assert re.search(r"FAILED +\d+ s  measure: a, b, \+1\n", said), said
    assert "measure@b: ValueError: invalid literal for int() with base 10: 'x'" in said
    assert "where: src/toy/arithmetic.py, line 6\n" in said
    assert "made and recorded: a, c\n" in said
    assert "log: results/logs/measure/measure_1of1.log" in said
    assert re.search(r"done +\d+ s  fingerprint_code report\n", said)
    assert "3 of 8 jobs done" in said, "the code fingerprints"
    assert "1 failed, 4 not run" in said
    for noise in ("message: None", "input:", "rule measure", "RuleException"):
        assert noise not in said
    assert len(said.splitlines()) < 40

    (log,) = (empty.root / ".snakemake/log").glob("*.log")
    assert "rule measure_1of1:" in log.read_text(), "Snakemake's own log has everything"
    assert str(log.relative_to(empty.root)) in said


@pytest.mark.thorough
def test_asked_for_snakemakes_own_output_is_as_ever(toy: Toy) -> None:
    toy.edit("params.yaml", "title: numbers", "title: other")
    assert "reason" not in (told := toy.run("env", "VERBOSE=1", "snakemake", "-n"))
    assert "Job stats:" in told
    assert "rule report:" in told
    assert "rule report:" in toy.snakemake("-n", "--printshellcmds")
    told = toy.snakemake("-n", "--quiet", "rules")
    assert "Job stats:" in told
    assert "would run" not in told
    dag = subprocess.run(
        [BIN / "snakemake", "--dag"],
        cwd=toy.root,
        env={**toy.environment(), "RUNLEDGER_UNPRUNED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        check=True,
    ).stdout
    assert dag.startswith("digraph")
    assert dag.rstrip().endswith("}")
    summary = toy.run("bash", "-c", "snakemake --summary 2> /dev/null")
    assert summary.startswith("output_file\t")


def on_terminal(toy: Toy, *arguments: str) -> tuple[subprocess.Popen, int]:
    """Start snakemake on a terminal of 80 columns; returns it and the terminal."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    environment = {**toy.environment(), "TERM": "xterm", "LC_ALL": "C.UTF-8"}
    process = subprocess.Popen(
        [str(BIN / "snakemake"), "--cores", "2", *arguments],
        cwd=toy.root,
        env=environment,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )
    os.close(theirs)
    return process, ours


def read(terminal: int, until: str = "", seconds: float = 120) -> str:
    """Read what the terminal shows, until it has shown something or is closed."""
    found, end = "", time.time() + seconds
    while time.time() < end and not (until and re.search(until, found)):
        if select.select([terminal], [], [], 0.2)[0]:
            try:
                data = os.read(terminal, 65536)
            except OSError:  # its last user has closed it
                break
            found += data.decode(errors="replace")
    return found


def test_ctrl_c_on_a_terminal(empty: Toy) -> None:
    empty.edit("params.yaml", "a: {value: 1, sleep: 0}", "a: {value: 1, sleep: 600}")
    empty.edit("stages/measure.py", "    job.stop_requested()\n", "")
    quiet = '{input.recipe:q} > /dev/null 2>&1"'
    empty.edit("workflow/Snakefile", '{input.recipe:q}"', quiet)
    process, terminal = on_terminal(empty)
    try:
        text = read(terminal, r"(?s)7 of 10 jobs done, 1 under way.*measure a ")
        assert "measure a " in text
        os.write(terminal, b"\x03")  # Ctrl-C
        text += read(terminal)
        assert process.wait(timeout=60) != 0
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        os.close(terminal)
    assert re.search(r"stopped +\d+ s  measure a", text), text[-3000:]
    assert "1 stopped, 2 not run" in text
    assert "FAILED" not in text
    assert "Traceback" not in text
    assert text.rfind("\x1b[?25h") > text.rfind("\x1b[?25l"), "the cursor is back"
    records = empty.root / "results/records/measure"
    assert sorted(path.name for path in records.iterdir()) == ["b", "c"]
    assert empty.stale() >= {"measure@a", "double@a", "report"}
