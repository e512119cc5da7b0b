"""Each local job gets a GPU of its own: real processes, real locks, no GPU needed."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from places import python_path

from dash_repro import devices

ROOT = Path(__file__).resolve().parents[2]
HOLD = """
import sys
from pathlib import Path
from dash_repro.devices import claim_gpu
print(claim_gpu(["nvidia%d" % i for i in range(int(sys.argv[1]))], Path(sys.argv[2])))
sys.stdout.flush()
sys.stdin.read()
"""


class Machine:
    """Processes that claim GPUs of a machine that has some."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.processes = folder, []

    def start(self, gpus: int = 2, **variables: str) -> tuple[str, subprocess.Popen]:
        environment = {k: v for k, v in os.environ.items() if k != devices.VISIBLE}
        environment |= {"PYTHONPATH": python_path(ROOT), **variables}
        process = subprocess.Popen(
            [sys.executable, "-c", HOLD, str(gpus), str(self.folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        self.processes.append(process)
        return process.stdout.readline().strip(), process


@pytest.fixture
def machine(tmp_path):
    found = Machine(tmp_path)
    yield found
    for process in found.processes:
        process.stdin.close()
        process.wait()


def test_jobs_side_by_side_get_different_gpus_and_a_killed_ones_is_free(machine):
    claimed = dict(machine.start(4) for _ in range(4))
    assert sorted(claimed) == ["0", "1", "2", "3"]
    claimed["2"].send_signal(signal.SIGKILL)
    claimed["2"].wait()
    assert machine.start(4)[0] == "2"


def test_more_jobs_than_gpus_share_them_evenly(machine):
    claimed = [machine.start(2)[0] for _ in range(5)]
    assert sorted(claimed) == ["0", "0", "0", "1", "1"]


def test_only_those_that_a_person_named_are_claimed(machine):
    named = {devices.VISIBLE: "1,3"}
    assert [machine.start(4, **named)[0] for _ in range(3)] == ["1", "3", "1"]


@pytest.mark.parametrize("given", ["3", "", "MIG-0f"])
def test_the_one_that_a_scheduler_gave_is_kept(machine, given):
    assert machine.start(4, **{devices.VISIBLE: given})[0] == "None"
    assert list(machine.folder.iterdir()) == []


def test_one_gpu_needs_no_claim(machine):
    assert machine.start(1)[0] == "None"


def test_a_process_asks_once(monkeypatch, tmp_path):
    """Its second question finds the one GPU that it has left itself."""
    monkeypatch.setenv(devices.VISIBLE, "0,1")
    monkeypatch.setattr(devices, "_held", [])
    assert devices.claim_gpu([], tmp_path) == "0"
    assert devices.claim_gpu([], tmp_path) is None
    assert os.environ[devices.VISIBLE] == "0"
