"""Files that were changed after their record: seen at once, never used, put back."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest
from toy import Toy

from runledger import store
from runledger.presence import SMALL
from runledger.status import status
from runledger.store import Digest, Store

INNER, FINAL = "results/double/b/value.txt", "results/report/_/report.txt"


def flip(path: Path) -> bytes:
    """Change one byte; size and modification time stay. Returns the bytes of before."""
    before, found = path.read_bytes(), path.stat()
    path.chmod(0o644)
    path.write_bytes(bytes([before[0] ^ 1]) + before[1:])
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))
    assert path.stat().st_size == found.st_size
    assert path.stat().st_mtime_ns == found.st_mtime_ns
    return before


def states(toy: Toy) -> dict[str, str]:
    return {row["instance"]: row["bytes"] for row in status(toy.root)}


@pytest.mark.parametrize("path", [INNER, FINAL])
def test_a_changed_byte_is_seen_at_once_and_put_back(toy: Toy, path: str) -> None:
    instance = {INNER: "double@b", FINAL: "report"}[path]
    assert set(states(toy).values()) == {"present"}
    before = flip(toy.root / path)
    changed = (toy.root / path).read_bytes()
    assert states(toy)[instance] == "wrong"
    assert f"wrong bytes: {instance}" in toy.ledger("status", check=False)
    assert f"{path}: bytes of no record" in toy.ledger("why", instance)
    said = f"{path}: the recorded bytes are put back"
    assert said in toy.snakemake("-n")
    assert (toy.root / path).read_bytes() == changed, "a dry run changes nothing"
    out = toy.snakemake()
    assert said in out
    assert (toy.root / path).read_bytes() == before
    assert sorted(toy.trained()) == ["a", "b", "c"]
    assert set(states(toy).values()) == {"present"}
    assert "up to date" in toy.dvc("status")
    (kept,) = (toy.root / "results/.state/replaced").glob(f"*/{Path(path).name}")
    assert kept.read_bytes() == changed
    assert kept.relative_to(toy.root).as_posix() in out
    assert "Nothing to be done" in toy.snakemake()


def test_what_no_target_rests_on_is_reported_and_not_touched(toy: Toy) -> None:
    toy.edit("params.yaml", "c: {value: 3,", "d: {value: 3,")
    toy.edit("dvc.yaml", "results/double/c/", "results/double/d/")
    flip(toy.root / "results/double/c/value.txt")
    assert "other bytes" not in toy.snakemake("-n")


def test_bytes_that_nobody_has_are_not_used(toy: Toy) -> None:
    """Not needed: said, nothing runs. Needed: made again."""
    flip(toy.root / INNER)
    changed = (toy.root / INNER).read_bytes()
    shutil.rmtree(toy.root / ".dvc/cache")
    out = toy.snakemake("-n")
    assert f"{INNER}: not used; the recorded bytes are not here" in out
    assert "Nothing to be done" in out
    assert (toy.root / INNER).read_bytes() == changed
    toy.edit("params.yaml", "title: numbers", "title: needed")
    out = toy.snakemake()
    assert re.search(r"its bytes are neither here nor on .*: double@b$", out, re.M)
    assert toy.read(FINAL) == "needed\na 20\nb 80\nc 60\n"
    assert toy.read(INNER) == "80\n"


def test_needed_bytes_come_from_the_remote(toy: Toy) -> None:
    toy.dvc("remote", "add", "--default", "lab", str(toy.root.parent / "lab"))
    toy.ledger("push")
    flip(toy.root / INNER)
    shutil.rmtree(toy.root / ".dvc/cache")
    assert "Nothing to be done" in toy.snakemake("-n"), "nothing is downloaded unasked"
    toy.snakemake(INNER)
    assert toy.read(INNER) == "80\n"
    assert sorted(toy.trained()) == ["a", "b", "c"]


def test_absent_files_of_any_target_come_back_from_the_cache(toy: Toy) -> None:
    """Also for a target rule that is defined behind the rule that fetches."""
    (toy.root / INNER).unlink()
    assert "Nothing to be done" in toy.snakemake("-n"), "an intermediate may be absent"
    toy.snakemake("doubles")
    assert toy.read(INNER) == "80\n"


def test_a_folder_or_a_link_in_the_place_of_a_file(toy: Toy) -> None:
    (toy.root / INNER).unlink()
    (toy.root / INNER).mkdir()
    (toy.root / INNER / "what").write_text("is this\n", encoding="utf-8")
    final = toy.root / FINAL
    final.rename(final.with_name("elsewhere.txt"))
    final.symlink_to("elsewhere.txt")
    assert states(toy)["double@b"] == "wrong"
    assert states(toy)["report"] == "present", "a link to the right bytes is as good"
    final.with_name("elsewhere.txt").unlink()
    assert states(toy)["report"] == "absent"
    toy.snakemake()
    assert toy.read(INNER) == "80\n"
    assert final.read_text("utf-8") == "numbers\na 20\nb 80\nc 60\n"


def test_a_large_file_is_not_kept_when_it_is_replaced(toy: Toy) -> None:
    (toy.root / INNER).write_bytes(bytes(SMALL + 1))
    toy.snakemake()
    assert toy.read(INNER) == "80\n"
    assert not (toy.root / "results/.state/replaced").exists()


def test_bytes_of_an_earlier_record_are_replaced_without_ado(toy: Toy) -> None:
    toy.edit("params.yaml", "scale: 10", "scale: 2")
    toy.edit("params.yaml", "title: numbers", "title: twos")
    toy.snakemake()
    toy.edit("params.yaml", "scale: 2", "scale: 10")
    toy.edit("params.yaml", "title: twos", "title: numbers")
    assert states(toy)["measure@a"] == "other"
    assert "value.txt: bytes of another record" in toy.ledger("why", "measure/a")
    assert f"{FINAL}: the recorded bytes are put back" in toy.snakemake("-n")
    assert "dvc.lock: 10 valid" in toy.ledger("settle")
    assert "Nothing to be done" in toy.snakemake("-n")
    assert set(states(toy).values()) == {"present"}
    assert toy.read(FINAL) == "numbers\na 20\nb 80\nc 60\n"
    assert "up to date" in toy.dvc("status")
    toy.edit("params.yaml", "scale: 10", "scale: 2")
    toy.edit("params.yaml", "title: numbers", "title: twos")
    toy.snakemake()
    assert toy.read(FINAL) == "twos\na 4\nb 16\nc 12\n"
    assert not (toy.root / "results/.state/replaced").exists()
    assert "up to date" in toy.dvc("status")
    assert len(toy.trained()) == 6


# -- remembered hashes


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Paths whose bytes were hashed."""
    found: list[Path] = []
    original = store.hash_path

    def hash_path(path: Path, *arguments: object) -> Digest:
        found.append(path)
        return original(path, *arguments)

    monkeypatch.setattr(store, "hash_path", hash_path)
    return found


