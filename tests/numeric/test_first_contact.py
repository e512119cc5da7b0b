"""`make gpu` rehearsed: the same script at tiny sizes on a CPU."""

import csv
import dataclasses
import errno
import json
import shutil
import subprocess
import sys
import tarfile
from argparse import Namespace
from importlib.metadata import packages_distributions
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from places import python_path

from bench import contact, gates, needs, parts, short_run
from bench.measure import NotHere, Row, Variant, time_steps
from bench.presets import PRESETS
from bench.work import Work
from dash_repro import launch
from dash_repro.diffusion import ddim
from dash_repro.params import load_params
from dash_repro.training import learner
from runledger.errors import UserError

ROOT = Path(__file__).resolve().parents[2]
CPU = torch.device("cpu")
PRESET = PRESETS["rehearsal"]


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    """A first contact takes all of the processor; other tests must not notice."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RUNLEDGER_THREADS", "1")
        yield


@pytest.fixture(scope="module")
def images(tmp_path_factory) -> Path:
    """Class folders of 3 classes, 12 pictures each in train and test."""
    root = tmp_path_factory.mktemp("classes")
    rng = np.random.default_rng(0)
    for split in ("train", "test"):
        for label in range(3):
            folder = root / split / f"class{label}"
            folder.mkdir(parents=True)
            for index in range(12):
                pixels = rng.integers(0, 150, (8, 8, 3)) + 50 * label
                Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{index}.png")
    return root


@pytest.fixture(scope="module")
def work() -> Work:
    return Work(PRESET, load_params(ROOT / PRESET.params), CPU)


def run(output: Path, *options: str) -> int:
    return contact.main(["--output", str(output), "--rehearse", *options])


def contact_of(output: Path, **options) -> contact.Contact:
    """Of a rehearsal without images."""
    given = {"data": None, "minutes": 1.0, "rehearse": True}
    given |= {"launches": None, "training": None}
    return contact.Contact(Namespace(output=output, **given | options))


@pytest.fixture(scope="module")
def finished(images, tmp_path_factory) -> Path:
    """The output of a whole rehearsal, done in pieces of a few seconds each."""
    output = tmp_path_factory.mktemp("out") / "contact"
    before = sorted((ROOT / "bench").rglob("*.md"))
    for _ in range(60):
        assert run(output, "--data", str(images), "--minutes", "0.05") == 0
        if json.loads((output / "report" / "status.json").read_text())["finished"]:
            assert sorted((ROOT / "bench").rglob("*.md")) == before
            return output
    raise AssertionError("never finished")


@pytest.mark.slow
def test_everything_is_measured_in_pieces(finished):
    status = json.loads((finished / "report" / "status.json").read_text())
    assert (status["failed"], status["left"]) == ({}, [])
    done = {path.stem for path in finished.glob("*/parts/*.json")}
    assert len(done) > 10
    outcomes = [json.loads(p.read_text()) for p in finished.glob("*/parts/*.json")]
    assert {outcome["status"] for outcome in outcomes} == {"done"}
    assert not list(finished.glob("*/parts/*.tries"))
    before = {path: path.stat().st_mtime_ns for path in finished.glob("*/parts/*")}
    assert run(finished, "--minutes", "0") == 0
    after = {path: path.stat().st_mtime_ns for path in finished.glob("*/parts/*")}
    assert after == before


@pytest.mark.slow
def test_every_row_names_the_device_and_every_gate_is_there(finished):
    rows = list(csv.DictReader((finished / "report" / "results.csv").open()))
    device = json.loads((finished / "report" / "status.json").read_text())["device"]
    assert {row["device"] for row in rows} == {device}
    found = [row["name"] for row in rows if row["section"] == "gate"]
    for kind in ("eps", "gradient", "update of 20 steps", "samples", "packed", "resum"):
        assert any(kind in name for name in found), kind
    assert {row["note"] for row in rows if row["section"] == "gate"} == {"passed"}
    sections = {row["section"] for row in rows}
    assert {"Teacher step", f"DASH step, student width {PRESET.widths[0]}"} <= sections


@pytest.mark.slow
def test_the_short_run_ends_in_pictures_and_intervals(finished):
    page = (finished / "report" / "report.md").read_text()
    for name in ("teacher", "dash", "scratch"):
        line = next(
            x for x in page.splitlines() if x.startswith(f"| samples of {name}")
        )
        assert "fd_effnetlite0" in line and "kid_effnetlite0" in line and " to " in line
    picture = Image.open(finished / "report" / "samples.png")
    assert picture.width > 3 * picture.height / 2
    trained = list(finished.glob("*/run/**/model.safetensors"))
    assert len(trained) == 3


def test_it_says_where_there_is_no_gpu(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("DASH_DEVICE", "cpu")
    params = load_params(ROOT / "config" / "demo.params.yaml")
    monkeypatch.setattr(contact, "load_params", lambda _: params)
    assert contact.main(["--output", str(tmp_path)]) == 2
    assert "no GPU is seen" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_bare_machine_gets_the_list_of_what_is_missing(tmp_path):
    """Not a traceback; and the list has all that a first contact imports."""
    source = f"{python_path(ROOT)}:{ROOT}"
    run = subprocess.run(
        [sys.executable, "-S", "-m", "bench.needs"],  # without site-packages
        env={"PYTHONPATH": source},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 2
    said = run.stderr.splitlines()
    assert said[0].startswith("no distances without: scipy ")
    lacking = said[1].partition("packages: ")[2].split()
    assert lacking == list(needs.NEEDED.values())
    assert needs.main() == 0
    code = "import sys, bench.contact; print(*{m.split('.')[0] for m in sys.modules})"
    run = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": source},
        capture_output=True,
        text=True,
        check=True,
    )
    # "_" and what comes with torch and pydantic
    theirs = {"cuda", "torchgen", "typing_extensions", "pydot"}
    theirs |= {"pydantic_core", "annotated_types", "typing_inspection"}
    installed = {name for name in packages_distributions() if name[0] != "_"}
    found = set(run.stdout.split()) & installed - theirs
    assert found <= {name.partition(".")[0] for name in needs.NEEDED} | {
        "bench",
        "dash_repro",
        "runledger",
    }
    assert {"torch", "pydantic"} <= found


def test_a_full_disk_is_said_and_nothing_is_lost(tmp_path, monkeypatch, capsys):
    def full(path, text):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(parts, "write_atomic", full)
    assert run(tmp_path) == 2
    assert "the disk is full" in capsys.readouterr().err
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(contact.shutil, "disk_usage", lambda _: usage)
    assert run(tmp_path) == 2
    assert "0.0 GB are free" in capsys.readouterr().err


def test_compile_is_left_out_without_a_compiler(tmp_path, monkeypatch):
    preset = dataclasses.replace(PRESET, launches=("eager", "compile"))
    monkeypatch.setitem(PRESETS, "rehearsal", preset)
    monkeypatch.setattr(launch.shutil, "which", lambda _: None)
    found = contact_of(tmp_path)
    assert found.work.preset.launches == ("eager",)
    found.write()
    assert "no C compiler" in (tmp_path / "report" / "report.md").read_text()


def test_parts_can_be_chosen(tmp_path, monkeypatch):
    """By their names, by launch; and how long the training is."""
    assert run(tmp_path, "--only", "machine", "timing: state") == 0
    done = {path.stem for path in tmp_path.glob("*/parts/*.json")}
    assert done == {"machine", "timing-state"}
    three = dataclasses.replace(PRESET, launches=launch.LAUNCHES)
    monkeypatch.setitem(PRESETS, "rehearsal", three)
    monkeypatch.setattr(contact, "compiler_missing", lambda: None)

    def parts_of(launches):
        made = contact_of(tmp_path, launches=launches, training=7.0)
        assert made.run.seconds == 7.0
        return [part.name for part in made.all_parts()]

    every = parts_of(None)
    assert len(set(every)) == len(every)
    at = every.index
    # gates before timings; what is quick and what is wanted before the rest
    assert at("gates: packed, graph") < at("timing: step, graph") < at("run: teacher")
    assert at("run: picture") < at("timing: step, compile")
    assert at("gates: resumed, compile") < at("timing: step, plain")
    for one in launch.LAUNCHES:
        others = [name for name in launch.LAUNCHES if name != one]
        mine = [n for n in every if not n.endswith(tuple(f", {k}" for k in others))]
        kept = parts_of([one])
        assert set(kept) == set(mine)


class _Parts:
    """Parts that do what a list of callables says."""

    def __init__(self, folder, *actions, seconds=60.0):
        self.said = []
        self.all = parts.Parts(folder, seconds, self.said.append)
        self.parts = [parts.Part(f"p{i}", 1, do) for i, do in enumerate(actions)]

    def run(self):
        complete = self.all.run(self.parts, lambda: None)
        found = [self.all.found(part.name) for part in self.parts]
        return complete, [one and one.status for one in found], found


def test_a_part_that_fails_does_not_stop_the_others(tmp_path):
    def small():
        raise torch.OutOfMemoryError("CUDA out of memory. Tried 9 GiB\nmore")

    def absent():
        raise NotHere("no such thing here")

    def broken():
        return 1 / 0

    done = parts.Outcome
    complete, statuses, found = _Parts(tmp_path, small, absent, broken, done).run()
    assert complete and statuses == ["failed", "left out", "failed", "done"]
    assert "memory is too small: CUDA out of memory. Tried 9 GiB" in found[0].note
    assert found[1].note == "no such thing here"
    assert "ZeroDivisionError" in found[2].note and "broken" in found[2].note


def test_a_piece_ends_in_time_and_the_next_goes_on(tmp_path):
    calls = []

    def once():
        calls.append("once")
        return parts.Outcome()

    def training():
        calls.append("training")
        if calls.count("training") < 2:
            raise parts.OutOfTime
        return parts.Outcome()

    first = _Parts(tmp_path, once, once, training, seconds=0.0)
    assert first.run()[:2] == (False, ["done", None, None])
    again = _Parts(tmp_path, once, once, training)
    assert again.run()[:2] == (False, ["done", "done", None])
    assert _Parts(tmp_path, once, once, training).run()[:2] == (True, ["done"] * 3)
    assert calls == ["once", "once", "training", "training"]


def test_a_part_that_killed_its_piece_twice_is_given_up(tmp_path):
    def killed():
        raise KeyboardInterrupt

    for _ in range(parts.TRIES):
        with pytest.raises(KeyboardInterrupt):
            _Parts(tmp_path, killed).run()
    complete, statuses, found = _Parts(tmp_path, killed).run()
    assert complete and statuses == ["failed"]
    assert "begun 2 times" in found[0].note


def named(found, start):
    return next(gate for gate in found if gate.name.startswith(start))


def _stronger(monkeypatch):
    right = ddim.guided_eps
    wrong = lambda cond, uncond, w: right(cond, uncond, w * 1.01)  # noqa: E731
    monkeypatch.setattr(ddim, "guided_eps", wrong)


def _late(monkeypatch):
    def launched(network, launch):
        return lambda x, t, y: network(x, t + 1, y)

    monkeypatch.setattr(gates, "launched", launched)


@pytest.mark.slow
@pytest.mark.parametrize("fault", [_stronger, _late])
def test_gates_of_samples_find_faults_and_pass_right_code(work, monkeypatch, fault):
    """Whatever the noise; in half precision a fault as large as its rounding hides."""
    right = gates.image_noise
    for seed in range(3):
        noise = lambda _, *rest, s=seed: right(s, *rest)  # noqa: E731
        monkeypatch.setattr(gates, "image_noise", noise)
        work._known.clear()
        for numerics in ("fp32", "fp16"):
            assert all(one.passed for one in gates._sampling(work, "eager", numerics))
        with monkeypatch.context() as patch:
            fault(patch)
            found = list(gates._sampling(work, "eager", "fp32"))
            assert not any(gate.passed for gate in found)
            if fault is _late:
                found = list(gates._sampling(work, "eager", "fp16"))
                assert not any(gate.passed for gate in found)


def test_references_are_computed_once_for_all_pieces(tmp_path):
    made = []

    def make():
        made.append(1)
        return torch.arange(3.0)

    for preset in (PRESET, PRESET, dataclasses.replace(PRESET, batch=5)):
        fresh = Work(preset, load_params(ROOT / PRESET.params), CPU)
        fresh.truths = tmp_path / "truth"
        for _ in range(2):
            assert torch.equal(fresh.truth("x of y", make), torch.arange(3.0))
    assert len(made) == 2


def test_gates_find_a_wrong_learning_rate(work, monkeypatch):
    monkeypatch.setattr(gates, "STEPS", 5)
    assert all(gate.passed for gate in gates._steps(work, "eager", "fp32"))
    right = learner.learning_rate
    wrong = lambda settings, step, initial: 1.02 * right(settings, step, initial)  # noqa: E731
    monkeypatch.setattr(learner, "learning_rate", wrong)
    assert not any(gate.passed for gate in gates._steps(work, "eager", "fp32"))


@pytest.mark.long
def test_gates_find_noise_that_repeats_and_a_state_that_lacks_something(
    work, monkeypatch
):
    monkeypatch.setattr(gates, "STEPS", 5)
    work._known.clear()
    assert gates.repeated_noise(work, "eager") == 0
    assert gates.resumed(work, "eager") == 0.0
    with monkeypatch.context() as patch:
        # what a recorded step would do if its generator were not registered
        patch.setattr(
            gates.OurTraining,
            "step",
            lambda self: self.steps(self.learners, 3) and None,
        )
        assert gates.repeated_noise(work, "eager") > 0
    state = learner.Learner.state

    def forgetful(self):
        tensors, metadata = state(self)
        tensors["optimizer.0.exp_avg"] = torch.zeros_like(
            tensors["optimizer.0.exp_avg"]
        )
        return tensors, metadata

    monkeypatch.setattr(learner.Learner, "state", forgetful)
    assert gates.resumed(work, "eager") > 1e-7


@pytest.mark.slow
def test_two_variants_live_at_a_time(work):
    """Not all of them: sixteen students in graphs are many gigabytes each time."""
    alive, most = [], []

    class Thing:
        def __init__(self):
            alive.append(1)
            most.append(len(alive))

        def step(self):
            """Nothing."""

        def __del__(self):
            alive.pop()

    def small():
        raise torch.OutOfMemoryError("CUDA out of memory")

    makes = [lambda: Thing().step] * 4 + [small, lambda: Thing().step]
    variants = [Variant(Row("s", f"v{i}"), make) for i, make in enumerate(makes)]
    rows = time_steps(variants, 1, 2, 3, CPU)
    assert max(most) == 2
    assert [len(row.values) for row in rows] == [10, 2, 2, 2, 0, 2]
    assert "does not fit: CUDA out of memory" in rows[4].note


def test_a_row_says_how_much_memory_its_variant_took(monkeypatch):
    """Beyond what the one that it takes turns with holds: packs are chosen by it."""
    used = SimpleNamespace(now=7 * 2**30, peak=9 * 2**30)
    cuda = {
        "synchronize": lambda device: None,
        "empty_cache": lambda: None,
        "reset_peak_memory_stats": lambda device: setattr(used, "peak", used.now),
        "memory_reserved": lambda device: used.now,
        "max_memory_reserved": lambda device: used.peak,
    }
    for name, value in cuda.items():
        monkeypatch.setattr(torch.cuda, name, value)

    def make():
        used.peak = used.now + 3 * 2**29
        used.now += 2**30
        return lambda: None

    variants = [Variant(Row("s", f"v{i}"), make) for i in range(2)]
    rows = time_steps(variants, 1, 1, 1, torch.device("cuda"))
    assert [row.note.split(", ")[1] for row in rows] == ["1.5 GiB", "1.5 GiB"]


def test_the_interval_covers_the_mean_of_normal_numbers():
    """A jackknife of the mean is its t interval: about 95 % of them hold the truth."""
    rng, hit = np.random.default_rng(1), 0
    for _ in range(200):
        value, low, high = short_run.jackknife(np.mean, rng.normal(3.0, 1.0, 100))
        assert low <= value <= high
        hit += low <= 3.0 <= high
    assert 180 <= hit <= 199


def test_images_come_from_a_folder_or_an_archive(work, images, tmp_path):
    archive = shutil.make_archive(str(tmp_path / "images"), "xztar", images)
    for data in (images, Path(archive)):
        folder = tmp_path / f"from {data.name}"
        clock = parts.Parts(folder / "parts", 60.0, print)
        run = short_run.ShortRun(work, clock, folder / "run", data, 1.0)
        assert run._images().values == {"train": 36, "test": 36, "classes": 3}


def test_an_archive_that_leads_elsewhere_is_refused(work, images, tmp_path):
    data = tmp_path / "images.tar"
    with tarfile.open(data, "w") as archive:
        archive.add(images, "train")
        archive.add(next(images.rglob("*.png")), "../outside.png")
    folder = tmp_path / "run"
    clock = parts.Parts(folder / "parts", 60.0, print)
    run = short_run.ShortRun(work, clock, folder / "run", data, 1.0)
    with pytest.raises(UserError, match=r"outside\.png leads out"):
        run._images()
    assert not list(tmp_path.rglob("outside.png"))
