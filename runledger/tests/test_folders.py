"""Digests of folders: as DVC computes them, remembered, and never believed too long."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

import runledger.folders
import runledger.store
from runledger.store import Store, hash_path


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder beside the checkout."""
    for name in ("cats/1.png", "cats/2.png", "dogs/3.png", ".git/x", "ünï/4 5.png"):
        path = tmp_path / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return tmp_path / "data"


@pytest.fixture
def store(tmp_path: Path, monkeypatch) -> Store:
    """Of a checkout; files count as old enough to be remembered."""
    monkeypatch.setattr(runledger.folders, "SETTLED_NS", -60_000_000_000)
    return Store(tmp_path / "checkout")


@pytest.fixture
def reads(monkeypatch) -> list[str]:
    """Names of the files that are read from now on."""
    seen: list[str] = []
    real = runledger.store.md5_file

    def spy(path) -> str:
        seen.append(Path(path).name)
        return real(path)

    monkeypatch.setattr(runledger.store, "md5_file", spy)
    return seen


def test_digest_is_dvcs(data: Path, store: Store, tmp_path: Path) -> None:
    from dvc_data.hashfile.build import build
    from dvc_data.hashfile.db import HashFileDB
    from dvc_objects.fs.local import LocalFileSystem

    fs = LocalFileSystem()
    odb = HashFileDB(fs, str(tmp_path / "odb"))
    _, meta, tree = build(odb, str(data), fs, "md5", dry_run=True)
    content = store.current(data)
    assert content.md5 == tree.hash_info.value
    assert (content.size, content.nfiles) == (meta.size, meta.nfiles)
    (tmp_path / "none").mkdir()
    empty = build(odb, str(tmp_path / "none"), fs, "md5", dry_run=True)[2]
    assert store.current(tmp_path / "none").md5 == empty.hash_info.value


def test_only_what_changed_is_read_again(data: Path, store: Store, reads) -> None:
    first = store.current(data)
    assert len(reads) == 5
    reads.clear()
    again = store.current(data)
    assert reads == []
    assert (again.md5, again.size, again.nfiles) == (first.md5, first.size, 5)
    before = (data / "cats/1.png").stat()
    (data / "cats/1.png").write_text("cats/9.png")
    os.utime(data / "cats/1.png", ns=(before.st_atime_ns, before.st_mtime_ns))
    assert store.current(data).md5 != first.md5, "equal in size and mtime"
    assert reads == ["1.png"]


def test_files_that_swap_names_are_read_again(data: Path, store: Store) -> None:
    first = store.current(data)
    (data / "cats/1.png").rename(data / "x")
    (data / "cats/2.png").rename(data / "cats/1.png")
    (data / "x").rename(data / "cats/2.png")
    assert store.current(data).md5 != first.md5
    assert store.current(data).md5 == hash_path(data, ()).md5


def test_a_file_changed_just_now_is_read_again(data: Path, store, reads, monkeypatch):
    """Two writes within one tick of the file system's clock look alike."""
    monkeypatch.setattr(runledger.folders, "SETTLED_NS", 2_000_000_000)
    for name in ("cats/1.png", "dogs/3.png"):
        os.utime(data / name, (1e9, 1e9))  # ctime is now
    store.current(data)
    reads.clear()
    store.current(data)
    assert len(reads) == 5
    time.sleep(2.1)
    store.current(data)
    reads.clear()
    (data / "cats/1.png").write_text("now")
    store.current(data)
    store.current(data)
    assert reads == ["1.png", "1.png"]


@pytest.mark.parametrize("damage", ["cut", "a file's line", "the first line", "empty"])
def test_a_damaged_memory_is_not_believed(data: Path, store: Store, damage) -> None:
    right = store.current(data)
    memory = store._memory_of(data)
    text = memory.read_text()
    head, _, rest = text.partition("\n")
    md5 = json.loads(rest.splitlines()[0])[1]
    damaged = {
        "cut": text[: len(text) // 2],
        "a file's line": head + "\n" + rest.replace(md5, "0" * 32),
        "the first line": head.replace(right.md5, "0" * 32 + ".dir") + "\n" + rest,
        "empty": "",
    }[damage]
    assert damaged != text
    memory.write_text(damaged)
    assert store.current(data).md5 == right.md5
    memory.write_text(damaged)
    (data / "cats/2.png").write_text("new")
    assert store.current(data).md5 == hash_path(data, ()).md5


def test_many_files_take_no_time_when_nothing_changed(tmp_path: Path, store) -> None:
    """A tenth of CIFAR: 0.06 s of a core; half a second is for loaded machines."""
    for label in range(10):
        (tmp_path / "many" / str(label)).mkdir(parents=True)
        for index in range(600):
            path = tmp_path / "many" / str(label) / f"{index}.png"
            path.write_bytes(b"%d" % index)
    store.current(tmp_path / "many")
    start = time.process_time()
    content = store.current(tmp_path / "many")
    assert time.process_time() - start < 0.5
    assert content.nfiles == 6000
