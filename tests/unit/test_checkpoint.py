"""Checkpoints: content, repeatable bytes, and errors for every kind of broken file."""

import json
import pickle

import pytest
import safetensors
import torch

from dash_repro.models.checkpoint import (
    CheckpointError,
    load_checkpoint,
    require_same_images,
    save_checkpoint,
)
from dash_repro.models.tensorfile import save_tensors
from dash_repro.models.unet import UNetConfig, build_unet

CONFIG = UNetConfig(8, 1, 3, (1, 2, 2, 2), 4, 0.1, 4, 1e-6, 8)
SCHEDULE = {"timesteps": 50, "schedule": "cosine", "cosine_s": 0.008}
LAMBDA = torch.linspace(-1.0, 1.0, 50)


@pytest.fixture
def saved(tmp_path):
    model = build_unet(CONFIG, 3)
    path = tmp_path / "model.safetensors"
    state = model.state_dict()
    save_checkpoint(path, state, CONFIG, SCHEDULE, "teacher", 17, LAMBDA)
    return model, path


def test_round_trip(saved):
    model, path = saved
    found = load_checkpoint(path)
    assert (found.config, found.schedule) == (CONFIG, SCHEDULE)
    assert (found.role, found.step) == ("teacher", 17)
    assert torch.equal(found.tirt_lambda, LAMBDA)
    assert not found.model.training
    assert not any(p.requires_grad for p in found.model.parameters())
    x, t = torch.randn(2, 3, 8, 8), torch.tensor([3, 4])
    with torch.no_grad():
        assert torch.equal(found.model(x, t, t - 3), model.eval()(x, t, t - 3))


def test_the_public_library_reads_it(saved):
    model, path = saved
    with safetensors.safe_open(path, "pt") as file:
        metadata = file.metadata()
        assert torch.equal(file.get_tensor("tirt.lambda"), LAMBDA)
        weight = file.get_tensor("ema.conv_in.weight")
    assert torch.equal(weight, model.conv_in.weight)
    assert metadata["format"] == "dash_repro/1"
    assert metadata["role"] == "teacher" and metadata["step"] == "17"
    assert json.loads(metadata["unet"])["width"] == 8
    assert json.loads(metadata["schedule"]) == SCHEDULE


def test_same_content_same_bytes(saved, tmp_path):
    model, path = saved
    reverse = dict(reversed(model.state_dict().items()))
    again = tmp_path / "again.safetensors"
    save_checkpoint(again, reverse, CONFIG, SCHEDULE, "teacher", 17, LAMBDA)
    assert again.read_bytes() == path.read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == [again.name, path.name]


def test_without_lambda(tmp_path):
    path = tmp_path / "m.safetensors"
    state = build_unet(CONFIG, 0).state_dict()
    save_checkpoint(path, state, CONFIG, SCHEDULE, "student", 0)
    assert load_checkpoint(path).tirt_lambda is None


@pytest.mark.parametrize("size", [0, 4, 100, -1, -4000])
def test_truncated(saved, size):
    _, path = saved
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(CheckpointError, match="not a whole safetensors") as caught:
        load_checkpoint(path)
    assert str(path) in str(caught.value)
    assert "run the same command again" in str(caught.value)


def test_one_flipped_bit(saved):
    _, path = saved
    data = bytearray(path.read_bytes())
    data[-1000] ^= 1
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match="digest"):
        load_checkpoint(path)


def test_missing(tmp_path):
    with pytest.raises(CheckpointError, match="does not exist"):
        load_checkpoint(tmp_path / "none.safetensors")


def test_foreign_files(tmp_path):
    path = tmp_path / "m.safetensors"
    save_tensors(path, {"weight": torch.zeros(3)}, {"made_by": "another"})
    with pytest.raises(CheckpointError, match="format 'none'"):
        load_checkpoint(path)
    save_tensors(path, {"weight": torch.zeros(3)}, {"format": "dash_repro/1"})
    with pytest.raises(CheckpointError, match="header is incomplete"):
        load_checkpoint(path)


def test_tensors_of_another_network(saved, tmp_path):
    model, path = saved
    state = model.state_dict()
    del state["conv_in.bias"]
    save_checkpoint(path, state, CONFIG, SCHEDULE, "teacher", 1)
    with pytest.raises(CheckpointError, match="not those of the network"):
        load_checkpoint(path)


def test_a_pickle_is_refused_and_not_run(tmp_path):
    path, trace = tmp_path / "m.safetensors", tmp_path / "trace"

    class Bomb:
        def __reduce__(self):
            return (open, (str(trace), "w"))

    path.write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(CheckpointError):
        load_checkpoint(path)
    torch.save(Bomb(), path)
    with pytest.raises(CheckpointError):
        load_checkpoint(path)
    assert not trace.exists()


def test_a_failed_write_leaves_the_old_file(saved, monkeypatch):
    model, path = saved
    before = path.read_bytes()

    def no_space(_):
        raise OSError("no space left on device")

    monkeypatch.setattr("os.fsync", no_space)
    with pytest.raises(OSError, match="no space"):
        save_checkpoint(path, model.state_dict(), CONFIG, SCHEDULE, "teacher", 99)
    assert path.read_bytes() == before


def test_a_network_is_for_its_own_images():
    require_same_images(CONFIG, (3, 8, 3), "x")
    for other in ((10, 8, 3), (3, 32, 3), (3, 8, 1)):
        with pytest.raises(
            CheckpointError, match=r"\(3, 8, 3\), the data have"
        ) as told:
            require_same_images(CONFIG, other, "model.safetensors")
        assert str(other) in told.value.what
        assert told.value.where == "model.safetensors"
