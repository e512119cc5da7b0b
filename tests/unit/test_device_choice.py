"""A process that was given a GPU never computes on the CPU without a word."""

import pytest
import torch

from dash_repro import runtime
from runledger.errors import UserError

NAMES = ("CUDA_VISIBLE_DEVICES", "SLURM_JOB_GPUS", "SLURM_STEP_GPUS", "DASH_DEVICE")


@pytest.fixture(autouse=True)
def bare(monkeypatch, tmp_path):
    """A machine without a GPU, its driver's files or variables; torch for CUDA."""
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(runtime, "DEVICE_FILES", tmp_path)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.version, "cuda", "13.0")

    def init():
        raise RuntimeError("The NVIDIA driver on your system is too old\nmore")

    monkeypatch.setattr(torch.cuda, "init", init)


def test_without_one_it_is_the_cpu():
    assert runtime.choose_device().type == "cpu"


def test_a_gpu_that_can_be_used_is_used(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert runtime.choose_device().type == "cuda"
    monkeypatch.setenv("DASH_DEVICE", "cpu")
    assert runtime.choose_device().type == "cpu"


@pytest.mark.parametrize("name", NAMES)
def test_a_gpu_that_was_given_and_cannot_be_used_is_refused(name, monkeypatch):
    monkeypatch.setenv(name, "cuda" if name == "DASH_DEVICE" else "3")
    with pytest.raises(UserError) as refused:
        runtime.choose_device()
    text = str(refused.value)
    assert name in text and "driver on your system is too old" in text
    assert "more" not in refused.value.what
    if name != "DASH_DEVICE":
        monkeypatch.setenv("DASH_DEVICE", "cpu")
        assert runtime.choose_device().type == "cpu"


def test_a_machine_with_a_gpu_and_an_old_driver_is_refused(tmp_path, monkeypatch):
    (tmp_path / "nvidia0").touch()
    (tmp_path / "nvidiactl").touch()
    with pytest.raises(UserError, match="nvidia0"):
        runtime.choose_device()
    monkeypatch.setattr(torch.version, "cuda", None)
    assert runtime.choose_device().type == "cpu"


@pytest.mark.parametrize("value", ["", "-1", "NoDevFiles"])
def test_hidden_gpus_are_not_missed(value, tmp_path, monkeypatch):
    (tmp_path / "nvidia0").touch()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", value)
    assert runtime.choose_device().type == "cpu"


def test_an_unknown_device_is_refused(monkeypatch):
    monkeypatch.setenv("DASH_DEVICE", "tpu")
    with pytest.raises(UserError, match="auto, cuda or cpu"):
        runtime.choose_device()
