"""`snakemake --profile slurm` on a real Slurm, through what clusters really do."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import time
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import pytest
import yaml
from cluster_workspace import ClusterWorkspace, small_params, workspace
from slurm_daemons import Slurm, wait_for

pytestmark = [pytest.mark.cluster, pytest.mark.slow]
GPU_RULES = (
    *("train_teacher", "train_student", "generate_samples", "extract_reference"),
    *("compute_metrics", "measure_calibration", "profile_model", "rank_pairs"),
)
ITERATIONS = 400
NAMES = ("digits-min_snr-s42", "digits-tirt-s42")


def rule_of(job: dict[str, str]) -> str:
    return job.get("Comment", "").removeprefix("rule_")


def records(root: Path, stage: str) -> dict[str, dict]:
    """{instance: newest record} of a stage."""
    folder = root / "results/records" / stage
    found = {}
    for path in sorted(folder.rglob("*.json"), key=lambda p: p.stat().st_mtime):
        found[path.parent.name] = json.loads(path.read_text())
    return found


def test_bytes_equal_those_of_a_local_run(finished) -> None:
    local, cluster = finished
    stages = ["train_teacher", "export_tirt", "train_student", "generate_samples"]
    stages += ["compute_metrics", "measure_calibration"]
    expected = local.bytes_of(*stages)
    assert len(expected) > 25
    assert cluster.bytes_of(*stages) == expected
    tables, same = local.bytes_of("tables"), cluster.bytes_of("tables")
    # hours and FLOP rates are measured: Table A1 and the efficiency table may differ
    timed = {n for n in tables if "tableA1" in n or "tableS1" in n}
    assert {n: b for n, b in tables.items() if n not in timed} == {
        n: b for n, b in same.items() if n not in timed
    }
    assert timed <= same.keys()


def test_gpu_jobs_had_one_gpu_each_and_the_others_none(finished, slurm: Slurm) -> None:
    jobs = [job for job in slurm.jobs().values() if rule_of(job)]
    of_gpu = [job for job in jobs if rule_of(job).startswith(GPU_RULES)]
    others = [job for job in jobs if job not in of_gpu]
    assert len(of_gpu) >= 8
    assert len(others) >= 4, "exports and tables are jobs, too"
    assert {job.get("TresPerJob") for job in of_gpu} == {"gres:gpu:1"}
    assert {job.get("TresPerJob") for job in others} == {None}
    assert {job["JobState"] for job in jobs} == {"COMPLETED"}


def test_no_two_jobs_shared_a_gpu(finished) -> None:
    _, cluster = finished
    spans: dict[str, list[tuple[datetime, datetime, str]]] = {"0": [], "1": []}
    for stage in ("train_teacher", "train_student"):
        for name, record in records(cluster.root, stage).items():
            (leg,) = record["run"]["legs"]
            assert leg["job_id"].isdigit()
            assert leg["outcome"] == "done"
            start, end = map(datetime.fromisoformat, (leg["start"], leg["end"]))
            spans[leg["gpu"]].append((start, end, name))
    assert sum(map(len, spans.values())) == 5
    for taken in spans.values():
        taken.sort()
        for (_, end, one), (start, _, other) in pairwise(taken):
            assert end <= start, f"{one} and {other} had the same GPU at once"


def test_nothing_is_left_to_do_and_logs_are_kept(finished) -> None:
    _, cluster = finished
    out = cluster.head("tables")
    assert "Nothing to be done" in out
    name = "digits-dash-w4-s42"
    found = cluster.run("python", "-m", "runledger", "logs", f"train_student/{name}")
    assert f"results/logs/train_student/{name}.log" in found
    assert "results/logs/slurm/rule_train_student/" in found
    assert "trained 4 iterations" in found


def preflight(space: ClusterWorkspace) -> str:
    return space.run("python", "-m", "dash_repro.preflight", check=False)


@pytest.fixture
def site_files(finished):
    """The cluster workspace, whose site's files may be edited."""
    _, cluster = finished
    texts = {path: path.read_text() for path in (cluster.root / "slurm").glob("*.yaml")}
    yield cluster
    for path, text in texts.items():
        path.write_text(text)


