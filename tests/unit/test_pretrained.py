"""Using a trained network: the library, the command, and what it exports."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

import dash_repro
from dash_repro.cli import main
from dash_repro.diffusion.ddim import constant_guidance, ddim_sample
from dash_repro.diffusion.noise import image_noise
from dash_repro.diffusion.schedule import Schedule
from dash_repro.exporting import export_model
from dash_repro.models.checkpoint import CheckpointError, save_checkpoint
from dash_repro.models.tensorfile import load_tensors, save_tensors
from dash_repro.models.unet import UNetConfig, build_unet
from dash_repro.pretrained import UsageError
from runledger.records import Record, Records

CONFIG = UNetConfig(8, 1, 3, (1, 2), 4, 0.1, 4, 1e-6, 8)
DIFFUSION = {
    "timesteps": 20,
    "schedule": "cosine",
    "cosine_s": 0.008,
    "beta_min": 1e-4,
    "beta_max": 0.9999,
}
NAMES = ("cat", "dog", "zebra fish")


def write(path, names=NAMES, seed=3, config=CONFIG):
    """A checkpoint whose output layer is not zero, as after training."""
    model = build_unet(config, seed)
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(seed)
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    state = model.state_dict()
    path.parent.mkdir(parents=True, exist_ok=True)
    save_checkpoint(path, state, config, DIFFUSION, "student", 7, None, names)
    return model.eval()


@pytest.fixture
def path(tmp_path):
    write(tmp_path / "model.safetensors")
    return tmp_path / "model.safetensors"


def run(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def test_three_lines_give_images(path):
    student = dash_repro.load(path)
    images = student.sample(5, classes=["dog", "cat"], w=2.0, steps=5, seed=1)
    assert [image.size for image in images] == [(8, 8)] * 5
    array = student.sample(5, classes=[1, 0], w=2.0, steps=5, seed=1, output="array")
    assert all(np.array_equal(a, b) for a, b in zip(images, array, strict=True))


@pytest.mark.slow
def test_grey_networks_give_grey_images(tmp_path):
    path = tmp_path / "model.safetensors"
    write(path, config=replace(CONFIG, channels=1))
    images = dash_repro.load(path).sample(3, w=2.0, steps=5)
    assert [(image.mode, image.size) for image in images] == [("L", (8, 8))] * 3
    assert "8 x 8 grey, 3 classes" in run("info", path).output
    assert export_model(path, tmp_path / "exported")
    settings = json.loads((tmp_path / "exported" / "settings.json").read_text())
    assert settings["shape"] == [1, 8, 8]


def test_images_are_those_of_the_sampler(tmp_path):
    model = write(tmp_path / "model.safetensors")
    schedule = Schedule.from_params(DIFFUSION)
    noise = image_noise(4, range(6), (3, 8, 8))
    labels = torch.tensor([2, 0, 2, 0, 2, 0])
    expected = ddim_sample(
        *(model, schedule, noise, labels, 3, 10, constant_guidance(3.0)),
        use_clipped_model_output=True,
    )
    levels = ((expected + 1) * 127.5).round().clamp(0, 255).permute(0, 2, 3, 1)
    student = dash_repro.load(tmp_path / "model.safetensors")
    options = {"w": 3.0, "steps": 10, "seed": 4, "output": "array"}
    found = student.sample(6, ["zebra fish", "cat"], **options)
    assert np.abs(found.astype(int) - levels.numpy()).max() <= 1
    # an image depends on its index, not on how many are drawn, or how many together
    fewer = student.sample(4, ["zebra fish", "cat"], batch_size=3, **options)
    assert np.abs(fewer.astype(int) - found[:4].astype(int)).max() <= 1


def test_guidance_and_classes_matter(path):
    student = dash_repro.load(path)
    one = student.sample(2, ["cat"], steps=5, output="array")
    assert not np.array_equal(one, student.sample(2, ["dog"], steps=5, output="array"))
    other = student.sample(2, ["cat"], w=1.0, steps=5, output="array")
    assert not np.array_equal(one, other)
    tag = student.sample(2, ["cat"], guidance="tag", steps=5, output="array")
    assert not np.array_equal(one, tag)


def test_all_classes_in_turn_unless_told(path):
    student = dash_repro.load(path)
    assert student.labels_of(None, 5) == [0, 1, 2, 0, 1]
    assert student.labels_of(["2", "cat"], 3) == [2, 0, 2]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"classes": ["dgo"]}, "did you mean 'dog'"),
        ({"classes": [3]}, "no class 3"),
        ({"classes": "cat"}, "not a list of classes"),
        ({"classes": []}, "not a list of classes"),
        ({"n": 0}, "n=0"),
        ({"guidance": "cfg"}, "guidance='cfg'"),
        ({"output": "tensor"}, "output='tensor'"),
    ],
)
def test_what_cannot_be_drawn_is_said(path, arguments, message):
    with pytest.raises(UsageError, match=message):
        dash_repro.load(path).sample(**{"n": 1, "steps": 5, **arguments})


def test_a_missing_file_is_said_to_be_missing(tmp_path):
    with pytest.raises(CheckpointError, match="does not exist") as error:
        dash_repro.load(tmp_path / "nothing.safetensors")
    assert "check the path" in error.value.remedy


def test_checkpoints_without_class_names_are_still_read(path):
    tensors, metadata = load_tensors(path)
    del metadata["class_names"]
    save_tensors(path, tensors, metadata)
    student = dash_repro.load(path)
    assert student.class_names == ("0", "1", "2")
    assert len(student.sample(2, ["1"], steps=5)) == 2
    assert "not stored in this file" in run("info", path).output


def test_importing_the_package_does_not_import_torch():
    source = Path(dash_repro.__file__).parents[1]
    code = "import sys, dash_repro, dash_repro.cli; sys.exit('torch' in sys.modules)"
    environment = {"PYTHONPATH": str(source)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, check=False)
    assert done.returncode == 0


def test_command_writes_a_picture_of_every_grid(path, tmp_path):
    write(tmp_path / "teacher" / "model.safetensors", seed=5)
    picture = tmp_path / "grid.png"
    options = ["-n", 4, "--classes", "cat, dog", "-w", 2, "--steps", "10,5"]
    other = ["--compare", tmp_path / "teacher" / "model.safetensors", "--scale", 2]
    done = run("sample", path, *options, *other, "-o", picture)
    assert done.exit_code == 0, done.output
    assert "4 x 4 images" in done.output
    with Image.open(picture) as image:
        assert image.width >= 4 * (2 * 16 + 2) and image.height >= 2 * 16 + 2
        pixels = np.asarray(image)
    # the first image of the first grid stands below its title, enlarged twice
    first = dash_repro.load(path).sample(
        4, ["cat", "dog"], w=2, steps=10, output="array"
    )[0]
    shown = pixels[24 : 24 + 16 : 2, 8 : 8 + 16 : 2]
    assert np.abs(shown.astype(int) - first.astype(int)).max() <= 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["sample", "{path}", "--classes", "dgo"], "did you mean 'dog'"),
        (["sample", "{path}", "--steps", "5,x"], "not a list of whole numbers"),
        (["sample", "{path}", "--steps", "7"], "do not divide"),
        (["info", "nowhere.safetensors"], "does not exist"),
    ],
)
def test_command_says_what_is_wrong_without_a_traceback(path, arguments, message):
    done = run(*(str(word).format(path=path) for word in arguments))
    assert done.exit_code == 1 and message in done.output
    assert "Traceback" not in done.output


def test_mistyped_commands_are_recognised():
    assert "Did you mean 'sample'" in run("sampel").output


def test_info_finds_record_params_and_metrics(tmp_path):
    path = tmp_path / "results/train_student/d-dash-w8-s1/model.safetensors"
    write(path)
    from runledger.store import md5_file

    md5 = md5_file(path)

    def record(stage, id, inputs, outputs, params=None):
        recipe = {"stage": stage, "id": id, "item": {}, "params": params or {}}
        run_ = {"commit": "abc", "device": "CPU X", "end": "2026-01-01T00:00:00"}
        made = Record(f"{stage}@{id}", "k" + stage, recipe, inputs, {}, outputs, run_)
        folder = tmp_path / "results/records" / stage / id
        folder.mkdir(parents=True)
        made.seal = made.content_seal()
        text = made.unsealed().replace('"seal": ""', f'"seal": "{made.seal}"')
        (folder / f"{made.key}.json").write_text(text)

    model = str(path.relative_to(tmp_path))
    weights = {model: {"md5": md5, "size": 1}}
    params = {"students.dash": {"lambda_an": 0.1}}
    record("train_student", "d-dash-w8-s1", {}, weights, params)
    samples = {"s.npz": {"md5": "5" * 32, "size": 1}}
    record("generate_samples", "d-dash-w8-s1-cfg", {model: md5}, samples)
    text = json.dumps({"frechet": {"value": 12.5, "name": "FID"}, "n": 100})
    numbers = {"m.json": {"md5": "6" * 32, "size": 1, "inline": text}}
    record("compute_metrics", "d-dash-w8-s1-cfg", {"s.npz": "5" * 32}, numbers)
    record("compute_metrics", "another", {"s.npz": "7" * 32}, numbers)

    assert next(Records(tmp_path).all())
    done = run("info", path)
    for part in ("train_student@d-dash-w8-s1", "students.dash.lambda_an: 0.1"):
        assert part in done.output
    assert "frechet.value 12.5" in done.output and "another" not in done.output
    assert "zebra fish" in done.output and "commit abc" in done.output
    found = json.loads(run("info", path, "--json").output)
    assert found["metrics"][0]["frechet"]["value"] == 12.5
    assert found["parameters"] == sum(
        p.numel() for p in build_unet(CONFIG, 3).parameters()
    )


@pytest.mark.slow
def test_export_gives_the_same_noise_and_images_with_torch_alone(tmp_path):
    model = write(tmp_path / "model.safetensors")
    files = export_model(tmp_path / "model.safetensors", tmp_path / "out")
    assert {file.name for file in files} == {
        "network.pt2",
        "settings.json",
        "sample.py",
        "README.md",
    }
    x, t, y = torch.randn(6, 3, 8, 8), torch.arange(6), torch.tensor([0, 1, 2, 3, 3, 0])
    noise = torch.randn(3, 3, 8, 8)
    torch.save((x, t, y, noise), tmp_path / "inputs.pt")
    code = (
        "import sys, torch; sys.path.insert(0, 'out'); import sample\n"
        "x, t, y, noise = torch.load('inputs.pt')\n"
        "network, settings = sample.load()\n"
        "labels = torch.tensor([0, 1, 2])\n"
        "images = sample.sample(network, settings, noise, labels, 2.0, 5)\n"
        "torch.save((network(x, t, y), images), 'outputs.pt')\n"
        "assert not any('dash_repro' in name for name in sys.modules)\n"
    )
    subprocess.run(
        [
            sys.executable,
            "-I",
            "-c",
            code.replace("'out'", repr(str(tmp_path / "out"))),
        ],
        cwd=tmp_path,
        check=True,
    )
    eps, images = torch.load(tmp_path / "outputs.pt")
    with torch.no_grad():
        assert torch.allclose(eps, model(x, t, y), atol=1e-5)
    expected = ddim_sample(
        model,
        Schedule.from_params(DIFFUSION),
        noise,
        torch.tensor([0, 1, 2]),
        3,
        5,
        constant_guidance(2.0),
        use_clipped_model_output=True,
    )
    assert torch.allclose(images, expected, atol=1e-4)
    card = (tmp_path / "out" / "README.md").read_text()
    assert "label 3 is the null token" in card and "zebra fish" in card
