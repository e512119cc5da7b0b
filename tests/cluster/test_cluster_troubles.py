"""What can go wrong, or wants to be cut up, in a run through `--profile slurm`."""

from __future__ import annotations

import json
import shutil

import pytest
import yaml
from bare_machine import NEEDED
from cluster_workspace import ClusterWorkspace, finished_workspace, records
from once import copied
from shared import tiny_run
from slurm_daemons import Slurm

pytestmark = [pytest.mark.cluster, pytest.mark.slow]


@pytest.fixture(scope="module")
def finished(slurm: Slurm, tmp_path_factory: pytest.TempPathFactory):
    """Two workspaces in which the networks and their metrics have been made."""
    folder = tmp_path_factory.mktemp("troubles")
    return [
        finished_workspace(tmp_path_factory, folder / name)
        for name in ("local", "cluster")
    ]


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


def test_shards_give_the_same_bytes(finished, slurm: Slurm) -> None:
    local, cluster = finished
    count = len(slurm.jobs())
    for space in finished:
        params = yaml.safe_load((space.root / "params.yaml").read_text())
        params["experiments"]["tableC7"]["guidance_scales"] = [3.0]
        text = yaml.safe_dump(params, sort_keys=False)
        (space.root / "params.yaml").write_text(text)
    name = "results/generate_samples/digits-dash-w4-s42-cfg3.0-k4-n0/samples.npz"
    local.snakemake(name, "--cores", "1")
    cluster.head(name, shards=2)
    assert len(slurm.jobs()) == count + 3, "two shares and the join"
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


def test_without_latex_a_whole_run_lacks_only_the_pdf(
    slurm: Slurm, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """On a login node that has nothing but what is needed, and Slurm's commands."""
    folder = tmp_path_factory.mktemp("without_latex")
    whole = ClusterWorkspace(copied(tiny_run(tmp_path_factory), folder / "whole"))
    whole.programs = folder / "programs"
    whole.programs.mkdir()
    of_slurm = ("sbatch", "squeue", "scancel", "scontrol", "sinfo", "srun", "sacct")
    for name in (*NEEDED, *of_slurm):
        (whole.programs / name).symlink_to(shutil.which(name))
    whole.edit_params("make_table.gap_decimals", 4)
    out = whole.head()
    assert out.count("apt-get install latexmk") == 2, "at the start and at the end"
    assert "left out: results/paper/main.pdf. LaTeX is not installed" in out
    assert whole.stale() == {"build_paper"}
    assert "LaTeX is not installed, so there is no PDF" in whole.head("paper", ok=False)
