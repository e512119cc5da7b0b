"""The DVC side: dvc.lock from records, clones, remotes, merges."""

from __future__ import annotations

import re
import shutil

import pytest
import yaml
from test_records import NOTHING
from toy import Toy, make_toy


def clean(toy: Toy) -> bool:
    return "up to date" in toy.dvc("status")


def add_remote(toy: Toy) -> None:
    remote = toy.root.parent / "remote"
    toy.dvc("remote", "add", "--default", "shared", str(remote))
    toy.commit("remote")


def test_dvc_agrees_that_all_is_done(toy: Toy) -> None:
    assert clean(toy)
    trained = toy.trained()
    out = toy.dvc("repro")
    assert "Running stage" not in out
    assert toy.trained() == trained


def test_a_run_that_finds_nothing_to_do_brings_dvc_up_to_date(toy: Toy) -> None:
    """The head before it was killed between its last job and dvc.lock."""
    lock = toy.root / "dvc.lock"
    behind = lock.read_text().replace("size: 2", "size: 3")
    assert behind != lock.read_text()
    for ask in (["-n"], ["--summary"]):
        lock.write_text(behind)
        toy.snakemake(*ask)
        assert lock.read_text() == behind, "who only asks writes nothing"
    assert "Nothing to be done" in toy.snakemake()
    assert lock.read_text() != behind
    assert clean(toy)


def test_dvc_sees_the_stale_ones_only(toy: Toy) -> None:
    toy.edit("params.yaml", "a: {value: 1,", "a: {value: 7,")
    out = toy.dvc("status")
    assert "measure@a" in out
    assert "measure@b" not in out
    toy.snakemake()
    assert clean(toy)


def test_dvc_repro_alone_makes_the_same_bytes(toy: Toy, empty: Toy) -> None:
    empty.dvc("repro")
    name = "results/report/_/report.txt"
    assert empty.read(name) == toy.read(name)
    assert NOTHING in empty.snakemake("-n")
    mine = yaml.safe_load(toy.read("dvc.lock"))["stages"]
    assert yaml.safe_load(empty.read("dvc.lock"))["stages"] == mine


def test_lock_has_only_verified_bytes(toy: Toy) -> None:
    (toy.root / "results/measure/a/value.txt").write_text("11\n")
    out = toy.ledger("settle", check=False)
    assert toy.code == 1
    assert "not written, its bytes are not the record's: results/measure/a" in out
    lock = yaml.safe_load(toy.read("dvc.lock"))["stages"]["measure@a"]
    assert lock["outs"][0]["md5"] == "31d30eea8d0968d6458e0ad0027c9f80"  # of "10\n"


def test_clone_and_pull_have_nothing_to_do(toy: Toy) -> None:
    add_remote(toy)
    toy.ledger("push")
    other = toy.clone("clone")
    assert NOTHING in other.snakemake("-n"), "records are in git"
    assert "valid absent" in other.ledger("status")
    other.dvc("pull")
    assert NOTHING in other.snakemake("-n")
    assert clean(other)
    assert other.read("results/measure/a/value.txt") == "10\n"


def test_a_clone_without_records_is_told_where_they_come_from(toy: Toy) -> None:
    add_remote(toy)
    toy.ledger("push")
    other = toy.clone("clone")
    shutil.rmtree(other.root / "results/records")
    assert "records come with git" in other.ledger("pull")


def test_only_what_stale_jobs_need_is_fetched(toy: Toy) -> None:
    add_remote(toy)
    toy.ledger("push")
    other = toy.clone("clone")
    other.edit("params.yaml", "title: numbers", "title: fetched")
    other.snakemake()
    assert "a 20" in other.read("results/report/_/report.txt")
    assert not (other.root / "results/measure").exists(), "not needed by the report"
    assert {p.parent.name for p in (other.root / "results/double").rglob("*.txt")} == {
        "a",
        "b",
        "c",
    }
    assert other.trained() == []


def test_what_no_remote_has_is_made_anew_and_said(toy: Toy) -> None:
    add_remote(toy)
    toy.ledger("push")
    lock = yaml.safe_load(toy.read("dvc.lock"))["stages"]["double@a"]
    md5 = lock["outs"][0]["md5"]
    lost = toy.root.parent / "remote" / "files" / "md5" / md5[:2] / md5[2:]
    lost.chmod(0o644)
    lost.unlink()
    other = toy.clone("clone")
    other.edit("params.yaml", "title: numbers", "title: fetched")
    out = other.snakemake("-n")
    assert re.search(r"its bytes are neither here nor on .*: double@a$", out, re.M)
    other.snakemake()
    assert "a 20" in other.read("results/report/_/report.txt")
    assert other.trained() == [], "measure@a was fetched for double@a"
    assert "sent 1 objects" in other.ledger("push").replace("sent 2", "sent 1")
    assert lost.exists(), "the next push completes the remote"


