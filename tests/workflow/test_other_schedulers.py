"""The profile for Grid Engine and its like, with a qsub that starts its script."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest
from paper_workspace import BIN, TINY, Workspace, make

pytestmark = [pytest.mark.slow]
QSUB = """\
#!/bin/sh
# Notes the request, refuses a missing log folder, starts the script, prints an id.
echo "$@" >> "{log}"
[ -d results/logs/sge ] || {{ echo "no folder for -o" >&2; exit 1; }}
for script in "$@"; do :; done
sh "$script" > /dev/null 2>&1 &
echo $$
"""


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return make(tmp_path_factory.mktemp("sge") / "workspace", TINY)


def snakemake(space: Workspace, shims: Path, *arguments: str) -> str:
    path = f"PATH={shims}:{BIN}:{os.environ['PATH']}"
    env = ("env", "VERBOSE=1", path)
    profile = ("--profile", "workflow/profiles/sge", "--latency-wait", "5")
    # by the link to the environment: the checkout's path may have a space
    program = (str(BIN / "python"), "-m", "snakemake")
    return space.run(*env, *program, *arguments, *profile)


def test_dry_run_asks_a_gpu_for_gpu_jobs_only(space: Workspace, tmp_path: Path) -> None:
    out = snakemake(space, tmp_path, "-n", "tables")
    asked: dict[str, set[str]] = {}
    for job in out.split("\nrule ")[1:]:
        rule = re.sub(r"_\d+of\d+$", "", job.partition(":")[0])
        rule = "train_student" if rule.startswith("train_student") else rule
        (line,) = [ln for ln in job.splitlines() if ln.startswith("    resources:")]
        gpu = line.partition("gpu=")[2].partition(",")[0]
        asked.setdefault(rule, set()).add(gpu)
    assert asked["train_teacher"] == asked["train_student"] == {"1"}
    assert asked["generate_samples"] == asked["compute_metrics"] == {"1"}
    assert asked["export_tirt"] == asked["make_table"] == {"0"}


def test_lsf_gives_a_gpu_and_a_warning_to_gpu_jobs_only(space: Workspace) -> None:
    profile = ("--profile", "workflow/profiles/lsf")
    out = space.run("env", "VERBOSE=1", "snakemake", "-n", "tables", *profile)
    extra: dict[str, set[bool]] = {}
    for job in out.split("\nrule ")[1:]:
        rule = re.sub(r"_\d+of\d+$", "", job.partition(":")[0])
        (line,) = [ln for ln in job.splitlines() if ln.startswith("    resources:")]
        given = "lsf_extra=-gpu num=1 -wa USR1 -wt 3" in line
        assert ("gpu=1" in line) == given and "lsf_queue=normal" in line
        extra.setdefault(rule, set()).add(given)
    assert extra["train_teacher"] == extra["generate_samples"] == {True}
    assert extra["export_tirt"] == extra["make_table"] == {False}


def test_jobs_go_through_the_submit_command(space: Workspace, tmp_path: Path) -> None:
    requests = tmp_path / "requests"
    qsub = tmp_path / "qsub"
    qsub.write_text(QSUB.format(log=requests))
    qsub.chmod(0o755)
    snakemake(space, tmp_path, "table1")
    table = json.loads((space.root / "results/tables/table1.json").read_text())
    assert table["cells"]
    lines = requests.read_text().splitlines()
    assert len(lines) == 2, "collect_results and make_table; code fingerprints stay"
    assert all("-l gpu=0" in line and "s_rt=10:00" in line for line in lines)