def settle_dates(root: Path) -> None:
    """Let what was remembered have been written long after the files' last change."""
    for memory in (root / "results/.state/hashes").rglob("*"):
        if memory.is_file():
            later = memory.stat().st_mtime_ns + 10**11
            os.utime(memory, ns=(later, later))


def test_unchanged_bytes_are_not_read_again(tmp_path: Path, read: list) -> None:
    path, known = tmp_path / "file", Store(tmp_path)
    path.write_bytes(b"one\n")
    first = known.current(path)
    settle_dates(tmp_path)
    assert known.current(path) == first
    assert read == [path]
    flip(path)
    assert known.current(path) != first
    other = tmp_path / "other"
    other.write_bytes(path.read_bytes())
    os.replace(other, path)
    settle_dates(tmp_path)
    known.current(path)
    assert read == [path, path, path]


def test_two_changes_within_one_tick_of_the_disks_clock(
    tmp_path: Path, read: list
) -> None:
    """Such a file has the same size, inode and dates, and other bytes."""
    path, known = tmp_path / "file", Store(tmp_path)
    path.write_bytes(b"one\n")
    known.current(path)
    (memory,) = (p for p in known.memory.rglob("*") if p.is_file())
    changed = path.stat().st_ctime_ns
    os.utime(memory, ns=(changed, changed))
    known.current(path)
    assert read == [path, path]
    assert memory.stat().st_mtime_ns > changed


def test_a_file_that_changes_while_it_is_read_is_not_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, known = tmp_path / "file", Store(tmp_path)
    path.write_bytes(b"one\n")
    original = store.hash_path

    def hash_path(path: Path) -> Digest:
        content = original(path)
        path.write_bytes(b"two\n")
        return content

    monkeypatch.setattr(store, "hash_path", hash_path)
    first = known.current(path)
    monkeypatch.setattr(store, "hash_path", original)
    settle_dates(tmp_path)
    assert known.current(path).md5 != first.md5


@pytest.mark.parametrize("text", ["", "\0\0", "1 2 3 4\n", "{mark}\nabc\n", "{mark}\n"])
def test_a_memory_cut_short_is_made_anew(tmp_path: Path, read: list, text: str) -> None:
    path, known = tmp_path / "file", Store(tmp_path)
    path.write_bytes(b"one\n")
    content = known.current(path)
    (memory,) = (p for p in known.memory.rglob("*") if p.is_file())
    mark = memory.read_text("ascii").splitlines()[0]
    memory.write_text(text.format(mark=mark), encoding="ascii")
    settle_dates(tmp_path)
    assert known.current(path) == content
    settle_dates(tmp_path)
    assert known.current(path) == content
    assert read == [path, path]


def test_nothing_has_to_be_remembered(tmp_path: Path, read: list) -> None:
    """A full disk, or a checkout of somebody else's: bytes can still be read."""
    path, known = tmp_path / "file", Store(tmp_path)
    path.write_bytes(b"one\n")
    known.memory.parent.mkdir(parents=True)
    known.memory.write_bytes(b"in the way")
    assert known.current(path).md5 == store.md5_file(path)
    assert known.current(path).md5 == store.md5_file(path)
    assert read == [path, path]