def test_preflight_names_what_would_fail(site_files: ClusterWorkspace) -> None:
    cluster = site_files
    assert "FAIL  status         accounting off" in preflight(cluster)
    assert cluster.code == 1
    cluster.edit(
        "slurm/config.v9+.yaml", "status-command: sacct", "status-command: squeue"
    )
    out = preflight(cluster)
    assert cluster.code == 0, out
    assert "limit 60 min" in out
    assert "partition (default): gpu:2" in out
    cluster.edit("slurm/site.yaml", 'gpu_model: ""', "gpu_model: h100")
    assert "no h100 in partition (default); there are gpu:2" in preflight(cluster)
    cluster.edit("slurm/site.yaml", 'partition: ""', "partition: gpus")
    out = preflight(cluster)
    assert cluster.code == 1
    assert "partition gpus does not exist; there are main, urgent" in out


def test_shards_give_the_same_bytes(finished) -> None:
    local, cluster = finished
    for space in finished:
        params = yaml.safe_load((space.root / "params.yaml").read_text())
        params["experiments"]["tableC7"]["guidance_scales"] = [3.0]
        text = yaml.safe_dump(params, sort_keys=False)
        (space.root / "params.yaml").write_text(text)
    name = "results/generate_samples/digits-dash-w4-s42-cfg3.0-k4-n0/samples.npz"
    local.snakemake(name, "--cores", "1")
    out = cluster.head(name, shards=2)
    assert out.count("has been submitted") == 3, "two shares and the join"
    assert (cluster.root / name).read_bytes() == (local.root / name).read_bytes()
    record = records(cluster.root, "generate_samples")[
        "digits-dash-w4-s42-cfg3.0-k4-n0"
    ]
    parts = [leg.get("part", "") for leg in record["run"]["legs"]]
    assert sorted(parts) == ["", "0/2", "1/2"]


def test_one_failing_student_stops_nobody_else(finished) -> None:
    """NaN in one student: its cells say so, on request; the others go on."""
    _, cluster = finished
    cluster.edit_params("students.no_un.lambda_im", 1.0e38)
    cluster.edit_params("students.scratch.lambda_an", 0.5)
    out = cluster.head("tables", ok=False)
    assert "train_student@digits-no_un-w4-s42" in out
    stale = cluster.stale()
    assert "train_student@digits-scratch-w4-s42" not in stale, "it went on"
    # what shares a bundle with the failed one's results runs at the next call
    cluster.head("tables", ok=False)
    stale = cluster.stale()
    assert "make_table-table3" not in stale, "needs no failed student"
    assert "make_table-table4" in stale, "never made silently without it"
    cluster.head("incomplete_tables")
    table = json.loads((cluster.root / "results/incomplete/table4.json").read_text())
    assert table["incomplete"]
    assert table["caption"].startswith("INCOMPLETE")
    failed = [c for c in table["cells"].values() if c["displayed"] == "failed"]
    assert failed
    assert all("train_student@digits-no_un-w4-s42 failed" in c["note"] for c in failed)
    other = json.loads((cluster.root / "results/incomplete/table3.json").read_text())
    assert not other["incomplete"]


def test_refused_submission_is_a_clear_error(finished) -> None:
    _, cluster = finished
    cluster.edit_params("students.dash.lambda_an", 0.3)
    target = "results/train_student/digits-dash-w4-s42/model.safetensors"
    out = cluster.head(target, ok=False, partition="nowhere")
    assert "invalid partition" in out
    assert "train_student@digits-dash-w4-s42" in cluster.stale()


@pytest.fixture
def held_sbatch(finished, tmp_path: Path):
    """An sbatch that says it was called, and goes on when it may: (called, go)."""
    _, cluster = finished
    called, go, sbatch = (tmp_path / name for name in ("called", "go", "sbatch"))
    wait = f'while [ ! -e "{go}" ]; do sleep 0.2; done'
    real = shutil.which("sbatch")
    sbatch.write_text(f'#!/bin/sh\ntouch "{called}"\n{wait}\nexec {real} "$@"\n')
    sbatch.chmod(0o755)
    cluster.shims = tmp_path
    yield called, go
    go.touch()  # or a failed test leaves it waiting, and its head with the lock
    cluster.shims = None


