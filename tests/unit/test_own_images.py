"""`dash-repro init`: what it sees in a folder, what it chooses, what it writes."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from dash_repro.cli import main
from dash_repro.data.dataset import DatasetError
from dash_repro.data.sources.folder import read_folder
from dash_repro.models.flops import count_flops
from dash_repro.models.unet import UNetConfig, build_unet
from dash_repro.own import settings, speed
from dash_repro.own.choice import SIZES, Choice, Machine, Task, choose, levels
from dash_repro.own.images import link, look_at
from dash_repro.own.start import _name_of, seconds_of
from dash_repro.params import load_params
from runledger.errors import UserError

ROOT = Path(__file__).resolve().parents[2]
PAPER = load_params(ROOT / "params.yaml")


def draw(folder: Path, count: int, mode: str = "RGB", size=(9, 7)) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(count):
        shade = {"L": index, "RGB": (index, 0, 0)}[mode]
        Image.new(mode, size, shade).save(folder / f"{index:03}.png")


def test_class_folders_are_divided_and_linked(tmp_path: Path) -> None:
    photos = tmp_path / "my photos"
    draw(photos / "cat", 25)
    draw(photos / "dog" / "inner", 3, "L")
    (photos / "dog" / "notes.txt").write_text("x")
    seen = look_at(photos)
    assert (seen.count("train"), seen.count("test")) == (23 + 2, 2 + 1)
    assert seen.channels == 3 and not seen.split
    assert (seen.sizes, seen.modes) == ({(9, 7): 28}, {"RGB": 25, "L": 3})
    assert seen.left_out == {"files ending in .txt": 1}
    told = "\n".join(seen.summary())
    assert "2, of 2 to 23 training images" in told and "one image in 10" in told
    link(seen, tmp_path / "linked")
    block = {"path": str(tmp_path / "linked"), "image_size": 8}
    block |= {"max_train": None, "max_test": None}
    data = read_folder(block, {})
    assert data.class_names.tolist() == ["cat", "dog"]
    assert np.bincount(data.train_labels).tolist() == [23, 2]
    assert np.bincount(data.test_labels).tolist() == [2, 1]
    shades = {int(s) for s in data.train_images[data.train_labels == 0][:, 0, 0, 0]}
    assert shades == set(range(25)) - {9, 19}, "no test image is trained on"


def test_a_folder_with_both_splits_is_taken_as_it_is(tmp_path: Path) -> None:
    for split, count in (("train", 4), ("test", 2)):
        for name in ("a", "b"):
            draw(tmp_path / split / name, count, "L")
    seen = look_at(tmp_path)
    assert seen.split and seen.channels == 1
    assert (seen.count("train"), seen.count("test")) == (8, 4)


def test_what_cannot_be_trained_on_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no such folder"):
        look_at(tmp_path / "nowhere")
    draw(tmp_path / "one" / "cat", 3)
    with pytest.raises(DatasetError, match="one class, 'cat'"):
        look_at(tmp_path / "one")
    draw(tmp_path / "one" / "dog", 1)
    with pytest.raises(DatasetError, match="'dog' has one image"):
        look_at(tmp_path / "one")
    (tmp_path / "one" / "dog" / "b.png").write_text("no picture")
    with pytest.raises(DatasetError, match=r"not an image(.|\n)*b\.png"):
        look_at(tmp_path / "one")


def machine(flops: float, gpu: bool = False, cores: int = 2) -> Machine:
    return Machine(gpu, cores, 5.0, lambda role, width: flops)


def chosen(budget: float, on: Machine, size: int = 32) -> Choice:
    def network(one):
        return {**PAPER["network"], **settings.network(one, size)}

    return choose(network, Task((size, 3), 5000, "effnetlite0", on, budget))


@pytest.mark.parametrize("budget", [300, 7200, 86_400])
def test_the_choice_fits_the_budget_and_uses_it(budget: float) -> None:
    found = chosen(budget, machine(30e9))
    assert 0.85 * budget < sum(found.seconds.values()) <= budget
    assert found.student_iterations == pytest.approx(0.6 * found.iterations, rel=0.01)
    more = chosen(2 * budget, machine(30e9))
    assert more.iterations * more.size.teacher > found.iterations * found.size.teacher


def test_faster_machines_get_wider_networks() -> None:
    widths = [chosen(7200, machine(speed)).size.teacher for speed in (1e10, 1e13, 1e15)]
    assert widths == sorted(widths) and widths[0] == 16 and widths[-1] == 128
    assert chosen(9e6, machine(1e15, gpu=True)).iterations == 390_000, "as the paper"


def test_no_larger_network_is_measured_once_one_sees_too_little() -> None:
    asked = []

    def rate(role: str, size: object) -> float:
        asked.append(size)
        return 1e9

    slow = Machine(False, 2, 5.0, rate)
    assert chosen(7200, slow).size == SIZES[0]
    assert set(asked) == {SIZES[0]}


def test_students_share_cores_but_not_a_gpu() -> None:
    alone = chosen(7200, machine(30e9, cores=1))
    assert chosen(7200, machine(30e9, cores=2)).iterations > alone.iterations


def test_a_budget_that_is_too_short_says_how_long_it_must_be() -> None:
    with pytest.raises(UserError, match=r"too short(.|\n)*at least (\d+)m") as caught:
        chosen(60, machine(30e9))
    least = int(str(caught.value).rpartition("at least ")[2].partition("m")[0])
    assert chosen(60 * least, machine(30e9)).iterations >= 100


def test_resolutions_follow_the_size() -> None:
    assert levels(32) == ([1, 2, 2, 2], 16), "the paper's"
    assert levels(8) == ([1, 2], 4)
    assert levels(28) == ([1, 2, 2], 14)
    assert levels(64) == ([1, 2, 2, 2], 16)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("side", [8, 12, 28, 32, 64])
@pytest.mark.parametrize("gpu", [False, True])
def test_the_file_is_short_and_valid(tmp_path: Path, size, side, gpu) -> None:
    choice = Choice(size, 250, 150, 60, {})
    data = {"source": "folder", "path": "data/x", "image_size": side, "channels": 1}
    name = "inception" if gpu else "effnetlite0"
    found = settings.overlay("pets", data, choice, name, gpu, 20, PAPER)
    text = settings.text(found, ["one", "two"], str(ROOT / "params.yaml"))
    assert len(text.splitlines()) <= 60
    (tmp_path / "own.yaml").write_text(text)
    params = load_params(tmp_path / "own.yaml")
    assert params["scale"] == "own" and list(params["prepare_data"]) == ["pets"]
    assert params["train_teacher"]["width"] == size.teacher
    assert params["train_student"]["iterations"] == 150
    assert params["compute_metrics"]["kid_subset_size"] == 20
    assert params["extractor"]["name"] == name
    assert bool(params["extractor"]["weights_url"]) == gpu


def test_the_paper_itself_is_no_choice() -> None:
    """Only what differs from the base is written."""
    choice = Choice(SIZES[-1], 391_000, 234_000, 50_000, {})
    data = PAPER["prepare_data"]["cifar10"]
    found = settings.overlay("cifar10", data, choice, "inception", True, 10_000, PAPER)
    own = {"generate_samples", "train_student"}
    assert found.keys() <= {"scale", "prepare_data", "experiments"} | own
    assert found.get("train_student", {}).keys() <= {"monitor_every"}
    assert found["generate_samples"] == {"use_clipped_model_output": True}


def test_the_rate_is_work_over_time(monkeypatch) -> None:
    """Against the operations that torch counts, and a step of a known length."""
    seconds = 0.02

    def slow(source, teacher, launch):
        def advance(learners, step):
            time.sleep(seconds)
            return {}

        return advance

    monkeypatch.setattr(speed, "make_steps", slow)
    monkeypatch.setattr(speed, "SECONDS", 0.2)
    data = {"source": "folder", "path": "", "image_size": 16, "channels": 1}
    network = {**PAPER["network"], **settings.network(SIZES[0], 16)}
    section = {
        **PAPER["train_teacher"],
        **settings.training(PAPER["train_teacher"], 9, 0),
    }
    params = {**PAPER, "prepare_data": {"x": data}, "network": network}
    params["train_teacher"] = section | {"blocks": 1}
    cpu = torch.device("cpu")
    rate = speed.training_rate(params, "train_teacher", 16, cpu)
    model = build_unet(UNetConfig.from_params(network, 16, 1, 10, 16, 1), seed=0)
    assert rate == pytest.approx(3 * 16 * count_flops(model) / seconds, rel=0.15)


@pytest.mark.parametrize(
    ("text", "seconds"), [("30m", 1800), ("2h", 7200), ("1h30m", 5400), ("90s", 90)]
)
def test_times_are_read(text: str, seconds: float) -> None:
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["", "2", "h", "2 hours", "-1h"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="--budget"):
        seconds_of(text)


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("my pets", "my_pets"),
        ("Cats&Dogs", "cats_dogs"),
        ("2024", "images_2024"),
        ("no", "images_no"),
        ("Ä", "images"),
    ],
)
def test_a_dataset_is_named_for_the_folder(folder: str, name: str) -> None:
    assert _name_of(folder) == name


def test_nothing_is_overwritten(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(ROOT)
    (tmp_path / "pets.params.yaml").write_text("mine")
    arguments = ["init", str(tmp_path / "pets"), "--images", str(tmp_path)]
    found = CliRunner().invoke(main, arguments)
    assert found.exit_code == 1 and "this exists already" in found.output
    assert (tmp_path / "pets.params.yaml").read_text() == "mine"
    monkeypatch.chdir(tmp_path)
    assert "no checkout" in CliRunner().invoke(main, arguments).output
