"""Tables through `--profile slurm` on a real Slurm, against those of a local run."""

from __future__ import annotations

from datetime import datetime
from itertools import pairwise

import pytest
from cluster_workspace import finished_workspace, records, small_params, workspace
from slurm_daemons import Slurm

pytestmark = [pytest.mark.cluster, pytest.mark.slow]
GPU_RULES = (
    *("train_teacher", "train_student", "train_classifier", "distill_steps"),
    "generate_samples",
    *(
        "extract_reference",
        "compute_metrics",
        "measure_calibration",
        "profile_model",
        "rank_pairs",
    ),
)


@pytest.fixture(scope="module")
def finished(slurm: Slurm, tmp_path_factory: pytest.TempPathFactory):
    """The tables, made by a local run and by a run through the profile."""
    folder = tmp_path_factory.mktemp("tables")
    cluster = workspace(folder / "cluster", small_params())
    process = cluster.start("tables")
    code = process.wait(timeout=900)
    assert code == 0, cluster.read("head.log")[-6000:]
    local = finished_workspace(tmp_path_factory, folder / "local")
    local.snakemake("tables", "--cores", "1")
    return local, cluster


def rule_of(job: dict[str, str]) -> str:
    return job.get("Comment", "").removeprefix("rule_")


def test_bytes_equal_those_of_a_local_run(finished) -> None:
    local, cluster = finished
    stages = ["train_teacher", "export_tirt", "train_student", "generate_samples"]
    stages += ["compute_metrics", "measure_calibration"]
    expected = local.bytes_of(*stages)
    assert len(expected) > 25
    assert cluster.bytes_of(*stages) == expected
    tables, same = local.bytes_of("make_table"), cluster.bytes_of("make_table")
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


def test_nothing_is_left_to_do_and_logs_are_kept(finished, slurm: Slurm) -> None:
    _, cluster = finished
    count = len(slurm.jobs())
    assert "Nothing to be done" in cluster.head("tables")
    assert len(slurm.jobs()) == count > 10
    name = "digits-dash-w4-s42"
    found = cluster.run("python", "-m", "runledger", "logs", f"train_student/{name}")
    assert f"results/logs/train_student/{name}.log" in found
    assert "results/logs/slurm/rule_train_student/" in found
    assert "trained 4 iterations" in found