def test_controller_away_while_planning_and_submitting(
    finished, slurm: Slurm, held_sbatch
) -> None:
    _, cluster = finished
    called, go = held_sbatch
    cluster.edit_params("students.dash.lambda_an", 0.4)
    target = "results/train_student/digits-dash-w4-s42/model.safetensors"
    head = cluster.start(target)
    wait_for(called.exists, 60, "a job is submitted")
    slurm.kill("slurmctld")
    go.touch()
    assert head.wait(180) != 0
    assert "sbatch failed" in cluster.read("head.log")
    assert "Unable to contact slurm controller" in cluster.read("head.log")
    assert "train_student@digits-dash-w4-s42" in cluster.stale()
    # the same command, even before the controller is back
    head = cluster.start(target)
    again = "does not answer; asking again"
    wait_for(lambda: again in cluster.read("head.log"), 60, "the queue is asked")
    slurm.start_slurmctld()
    assert head.wait(240) == 0, cluster.read("head.log")[-4000:]
    assert "train_student@digits-dash-w4-s42" not in cluster.stale()


def test_full_queue_is_waited_for(finished, slurm: Slurm) -> None:
    _, cluster = finished
    cluster.edit_params("students.dash.lambda_an", 0.5)
    target = "results/train_student/digits-dash-w4-s42/model.safetensors"
    full = "job_allocate: MaxJobCount limit"
    assert full not in (slurm.folder / "slurmctld.log").read_text()
    # ended jobs count until they are forgotten; the head must look more often than that
    slurm.restart_slurmctld(MaxJobCount=2, MinJobAge=45)
    try:
        cluster.head(target)
    finally:
        slurm.restart_slurmctld()
    assert full in (slurm.folder / "slurmctld.log").read_text()
    assert "train_student@digits-dash-w4-s42" not in cluster.stale()


class Long:
    """Two teachers in training, slowed down as long as the test wants."""

    def __init__(self, space: ClusterWorkspace, slurm: Slurm) -> None:
        self.space, self.slurm = space, slurm
        self.heads: list[subprocess.Popen] = []
        (space.root / "slow").touch()

    def head(self, **site: object) -> subprocess.Popen:
        """Start a head that is killed when the test ends."""
        self.heads.append(self.space.start("teachers", **site))
        return self.heads[-1]

    def log(self, name: str = NAMES[1]) -> str:
        return self.space.read(f"results/logs/train_teacher/{name}.log")

    def step(self, name: str) -> int:
        lines = self.space.read(
            f"results/.state/progress/train_teacher/{name}.jsonl"
        ).splitlines()
        return json.loads(lines[-1])["step"] if lines else 0

    def wait_progress(self, what: str, *names: str) -> None:
        """Wait until trainings have gone on by a few iterations."""
        before = {name: self.step(name) for name in names or NAMES}
        for name, step in before.items():
            wait_for(
                lambda name=name, step=step: self.step(name) > step + 3,
                180,
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
        wait_for(pending, 60, f"job {job} is back in the queue")
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
    wait_for(lambda: "waits for job" in space.read("head.log"), 120, "jobs are awaited")
    # 3. the controller is away for a while
    slurm.kill("slurmctld")
    long.wait_progress("without a controller")
    slurm.start_slurmctld()
    wait_for(lambda: slurm.jobs(), 60, "the controller is back")
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
    wait_for(lambda: "ended without" in space.read("head.log"), 90, "the head notices")
    (space.root / "slow").unlink()
    assert head.wait(240) != 0
    (space.root / "slow").touch()
    head = long.head(max_minutes=2)
    limited = "interrupted (time limit)"
    wait_for(lambda: limited in long.log(NAMES[0]), 240, "the time limit is met")
    (space.root / "slow").unlink()
    long.start_now(NAMES[0])
    assert head.wait(240) == 0, space.read("head.log")[-4000:]


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
    assert limited == ["stopped", "killed", "stopped", "time limit", "done"]
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
