"""Stages whose output is a folder."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import textwrap
from pathlib import Path

import pytest
from toy import Toy

from runledger import moving
from runledger.errors import UserError
from runledger.moving import make_plain, put_in_place, refuse_ignored
from runledger.store import Store, hash_path

SPLIT = '''
    """Split: a folder with one file a number."""
    import _path  # noqa
    from runledger.job import main

    def run(job):
        folder = job.output("parts")
        (folder / "sub" / "empty").mkdir(parents=True)
        for number in range(job.params["split"]["upto"]):
            text = f"{number} {job.params['split']['word']}\\n"
            (folder / f"{number}.txt").write_text(text, encoding="utf-8")
        (folder / "sub" / "last.txt").symlink_to(folder / "0.txt")

    if __name__ == "__main__":
        main("split", run)
'''
JOIN = '''
    """Join: all files of the folder, one line each."""
    import _path  # noqa
    from runledger.job import main

    def run(job):
        files = sorted(path for path in job.input("split").rglob("*.txt"))
        text = "".join(path.read_text(encoding="utf-8") for path in files)
        job.output("joined.txt").write_text(text, encoding="utf-8")

    if __name__ == "__main__":
        main("join", run)
'''
DVC = """\
stages:
  fingerprint_code:
    foreach: [split, join]
    do:
      cmd: python stages/fingerprint_code.py ${item}
      deps: [src, stages]
      outs:
        - results/code/${item}.json: {cache: false}
  split:
    cmd: python stages/split.py
    deps: [results/code/split.json]
    params: [split]
    outs: [results/split/_/parts]
  join:
    cmd: python stages/join.py
    deps: [results/code/join.json, results/split/_/parts]
    outs: [results/join/_/joined.txt]
"""
SNAKEFILE = """\
from pathlib import Path
from runledger.bundles import Sizes
from runledger.smk import Ledger
L = Ledger(Path.cwd(), workflow.is_main_process, {"all": (("join",), None)},
           Sizes({}, {}))
PYTHON = L.python(workflow)
RUN = f"{PYTHON} {L.code}/stages"
FETCH = f"{PYTHON} -m runledger fetch"
rule all:
    input: "params.yaml", L.targets("all", workflow)
rule fingerprint_code:
    input: unpack(L.needs("fingerprint_code", "{id}"))
    output: "results/code/{id}.json"
    shell: "{RUN}/fingerprint_code.py --recipe {input.recipe}"
rule fetch:
    input: L.ticket
    output: "{path}"
    wildcard_constraints: path=L.fetchable()
    shell: "{FETCH} {input}"
rule fetch_folder:
    input: L.ticket
    output: directory("{path}")
    wildcard_constraints: path=L.fetchable(folders=True)
    shell: "{FETCH} {input}"
rule split:
    input: unpack(L.needs("split", ""))
    output: directory("results/split/_/parts")
    shell: "{RUN}/split.py --recipe {input.recipe}"
rule join:
    input: unpack(L.needs("join", "", parts="results/split/_/parts"))
    output: "results/join/_/joined.txt"
    shell: "{RUN}/join.py --recipe {input.recipe}"
