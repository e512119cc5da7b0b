"""Live curves: what jobs report becomes TensorBoard events, once, and nothing else."""

from __future__ import annotations

import struct
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from tensorboardX.proto.event_pb2 import Event

from dash_repro.cli import main
from dash_repro.live import Curves
from runledger.errors import UserError
from runledger.reporting import append_report, report_path


def events(folder: Path) -> list[tuple[str, int, float, float]]:
    """(name, step, value, time) of all event files, read by their format.

    A record: its length, a checksum, the content, a checksum (TFRecord).
    """
    found = []
    for path in folder.rglob("events*"):
        data, position = path.read_bytes(), 0
        while position < len(data):
            (length,) = struct.unpack_from("<Q", data, position)
            event = Event.FromString(data[position + 12 : position + 12 + length])
            position += 16 + length
            for one in event.summary.value:
                value = (one.tag, event.step, one.simple_value, event.wall_time)
                found.append((path.parent.name, *value))
    return sorted(found)


def test_reports_become_curves_once(tmp_path: Path) -> None:
    student = report_path(tmp_path, "train_student", "digits-dash-w4-s42")
    append_report(student, "", {"state": "open"})
    append_report(
        student,
        "",
        {"step": 5, "iterations": 9, "loss": 0.5, "rho": 2.0, "seconds_left": 3},
    )
    other = report_path(tmp_path, "generate_samples", "x")
    append_report(other, "", {"images": 5, "of": 9})
    curves = Curves(tmp_path, tmp_path / "tb")
    assert (curves.update(), curves.update()) == (1, 0)
    line = (
        '{"time": 12.5, "step": 7, "iterations": 9, "loss": 0.25, "seconds_left": 1}\n'
    )
    with open(student, "a") as file:
        file.write(line[:20])
    assert curves.update() == 0, "half a line"
    with open(student, "a") as file:
        file.write(line[20:])
    assert curves.update() == 1
    curves.close()
    name = "digits-dash-w4-s42"
    found = events(tmp_path / "tb" / "train_student")
    assert [one[:4] for one in found] == [
        (name, "loss", 5, 0.5),
        (name, "loss", 7, 0.25),
        (name, "rho", 5, 2.0),
    ]
    assert found[1][4] == 12.5, "the time of the report, not of the writing"
    assert [path.name for path in (tmp_path / "tb").iterdir()] == ["train_student"]


def test_the_command_writes_what_there_is(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = report_path(tmp_path, "train_teacher", "digits-tirt-s42")
    append_report(path, "", {"step": 1, "iterations": 2, "loss": 1.0})
    done = CliRunner().invoke(main, ["live", "tb", "--once"])
    assert done.output == "reports written: 1\n" and len(events(tmp_path / "tb")) == 1


def test_without_the_library_it_says_what_to_install(tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(UserError, match="pip install tensorboardX"):
        Curves(tmp_path, tmp_path / "tb")
