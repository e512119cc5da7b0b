"""The packages of jobs under conda are those of the locked environment."""

import re
import shlex
import sys
import tomllib
from pathlib import Path
from types import SimpleNamespace

import yaml
from snakemake.settings.types import DeploymentMethod, DeploymentSettings

from runledger.smk import Ledger

ROOT = Path(__file__).resolve().parents[2]
NOT_OF_JOBS = {
    *("snakemake", "snakemake-executor-plugin-slurm", "ruamel.yaml[oldlibyaml]"),
    *("snakemake-executor-plugin-cluster-generic", "rich", "click"),
    "snakemake-interface-logger-plugins",
}


def named(lines: list[str]) -> dict[str, str]:
    """{package: version limits} of requirements."""
    wanted = [line.partition("#")[0].strip() for line in lines]
    pattern = r"([\w.\[\]-]+)(.*)"
    return dict(re.fullmatch(pattern, text).groups() for text in wanted if text)


def test_conda_environment_has_what_jobs_need_and_no_more() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    here = named(project["dependencies"])
    file = yaml.safe_load((ROOT / "workflow/envs/dash-repro.yaml").read_text())
    (pip,) = [entry["pip"] for entry in file["dependencies"] if isinstance(entry, dict)]
    expected = {name: text for name, text in here.items() if name not in NOT_OF_JOBS}
    assert named(pip) == expected
    assert here.keys() >= NOT_OF_JOBS


def test_jobs_run_the_python_of_their_conda_environment() -> None:
    """The head's own interpreter by its path would pass the environment by."""
    workflow = SimpleNamespace(deployment_settings=DeploymentSettings())
    assert Ledger.python(workflow) == shlex.quote(sys.executable)
    settings = DeploymentSettings(deployment_method={DeploymentMethod.CONDA})
    assert Ledger.python(SimpleNamespace(deployment_settings=settings)) == "python"
