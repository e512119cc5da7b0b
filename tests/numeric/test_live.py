"""Live curves: what jobs report becomes TensorBoard events, once, and nothing else."""

from __future__ import annotations

import os
import shutil
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from tensorboardX.proto.event_pb2 import Event
from training_tools import (
    make_data,
    make_teacher,
    run_students,
    student_job,
    tiny_params,
)

from dash_repro.cli import main
from dash_repro.contact_sheet import contact_sheet
from dash_repro.live import Live, Sampler, polyline
from dash_repro.pretrained import load
from runledger import legs
from runledger.errors import UserError
from runledger.project import ledger_path
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
    curves = Live(tmp_path, tmp_path / "tb", events=True)
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
    names = {path.name for path in (tmp_path / "tb").iterdir()}
    assert names == {"train_student", "index.html"}


def test_the_command_writes_what_there_is(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = report_path(tmp_path, "train_teacher", "digits-tirt-s42")
    append_report(path, "", {"step": 1, "iterations": 2, "loss": 1.0})
    done = CliRunner().invoke(main, ["live", "tb", "--once", "--events"])
    assert done.output == "reports: 1; look at tb/index.html\n"
    assert len(events(tmp_path / "tb")) == 1


def test_without_the_library_it_says_what_to_install(tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(UserError, match="pip install tensorboardX"):
        Live(tmp_path, tmp_path / "tb", events=True)


def test_a_curve_keeps_its_ends_and_its_extremes() -> None:
    line, low, high = polyline([(10, 2.0), (20, 4.0), (50, 3.0)])
    assert (line, low, high) == ("0.0,70.0 70.0,0.0 280.0,35.0", 2.0, 4.0)
    assert polyline([(5, 1.0)]) == ("0.0,70.0", 1.0, 1.0)
    many = [(step, 1.0) for step in range(10_000)]
    many[4321], many[-1] = (4321, 50.0), (9999, 9.0)
    line, low, high = polyline(many)
    shown = [tuple(map(float, point.split(","))) for point in line.split()]
    assert (low, high) == (1.0, 50.0) and 200 < len(shown) <= 401
    assert (121.0, 0.0) in shown  # the highest is at 4321 / 9999 of 280
    assert shown[-1] == (280.0, pytest.approx(70 * (1 - 8 / 49), abs=0.1))


@pytest.fixture
def stopped(tmp_path: Path) -> Path:
    """A checkout in which a student stands at iteration 4 of 12."""
    params, places = tiny_params(), tmp_path / "made"
    make_data(places)
    make_teacher(places, params)
    job = student_job(places, params, "dash")
    job.stop_after = 4
    assert not run_students([job])
    name = "digits-dash-w8-s42"
    report = report_path(tmp_path, "train_student", name)
    append_report(report, "", {"step": 2, "iterations": 12, "loss": 0.5, "rho": 0.9})
    values = {"step": 4, "iterations": 12, "loss": 0.25, "seconds_left": 90}
    append_report(report, "", values)
    key = ledger_path(tmp_path, ".state", "runs", "0a1b")
    shutil.copytree(job.state, key)
    legs.begin(key, f"train_student@{name}")
    return tmp_path


def test_the_page_has_curves_and_samples_of_the_last_state(stopped: Path) -> None:
    live = Live(stopped, stopped / "tb", Sampler(6, w=2.0, steps=5))
    assert live.update() == 2
    text = live.page.read_text()
    assert 'content="5.0"' in text and "train_student/digits-dash-w8-s42" in text
    assert "running: iteration 4 of 12, 1 min 30 s left" in text
    assert "loss 0.25" in text and "ρ 0.9" in text and text.count("<polyline") == 2
    picture = stopped / "tb" / "train_student" / "digits-dash-w8-s42.png"
    assert f'src="train_student/{picture.name}?4"' in text
    network = next(stopped.glob("**/runs/0a1b/network.safetensors"))
    images = load(network).sample(6, w=2.0, steps=5, output="array")
    sheet = np.asarray(contact_sheet([("iteration 4", images)]))
    assert (np.asarray(Image.open(picture)) == sheet).all()
    before = picture.stat().st_mtime_ns
    assert live.update() == 0 and picture.stat().st_mtime_ns == before
    # it ends: the state goes, and the result is there
    result = stopped / "results" / "train_student" / "digits-dash-w8-s42"
    result.mkdir(parents=True)
    network.rename(result / "model.safetensors")
    shutil.rmtree(network.parent)
    report = report_path(stopped, "train_student", "digits-dash-w8-s42")
    append_report(report, "", {"state": "done"})
    live.update()
    assert picture.stat().st_mtime_ns > before
    assert "done: 12 iterations<" in live.page.read_text()


def test_a_training_begun_again_is_one_curve(stopped: Path) -> None:
    """With other settings: the state of the old ones may lie there for good."""
    report = report_path(stopped, "train_student", "digits-dash-w8-s42")
    for step, loss in ((8, 0.1), (2, 0.7), (4, 0.6)):
        append_report(report, "", {"step": step, "iterations": 12, "loss": loss})
    (old,) = stopped.glob("**/runs/0a1b")
    new = old.with_name("0000")
    shutil.copytree(old, new)
    os.utime(new / "network.safetensors")
    live = Live(stopped, stopped / "tb", Sampler(1, steps=5))
    live.update()
    (training,) = live.trainings.values()
    assert training.curves["loss"] == [(2, 0.7), (4, 0.6)]
    assert live._networks() == {training.name: new / "network.safetensors"}
    picture = stopped / "tb" / training.picture
    before = picture.stat().st_mtime_ns
    live.update()
    assert picture.stat().st_mtime_ns == before


def test_what_a_crash_cut_short_is_passed_over(stopped: Path) -> None:
    report = report_path(stopped, "train_student", "digits-dash-w8-s42")
    (state,) = stopped.glob("**/runs/0a1b")
    for path in (report, state / "legs.jsonl"):
        with open(path, "ab") as file:
            file.write(b'{"step": 5, "iter\n')
    live = Live(stopped, stopped / "tb", Sampler(1, steps=5))
    assert live.update() == 2 and next(iter(live.trainings.values())).sampled == 4


def test_steps_that_do_not_divide_are_told_on_the_page(stopped: Path) -> None:
    live = Live(stopped, stopped / "tb", Sampler(2, steps=7))
    live.update()
    assert "No samples: " in live.page.read_text()
    assert not list((stopped / "tb").rglob("*.png"))


def test_names_are_text_on_the_page(tmp_path: Path) -> None:
    report = report_path(tmp_path, "train_student", "<b>&x")
    append_report(report, "", {"step": 1, "iterations": 2, "<i>": 1.0})
    live = Live(tmp_path, tmp_path / "tb")
    live.update()
    text = live.page.read_text()
    assert "&lt;b&gt;&amp;x" in text and "<b>" not in text and "<i>" not in text
