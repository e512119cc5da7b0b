"""Trainings through all that a cluster does to them end in the same bytes."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

import pytest
import warm
from cluster_workspace import ClusterWorkspace, records, small_params, workspace
from slurm_daemons import Slurm, wait_for

pytestmark = [pytest.mark.cluster, pytest.mark.slow]
ITERATIONS = 400
NAMES = ("digits-min_snr-s42", "digits-tirt-s42")


class Long:
    """Two teachers in training, slowed down as long as the test wants."""

    def __init__(self, space: ClusterWorkspace, slurm: Slurm) -> None:
        self.space, self.slurm = space, slurm
        self.heads: list[warm.Program] = []
        (space.root / "slow").touch()

    def head(self, **site: object) -> warm.Program:
        """Start a head that is killed when the test ends."""
        self.heads.append(self.space.start("teachers", **site))
        return self.heads[-1]

    def log(self, name: str = NAMES[1]) -> str:
        return self.space.read(f"results/logs/train_teacher/{name}.log")

    def step(self, name: str) -> int:
        lines = self.space.read(
            f"results/.state/progress/train_teacher/{name}.jsonl"
        ).splitlines()
        return json.loads(lines[-1]).get("step", 0) if lines else 0

    def wait_progress(self, what: str, *names: str) -> None:
        """Wait until trainings have gone on by a few iterations."""
        before = {name: self.step(name) for name in names or NAMES}
        for name, step in before.items():
            wait_for(
                lambda name=name, step=step: self.step(name) > step + 3,
                600,
                f"{name} goes on {what}; head:\n{self.space.read('head.log')[-3000:]}",
            )

    def job_of(self, name: str) -> str:
        """The newest Slurm job of a training."""
        teacher = name.split("-")[1]
        comment = f"rule_train_teacher_wildcards_digits_{teacher}_42"
        jobs = self.slurm.jobs()
        return max((i for i, j in jobs.items() if j.get("Comment") == comment), key=int)

    def start_now(self, name: str) -> None:
        """Spare the test the two minutes that Slurm holds requeued jobs back."""
        job = self.job_of(name)
        pending = lambda: self.slurm.jobs()[job]["JobState"] == "PENDING"  # noqa: E731
        wait_for(pending, 180, f"job {job} is back in the queue")
        time.sleep(6)  # slurmd refuses a job in the second in which it ended it
        self.slurm.ask("scontrol", "update", f"JobId={job}", "StartTime=now")


@pytest.fixture(scope="module")
def trained(slurm: Slurm, tmp_path_factory: pytest.TempPathFactory):
    """Teachers trained in many legs, and the same trained undisturbed."""
    folder = tmp_path_factory.mktemp("long")
    params = small_params(train_teacher__iterations=ITERATIONS)
    local = workspace(folder / "local", params)
    long = Long(workspace(folder / "cluster", params), slurm)
    try:
        _disturb(long, slurm)
    finally:
        for head in long.heads:
            head.kill()
        (long.space.root / "slow").unlink(missing_ok=True)
    local.snakemake("teachers", "--cores", "1")
    return local, long


def _disturb(long: Long, slurm: Slurm) -> None:
    space, head = long.space, long.head()
    long.wait_progress("at first")
    # 1. preempted by a job of a stronger partition that wants both GPUs
    urgent = ("sbatch", "-p", "urgent", "--gpus=2", "--mem=100", "-o", "/dev/null")
    slurm.ask(*urgent, "--wrap", "true")
    for name in NAMES:
        long.start_now(name)
    long.wait_progress("after preemption")
    # 2. the head dies; the next one waits for its jobs instead of submitting them
    head.send_signal(signal.SIGKILL)
    head.wait()
    count = len(slurm.jobs())
    head = long.head()
    wait_for(lambda: "waits for job" in space.read("head.log"), 300, "jobs are awaited")
    # 3. the controller is away for a while
    slurm.kill("slurmctld")
    long.wait_progress("without a controller")
    slurm.start_slurmctld()
    wait_for(lambda: slurm.jobs(), 180, "the controller is back")
    # 4. power cut on the node, in the middle of writing a state
    slurm.kill_node()
    _damage_newest_state(space.root)
    slurm.start_slurmd()
    for name in NAMES:
        long.start_now(name)
    long.wait_progress("after the node was down")
    assert len(slurm.jobs()) == count, "nothing was submitted again"
    # 5. cancelled by hand: this head says so, the others go on; then time limits
    slurm.ask("scancel", long.job_of(NAMES[0]))
    wait_for(lambda: "ended without" in space.read("head.log"), 300, "the head notices")
    (space.root / "slow").unlink()
    assert head.wait(900) != 0
    (space.root / "slow").touch()
    head = long.head(max_minutes=2)
    limited = "interrupted (time limit)"
    wait_for(lambda: limited in long.log(NAMES[0]), 600, "the time limit is met")
    (space.root / "slow").unlink()
    long.start_now(NAMES[0])
    assert head.wait(900) == 0, space.read("head.log")[-4000:]


def _damage_newest_state(root: Path) -> None:
    for folder in (root / "results/.state/runs").iterdir():
        states = sorted(folder.glob("state-*.safetensors"))
        assert len(states) == 2, "two generations are kept"
        states[-1].write_bytes(states[-1].read_bytes()[:1000])


def test_disturbed_training_ends_in_the_same_bytes(trained) -> None:
    local, long = trained
    expected = local.bytes_of("train_teacher", "export_tirt")
    assert len(expected) == 7
    assert long.space.bytes_of("train_teacher", "export_tirt") == expected


def test_record_tells_every_leg(trained) -> None:
    _, long = trained
    found = records(long.space.root, "train_teacher")
    limited = [leg["outcome"] for leg in found[NAMES[0]]["run"]["legs"]]
    assert limited[:4] == ["stopped", "killed", "stopped", "time limit"]
    assert set(limited[4:-1]) <= {"time limit"}  # again, where the machine is slow
    assert limited[-1] == "done"
    outcomes = [leg["outcome"] for leg in found[NAMES[1]]["run"]["legs"]]
    assert outcomes == ["stopped", "killed", "done"]
    jobs = [leg["job_id"] for leg in found[NAMES[0]]["run"]["legs"]]
    assert len(set(jobs)) == 2, "one job for three legs, another after scancel"


def test_damaged_state_falls_back_and_one_log_has_all_legs(trained) -> None:
    _, long = trained
    for name in NAMES:
        text = long.log(name)
        assert "passing over a damaged state" in text
        assert text.count("resuming after iteration") >= 2
        assert text.count("start train_teacher@") >= 3
