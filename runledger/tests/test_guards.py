"""Runs on a cluster that could not end well are refused before they start."""

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from runledger.errors import UserError
from runledger.guards import check_folder


def workflow(remote: bool) -> SimpleNamespace:
    settings = SimpleNamespace(non_local_exec=remote)
    return SimpleNamespace(executor_plugin=SimpleNamespace(common_settings=settings))


@pytest.mark.parametrize("name", ["/lab space/bin/python", "/lab/$x/bin/python"])
def test_a_python_that_jobs_would_not_find(monkeypatch, name: str) -> None:
    """Snakemake joins it with the words of a job's command as it is."""
    monkeypatch.setattr(sys, "executable", name)
    check_folder(Path("/lab"), workflow(remote=False))
    with pytest.raises(UserError, match="the path of Python") as caught:
        check_folder(Path("/lab"), workflow(remote=True))
    assert caught.value.where == name and "by a link" in caught.value.remedy


def test_a_folder_that_a_shell_would_change(monkeypatch) -> None:
    monkeypatch.setattr(sys, "executable", "/usr/bin/python3")
    check_folder(Path("/lab/of mine"), workflow(remote=True))
    with pytest.raises(UserError, match=r"the folder has \$"):
        check_folder(Path("/lab/$x"), workflow(remote=True))