ruleorder: fetch > fetch_folder > fingerprint_code > split > join
onstart: L.start(workflow)
onsuccess: L.stop()
onerror: L.stop()
"""
FOLDER, JOINED = "results/split/_/parts", "results/join/_/joined.txt"


@pytest.fixture
def project(empty: Toy) -> Toy:
    """The toy project with two stages, the first of which makes a folder."""
    for name, text in {
        "stages/split.py": textwrap.dedent(SPLIT),
        "stages/join.py": textwrap.dedent(JOIN),
        "dvc.yaml": DVC,
        "workflow/Snakefile": SNAKEFILE,
        "params.yaml": "split: {upto: 3, word: one}\n",
    }.items():
        (empty.root / name).write_text(text, encoding="utf-8")
    (empty.root / ".gitignore").write_text(
        "results/split\nresults/join\nresults/.state\nresults/logs\nresults/recipes\n"
        ".snakemake\n__pycache__\n",
        encoding="utf-8",
    )
    empty.commit()
    return empty


def names(folder: Path) -> set[str]:
    files = {p.relative_to(folder).as_posix() for p in folder.rglob("*")}
    return files - {".snakemake_timestamp"}


def test_a_folder_is_made_remade_fetched_and_kept(project: Toy) -> None:
    toy, folder = project, project.root / FOLDER
    toy.snakemake()
    assert names(folder) == {"0.txt", "1.txt", "2.txt", "sub", "sub/last.txt"}
    assert not (folder / "sub/last.txt").is_symlink(), "it pointed to where it was made"
    assert toy.read(JOINED) == "0 one\n1 one\n2 one\n0 one\n"
    assert "up to date" in toy.dvc("status")
    assert "Nothing to be done" in toy.snakemake("-n")
    # by hand over a folder that is not empty, and fewer files than before
    toy.edit("params.yaml", "upto: 3, word: one", "upto: 2, word: two")
    toy.run("python", "stages/split.py")
    assert names(folder) == {"0.txt", "1.txt", "sub", "sub/last.txt"}
    toy.snakemake()
    assert toy.read(JOINED) == "0 two\n1 two\n0 two\n"
    assert "up to date" in toy.dvc("status")
    # back to what was: from the cache, over the other folder
    toy.edit("params.yaml", "upto: 2, word: two", "upto: 3, word: one")
    toy.snakemake(FOLDER)
    assert names(folder) == {"0.txt", "1.txt", "2.txt", "sub", "sub/last.txt"}
    # a file in it that no job made
    (folder / "0.txt").chmod(0o644)
    (folder / "0.txt").write_text("0 ONE\n", encoding="utf-8")
    (folder / "more.txt").write_text("more\n", encoding="utf-8")
    assert f"{FOLDER}: the recorded bytes are put back" in toy.snakemake("-n")
    toy.snakemake()
    assert names(folder) == {"0.txt", "1.txt", "2.txt", "sub", "sub/last.txt"}
    assert (folder / "0.txt").read_text("utf-8") == "0 one\n"
    assert "up to date" in toy.dvc("status")
    # absent and needed
    shutil.rmtree(folder)
    toy.edit("stages/join.py", '"".join', '"-".join')
    toy.snakemake()
    assert toy.read(JOINED) == "0 one\n-1 one\n-2 one\n-0 one\n"
    assert not [
        p for p in toy.root.rglob("results/**/.*.tmp") if ".state" not in str(p)
    ]


def test_dvc_repro_makes_the_same_folder(project: Toy) -> None:
    project.dvc("repro")
    assert project.stale() == set()
    project.edit("params.yaml", "upto: 3", "upto: 1")
    project.dvc("repro")
    assert project.read(JOINED) == "0 one\n0 one\n"
    assert project.stale() == set()
    assert "up to date" in project.dvc("status")


# -- what replaces what


def make(path: Path, kind: str, word: str) -> None:
    """Put a file, a folder, a link to either, or nothing at a path."""
    other = path.with_name(f"{path.name}-{word}-elsewhere")
    if kind in ("file", "link"):
        path.write_text(word, encoding="utf-8")
    if kind in ("folder", "empty folder", "link to a folder"):
        path.mkdir()
    if kind in ("folder", "link to a folder"):
        (path / "inner").mkdir()
        (path / "inner/file").write_text(word, encoding="utf-8")
    if kind.startswith("link"):
        path.rename(other)
        path.symlink_to(other.name)


KINDS = ("nothing", "file", "folder", "empty folder", "link", "link to a folder")


@pytest.mark.parametrize("before", KINDS)
@pytest.mark.parametrize("after", ["file", "folder", "empty folder"])
def test_anything_replaces_anything(tmp_path: Path, before: str, after: str) -> None:
    source, target, attic = tmp_path / "new", tmp_path / "old", tmp_path / "attic"
    attic.mkdir()
    make(source, after, "new")
    make(target, before, "old")
    wanted = hash_path(source)
    put_in_place(source, target, attic)
    assert hash_path(target) == wanted
    assert not target.is_symlink()
    assert not source.exists()
    assert list(attic.iterdir()) == []
    kept = target.with_name("old-old-elsewhere")
    assert kept.exists() == before.startswith("link"), "behind a link nothing changes"


@pytest.mark.parametrize("before", KINDS)
@pytest.mark.parametrize("after", ["file", "folder"])
def test_the_cache_restores_over_anything(
    tmp_path: Path, before: str, after: str
) -> None:
    (tmp_path / ".dvc").mkdir()
    source, target, store = tmp_path / "new", tmp_path / "old", Store(tmp_path)
    make(source, after, "new")
    make(target, before, "old")
    wanted = hash_path(source)
    store.put(source, wanted)
    assert store.restore(wanted.md5, target)
    assert hash_path(target) == wanted
    assert not list(tmp_path.glob(".*.tmp"))


def test_an_empty_folder_is_kept_and_comes_back(tmp_path: Path) -> None:
    (tmp_path / ".dvc").mkdir()
    store, source = Store(tmp_path), tmp_path / "new"
    source.mkdir()
    content = hash_path(source)
    store.put(source, content)
    source.rmdir()
    assert store.restore(content.md5, source)
    assert source.is_dir()
    assert hash_path(source) == content


def test_what_cannot_be_moved_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = tmp_path / "new", tmp_path / "old"
    make(source, "folder", "new")
    make(target, "folder", "old")
    wanted, rename = hash_path(target), os.rename

    def fail(old: Path, new: Path) -> None:
        if old == source:
            raise OSError(errno.EIO, "the disk is broken")
        rename(old, new)

    monkeypatch.setattr(moving.os, "rename", fail)
    with pytest.raises(OSError, match="the disk is broken"):
        put_in_place(source, target, tmp_path)
    assert hash_path(target) == wanted


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_from_another_disk(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "scratch").mkdir()
    source, target = tmp_path / "scratch/new", tmp_path / "here/old"
    make(source, kind, "new")
    make(target, "folder", "old")
    wanted, replace = hash_path(source), os.replace

    def between_disks(old: Path, new: Path) -> None:
        if Path(old).parent != Path(new).parent:
            raise OSError(errno.EXDEV, "another disk")
        replace(old, new)

    monkeypatch.setattr(moving.os, "replace", between_disks)
    put_in_place(source, target, source.parent)
    assert hash_path(target) == wanted
    assert [p.name for p in (tmp_path / "here").iterdir()] == ["old"]
    assert list((tmp_path / "scratch").iterdir()) == []


# -- what an output folder may hold


def test_links_become_files_and_empty_folders_go(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    make(folder, "folder", "word")
    (folder / "inner/empty/deeper").mkdir(parents=True)
    (folder / "link").symlink_to(folder / "inner/file")
    (tmp_path / "outside").write_text("far\n", encoding="utf-8")
    (folder / "far").symlink_to(tmp_path / "outside")
    make_plain(folder, "results/x")
    assert names(folder) == {"inner", "inner/file", "link", "far"}
    assert (folder / "link").read_text("utf-8") == "word"
    assert not any(path.is_symlink() for path in folder.rglob("*"))
    alone = tmp_path / "alone"
    alone.symlink_to("outside")
    make_plain(alone, "results/alone")
    assert not alone.is_symlink()
    assert (tmp_path / "outside").read_text("utf-8") == "far\n"


@pytest.mark.parametrize(
    "kind, what",
    [
        ("nowhere", "a link to nothing"),
        ("loop", "a link to nothing"),
        ("folder", "a link to a folder"),
        ("pipe", "neither a file nor a folder"),
    ],
)
def test_what_dvc_cannot_keep_is_refused_by_name(
    tmp_path: Path, kind: str, what: str
) -> None:
    folder = tmp_path / "out"
    make(folder, "folder", "word")
    odd = folder / "inner/odd"
    if kind == "pipe":
        os.mkfifo(odd)
    else:
        odd.symlink_to({"nowhere": "absent", "loop": "odd", "folder": "."}[kind])
    with pytest.raises(UserError, match=what) as told:
        make_plain(folder, "results/x")
    assert "results/x/inner/odd" in str(told.value)


@pytest.mark.parametrize("name", ["a.pyc", "__pycache__/a", ".git/x", "b/.dvcignore"])
def test_files_that_dvc_ignores_are_refused_by_name(tmp_path: Path, name: str) -> None:
    (tmp_path / ".dvcignore").write_text("*.pyc\n__pycache__\n", encoding="utf-8")
    file = tmp_path / "out" / name
    file.parent.mkdir(parents=True)
    (tmp_path / "out/good.txt").touch()
    refuse_ignored(tmp_path, tmp_path / "out", "results/x")
    file.touch()
    with pytest.raises(UserError, match="DVC ignores") as told:
        refuse_ignored(tmp_path, tmp_path / "out", "results/x")
    assert f"results/x/{name}" in str(told.value)


def test_a_folders_md5_is_that_of_dvcs_own_library(tmp_path: Path) -> None:
    """Its entries are in the order of their text: "a-b" comes before "a/b"."""
    from dvc_data.hashfile.hash_info import HashInfo
    from dvc_data.hashfile.meta import Meta
    from dvc_data.hashfile.tree import Tree

    tree, folder = Tree(), tmp_path / "parts"
    for name in ("a-b", "a/b", "a.txt", "a0", "B", "a/c/d", "ü"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name, encoding="utf-8")
        md5 = hashlib.md5(name.encode(), usedforsecurity=False).hexdigest()
        tree.add(tuple(name.split("/")), Meta(), HashInfo("md5", md5))
    tree.digest()
    found = hash_path(folder)
    assert getattr(found, "md5", found) == tree.hash_info.value
