"""The legs of a run that is interrupted and resumed, and how a cluster job goes on."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

FILE = "legs.jsonl"
JOB_ID = ("SLURM_JOB_ID", "LSB_JOBID", "JOB_ID")  # Slurm, LSF, SGE


def job_id() -> str | None:
    """Return the id of the cluster job that this process belongs to."""
    return next((os.environ[name] for name in JOB_ID if name in os.environ), None)


def hostname() -> str:
    """Return this machine's name."""
    return socket.gethostname().encode("utf-8", "replace").decode("utf-8")


def where() -> str:
    """Say for the log in which cluster job and on which GPU this is; "" if in none."""
    if job_id() is None:
        return ""
    gpu = os.environ.get("CUDA_VISIBLE_DEVICES", "none")
    return f" cluster job {job_id()} gpu {gpu}"


def begin(folder: Path, instance: str, part: str = "") -> None:
    """Note that a leg of making an instance starts."""
    leg = {
        "event": "begin",
        "instance": instance,
        "start": now(),
        "host": hostname(),
        "pid": os.getpid(),
        "job_id": job_id(),
        "gpu": os.environ.get("CUDA_VISIBLE_DEVICES"),
    }
    append(folder / FILE, {**leg, **({"part": part} if part else {})})


def end(folder: Path, part: str, outcome: str) -> None:
    """Note that this process's leg ended, and how."""
    event = {"event": "end", "end": now(), "pid": os.getpid(), "part": part}
    append(folder / FILE, {**event, "outcome": outcome})


def append(path: Path, content: dict[str, Any]) -> None:
    """Append a line of JSON, behind whatever a crash left without a line end."""
    with open(path, "ab+") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - 1))
        broken = file.read() not in (b"", b"\n")
        line = json.dumps(content).encode() + b"\n"
        file.write(b"\n" + line if broken else line)


def unrecorded(started: float) -> dict[str, Any]:
    """Describe a leg of which a crash left no line: by its process and its start."""
    start = datetime.fromtimestamp(started, UTC).isoformat(timespec="seconds")
    where = {"host": hostname(), "job_id": job_id(), "gpu": None}
    return {"start": start, "end": None, "outcome": "not known", **where}


def read(folder: Path) -> list[dict[str, Any]]:
    """Return the legs in order; one without an end was killed.

    Lines that a crash cut short are left out.
    """
    found: list[dict[str, Any]] = []
    try:
        lines = (Path(folder) / FILE).read_bytes().splitlines()
    except OSError:
        lines = []
    for line in lines:
        try:
            event = dict(json.loads(line))
        except (ValueError, TypeError):
            continue
        if event.pop("event", "") == "begin":
            found.append({**event, "end": None, "outcome": "killed"})
            continue
        for leg in reversed(found):
            keys = (event.get("pid"), event.get("part", ""))
            mine = (leg["pid"], leg.get("part", "")) == keys
            if mine and leg["end"] is None:
                leg.update(end=event["end"], outcome=event["outcome"])
                break
    for leg in found:
        leg.pop("pid")
    return found


def interruption(signals: list[int]) -> tuple[str, str]:
    """Return (why the leg ends, how the run continues), by the signals received."""
    if signal.SIGUSR1 not in signals:
        return "stopped", "run the same command to go on"
    if "SLURM_JOB_ID" not in os.environ:
        return "time limit", "run the same command to go on"
    return "time limit", "the job goes back into the queue and on from there"


def requeue() -> None:
    """Put this Slurm job back into the queue: its next leg goes on from the state.

    Returns without effect outside Slurm, or if Slurm refuses (said on stderr).
    """
    job = os.environ.get("SLURM_JOB_ID")
    if job is None or shutil.which("scontrol") is None:
        return
    done = subprocess.run(
        ["scontrol", "requeue", job], capture_output=True, check=False
    )
    if done.returncode:
        reason = done.stderr.decode("utf-8", "replace").strip()
        print(
            f"job {job} could not be put back into the queue ({reason}); "
            "its state is saved: run the same snakemake command again",
            file=sys.stderr,
        )
        return
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    time.sleep(120)  # Slurm ends this leg; failing by ourselves would end the job


def now() -> str:
    """Return the time by this machine's clock, in UTC to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")