def test_push_completes_a_remote_behind_dvcs_back(toy: Toy) -> None:
    add_remote(toy)
    toy.ledger("push")
    toy.dvc("push")
    for folder in (toy.root.parent / "remote" / "files" / "md5").iterdir():
        shutil.rmtree(folder)
    assert "sent 6 objects; the remote had 0" in toy.ledger("push")
    assert "sent 0 objects; the remote had 6" in toy.ledger("push")


def test_push_sends_old_records_too(toy: Toy) -> None:
    add_remote(toy)
    toy.edit("params.yaml", "a: {value: 1,", "a: {value: 7,")
    toy.snakemake()
    assert "sent 8 objects" in toy.ledger("push")
    toy.commit()
    other = toy.clone("clone")
    other.edit("params.yaml", "a: {value: 7,", "a: {value: 1,")
    assert other.stale() == set(), "the earlier records are in git"
    assert "fetched 2 objects" in other.ledger("pull", "double/a")
    assert other.read("results/double/a/value.txt") == "20\n"
    assert not (other.root / "results/double/b/value.txt").exists(), "partial pull"
    other.snakemake()
    assert other.trained() == []


@pytest.mark.parametrize("command", ["push", "pull"])
def test_missing_remote_is_one_clear_error(toy: Toy, command: str) -> None:
    if command == "pull":
        shutil.rmtree(toy.root / ".dvc" / "cache")
        shutil.rmtree(toy.root / "results" / "measure")
    out = toy.ledger(command, check=False)
    assert toy.code == 1
    assert "no usable DVC remote" in out
    assert "dvc remote add" in out
    assert "Traceback" not in out


def test_vanished_remote_is_one_clear_error(toy: Toy) -> None:
    toy.dvc("remote", "add", "--default", "shared", "ssh://127.0.0.1:1/nowhere")
    out = toy.ledger("push", check=False)
    assert toy.code == 1
    assert "cannot be used" in out
    assert "Traceback" not in out


def test_merge_is_settled_by_one_command(toy: Toy) -> None:
    toy.git("checkout", "-q", "-b", "left")
    toy.edit("params.yaml", "a: {value: 1,", "a: {value: 7,")
    toy.snakemake()
    toy.commit("left")
    toy.git("checkout", "-q", "main")
    toy.edit("params.yaml", "c: {value: 3,", "c: {value: 9,")
    toy.snakemake()
    toy.commit("right")
    toy.run("git", "merge", "-q", "left", "-m", "merge", check=False)
    assert "<<<<<<<" in toy.read("dvc.lock") + toy.read("results/report/_/report.txt")
    toy.git("checkout", "--ours", "results/report/_/report.txt")
    toy.ledger("settle", check=False)
    lock = yaml.safe_load(toy.read("dvc.lock"))["stages"]
    assert lock["measure@a"]["params"]["params.yaml"]["measure.a"]["value"] == 7
    assert lock["measure@c"]["params"]["params.yaml"]["measure.c"]["value"] == 9
    trained = len(toy.trained())
    toy.snakemake()
    assert len(toy.trained()) == trained, "both branches' trainings are kept"
    assert toy.read("results/report/_/report.txt") == "numbers\na 140\nb 80\nc 180\n"
    assert clean(toy)


def test_branches_bring_their_bytes_back(toy: Toy) -> None:
    toy.git("checkout", "-q", "-b", "seven")
    toy.edit("params.yaml", "a: {value: 1,", "a: {value: 7,")
    toy.snakemake()
    toy.commit("seven")
    trained = len(toy.trained())
    toy.git("checkout", "-q", "main")
    assert NOTHING in toy.snakemake("-n")
    assert toy.read("results/measure/a/value.txt") == "70\n", (
        "bytes of the other branch"
    )
    toy.edit("stages/double.py", "value, 2", "value, 3")
    toy.snakemake()
    assert "a 30" in toy.read("results/report/_/report.txt")
    assert len(toy.trained()) == trained


def test_full_checkout_of_an_unknown_project_says_so(tmp_path) -> None:
    toy = Toy(tmp_path)
    assert "there is no dvc.yaml here" in toy.ledger("status", check=False)
    assert make_toy  # the fixture's maker is what other tests build on
