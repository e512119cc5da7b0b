"""Where the cache is: as DVC's configuration says, for the head, jobs and commands."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml
from toy import Toy

from runledger.dvcconfig import CACHE, CacheConfig, cache_config, read_config, tell_jobs
from runledger.errors import UserError
from runledger.places import prepare_cache
from runledger.store import Store, hash_path

LEVELS = ("system", "global", "repo", "local")
CASES: dict[str, dict[str, str]] = {
    "nothing said": {},
    "absolute": {"repo": "[cache]\n    dir = /srv/cache\n"},
    "relative to .dvc": {"local": "[cache]\n    dir = ../../lab cache\n"},
    "relative to the user's file": {"global": "[cache]\n    dir = shared/dvc\n"},
    "home": {"system": "[cache]\n    dir = ~/cache\n"},
    "somebody's home": {"repo": "[cache]\n    dir = ~root/cache\n"},
    "local wins": {level: f"[cache]\ndir = /srv/{level}\n" for level in LEVELS},
    "repo over user": {level: f"[cache]\ndir = /srv/{level}\n" for level in LEVELS[:3]},
    "user over system": {x: f"[cache]\ndir = /srv/{x}\n" for x in LEVELS[:2]},
    "merged": {
        "global": "[cache]\ndir = /srv/a\ntype = symlink\n",
        "repo": "[cache]\nshared = group\n",
        "local": "[core]\nremote = x\n[cache]\ntype = hardlink,copy\n",
    },
    "quoted list": {"repo": '[cache]\ntype = "reflink, symlink"\n'},
    "one-element list": {"repo": "[cache]\ntype = copy,\n"},
    "capitals": {"repo": "[CACHE]\nDir = /srv/c\nTYPE = copy\nShared = Group\n"},
    "section twice, other case": {"repo": "[cache]\ndir = /a\n[Cache]\ntype = copy\n"},
    "quotes, comments, remotes": {
        "repo": "# x\n['remote \"lab\"']\nurl = /r\n[cache]\ndir = '/srv/a b' # c\n"
    },
    "remote of that name": {"repo": "['remote \"cache\"']\nurl = /r\n"},
    "interpolated": {"repo": "[cache]\ntype = copy\ndir = /srv/%(type)s\n"},
    "empty": {"repo": "[cache]\ndir =\n"},
    "dots": {"repo": "[cache]\ndir = /srv/a/../b\n"},
    "not ASCII": {"repo": "[cache]\ndir = /srv/Größe\n"},
    "byte order mark": {"repo": "\ufeff[cache]\ndir = /srv/bom\n"},
    "Windows line endings": {"repo": "[cache]\r\ndir = /srv/crlf\r\n"},
    "variable is not expanded": {"repo": "[cache]\ndir = $HOME/cache\n"},
    "site cache is another thing": {"repo": "[core]\nsite_cache_dir = SITE\n"},
    "no git": {"repo": "[core]\nno_scm = true\nhardlink_lock = true\n"},
    "unknown type": {"repo": "[cache]\ntype = reflnk\n"},
    "type of nothing": {"repo": "[cache]\ntype =\n"},
    "shared with all": {"repo": "[cache]\nshared = all\n"},
    "broken file": {"local": "[cache\ndir = /srv/x\n"},
    "broken interpolation": {"repo": "[cache]\ndir = %(nobody)s/x\n"},
    "key without section": {"repo": "dir = /srv/x\n"},
}


def write(root: Path, texts: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Write the four files of a case around an empty repository."""
    (root / ".dvc").mkdir(parents=True)
    subprocess.run(["git", "init", "-q", str(root)], check=True)
    folders = {"system": root.parent / "system", "global": root.parent / "home/.config"}
    monkeypatch.setenv("DVC_SYSTEM_CONFIG_DIR", str(folders["system"]))
    monkeypatch.setenv("HOME", str(root.parent / "home"))
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(root.parent / "site"))
    for name in ("DVC_GLOBAL_CONFIG_DIR", "XDG_CONFIG_HOME", CACHE):
        monkeypatch.delenv(name, raising=False)
    folders["global"] /= "dvc"
    for level, text in texts.items():
        name = "config.local" if level == "local" else "config"
        file = folders.get(level, root / ".dvc") / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text.replace("SITE", str(root.parent / "s")).encode())


@pytest.mark.parametrize("case", CASES)
def test_resolved_as_dvc_resolves(case, tmp_path, monkeypatch) -> None:
    from configobj import ConfigObjError
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    root = tmp_path / "checkout"
    write(root, CASES[case], monkeypatch)
    try:
        odb = Repo(str(root)).cache.local
    except (DvcException, ConfigObjError) as error:
        if case == "key without section":
            return  # DVC refuses the file; it says nothing of the cache
        with pytest.raises(UserError) as refused:
            read_config(root)
        assert refused.value.where, error
        return
    found = read_config(root)
    assert str(found.folder / "files" / "md5") == odb.path
    assert list(found.links) == odb.cache_types
    assert found.shared == (odb._dir_mode == 0o2775)


def test_of_a_project_below_the_repositorys_root(tmp_path, monkeypatch) -> None:
    from dvc.repo import Repo

    write(tmp_path / "repo", {"repo": "[cache]\ndir = ../c\n"}, monkeypatch)
    project = tmp_path / "repo" / "papers" / "dash"
    project.mkdir(parents=True)
    assert str(Store(project).objects) == Repo(str(project)).cache.local.path


@pytest.mark.parametrize("text", ["dir = ssh://host/cache", "local = lab"])
def test_a_cache_that_is_no_folder_is_refused(text, tmp_path, monkeypatch) -> None:
    write(tmp_path / "x", {"local": f"[cache]\n{text}\n"}, monkeypatch)
    with pytest.raises(UserError, match=r"cache\.(dir|local)") as refused:
        Store(tmp_path / "x")
    assert refused.value.where.endswith(".dvc/config.local")


def test_jobs_are_told_what_the_head_read(tmp_path, monkeypatch) -> None:
    for name in ("one", "two"):
        write(tmp_path / name, {"repo": "[cache]\ndir = /srv/repo\n"}, monkeypatch)
    tell_jobs(tmp_path / "one")
    local = "[cache]\ndir = /srv/this/node\n"
    for name in ("one", "two"):
        (tmp_path / name / ".dvc" / "config.local").write_text(local)
    assert cache_config(tmp_path / "one").folder == Path("/srv/repo")
    assert cache_config(tmp_path / "two").folder == Path("/srv/this/node")
    tell_jobs(tmp_path / "one")
    assert cache_config(tmp_path / "one").folder == Path("/srv/this/node")
    (tmp_path / "one" / ".dvc" / "config.local").unlink()
    (tmp_path / "one" / ".dvc" / "config").unlink()
    tell_jobs(tmp_path / "one")
    inside = cache_config(Path(os.path.relpath(tmp_path / "one")))
    assert not inside.folder.is_absolute(), "a checkout may be mounted elsewhere"


def lock_of(toy: Toy) -> dict[str, str]:
    """{path: md5} of the cached outputs in dvc.lock."""
    stages = yaml.safe_load(toy.read("dvc.lock"))["stages"].values()
    outs = [out for stage in stages for out in stage["outs"]]
    return {o["path"]: o["md5"] for o in outs if "value.txt" in o["path"]}


@pytest.mark.parametrize(
    "link", ["symlink", pytest.param("hardlink", marks=pytest.mark.thorough)]
)
def test_a_shared_cache_elsewhere_serves_both_tools(empty: Toy, link: str) -> None:
    lab = empty.root.parent / "lab"
    lab.mkdir()
    empty.dvc("cache", "dir", "--local", str(lab / "cache"))
    empty.dvc("config", "--local", "cache.type", link)
    empty.dvc("config", "--local", "cache.shared", "group")
    empty.snakemake()
    assert not (empty.root / ".dvc" / "cache").exists()
    for path, md5 in lock_of(empty).items():
        kept = lab / "cache/files/md5" / md5[:2] / md5[2:]
        assert (empty.root / path).samefile(kept)
        assert kept.stat().st_mode & 0o777 == 0o444
        assert kept.parent.stat().st_mode & 0o7777 == 0o2775
    assert "up to date" in empty.dvc("status")
    assert "Nothing to be done" in empty.snakemake("-n")
    before = empty.read("results/measure/a/value.txt")
    empty.edit("params.yaml", "a: {value: 1,", "a: {value: 7,")
    empty.snakemake()
    assert empty.read("results/measure/a/value.txt") == "70\n"
    empty.edit("params.yaml", "a: {value: 7,", "a: {value: 1,")
    empty.snakemake()
    assert empty.read("results/measure/a/value.txt") == before, "never written through"
    for stage in ("measure", "double"):
        (empty.root / "results" / stage / "a/value.txt").unlink()
    assert "fetched 0 objects; 2 were in the cache" in empty.ledger("pull")
    assert empty.read("results/measure/a/value.txt") == before
    assert len(empty.trained()) == 4
    assert "up to date" in empty.dvc("status")
    assert "Running stage" not in empty.dvc("repro")
    assert (empty.root / "results/measure/b/value.txt").is_symlink() == (
        link == "symlink"
    )


def test_a_cache_that_was_moved_is_filled_from_the_workspace(toy: Toy) -> None:
    toy.dvc("cache", "dir", "--local", str(toy.root.parent / "new"))
    assert "not in cache" in toy.dvc("status")
    toy.ledger("settle")
    assert "up to date" in toy.dvc("status")


def test_a_cache_out_of_reach_stops_before_anything_runs(toy: Toy) -> None:
    toy.dvc("cache", "dir", "--local", "/nowhere/lab/cache")
    toy.edit("params.yaml", "a: {value: 1,", "a: {value: 7,")
    trained = toy.trained()
    out = toy.snakemake(check=False)
    assert toy.code != 0
    assert "there is no folder /nowhere/lab" in out
    assert ".dvc/config.local" in out
    assert toy.trained() == trained
    assert not Path("/nowhere").exists()
    out = toy.run("python", "stages/measure.py", "a", check=False)
    assert toy.code == 1, "by hand and on a node, too"
    assert "there is no folder /nowhere/lab" in out
    assert toy.trained() == trained


def test_a_cache_whose_disk_is_gone_is_not_an_empty_one(tmp_path, monkeypatch) -> None:
    root, lab = tmp_path / "checkout", tmp_path / "lab"
    write(root, {"repo": f"[cache]\ndir = {lab}/cache\n"}, monkeypatch)
    lab.mkdir()
    store = Store(root)
    store.prepare()
    (lab / "cache").rename(tmp_path / "unmounted")
    (lab / "cache").mkdir()  # the mount point
    with pytest.raises(UserError, match="has no objects any more") as gone:
        store.prepare()
    assert "mount its disk" in gone.value.remedy
    (lab / "cache" / "files" / "md5").mkdir(parents=True)
    store.prepare()  # as the message says: it is meant to be empty


def test_drafts_of_a_killed_job_do_not_stay(tmp_path, monkeypatch) -> None:
    write(tmp_path / "x", {}, monkeypatch)
    store = Store(tmp_path / "x")
    old, new = store.draft(), store.draft()
    for draft in (old, new):
        draft.write_text("half of it")
    week = time.time() - 8 * 86400
    os.utime(old, (week, week))
    store.prepare()
    assert not old.exists()
    assert new.exists(), "somebody may be writing it"


def test_a_cache_that_cannot_be_written_is_named(tmp_path, monkeypatch) -> None:
    write(tmp_path / "x", {"repo": f"[cache]\ndir = {tmp_path}/c\n"}, monkeypatch)
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "files").write_text("in the way")
    with pytest.raises(UserError, match="the DVC cache cannot be used") as refused:
        Store(tmp_path / "x").prepare()
    assert "dvc cache dir --local" in refused.value.remedy


@pytest.mark.skipif(
    os.stat("/dev/shm").st_dev == os.stat("/tmp").st_dev, reason="one file system"
)
def test_a_cache_on_another_disk(tmp_path, monkeypatch) -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as other:
        write(tmp_path / "x", {"repo": f"[cache]\ndir = {other}\n"}, monkeypatch)
        local = tmp_path / "x" / ".dvc" / "config.local"
        source = tmp_path / "x" / "made.txt"
        for kind, linked in (("hardlink,symlink", True), ("hardlink,copy", False)):
            local.write_text(f"[cache]\ntype = {kind}\n")
            source.write_text("bytes")
            store, target = Store(tmp_path / "x"), tmp_path / "x" / "placed.txt"
            store.prepare()
            store.put(source, hash_path(source))
            assert store.restore(hash_path(source).md5, target)
            assert target.is_symlink() == linked
            assert target.read_text() == "bytes"
        local.write_text("[cache]\ntype = hardlink\n")
        with pytest.raises(
            UserError, match=r"no kind of link that cache.type allows \(hardlink\)"
        ):
            Store(tmp_path / "x").prepare()


def as_user(uid: int, umask: int, action: Callable[[], None]) -> None:
    """Do something in a child process as another user of the group 4242."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.setgroups([])
            os.setgid(4242)
            os.setuid(uid)
            os.umask(umask)
            action()
            code = 0
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0


@pytest.mark.skipif(os.getuid() != 0, reason="takes the place of two users")
@pytest.mark.parametrize("link", ["symlink,copy", "hardlink,copy", "copy"])
def test_two_users_of_a_group_share_a_cache(link: str, monkeypatch) -> None:
    base = Path(tempfile.mkdtemp())  # pytest's own are closed to others
    base.chmod(0o755)
    try:
        lab = base / "lab"
        lab.mkdir()
        os.chown(lab, 0, 4242)
        lab.chmod(0o2775)
        for name, uid in (("ann", 4001), ("bob", 4002)):
            text = f"[cache]\ndir = {lab}/cache\ntype = {link}\nshared = group\n"
            write(base / name / "work", {"repo": text}, monkeypatch)
            os.chown(base / name / "work", uid, 4242)
        (base / "ann" / "work" / "1.txt").write_text("1")
        (base / "bob" / "work" / "1.txt").write_text("1")

        def work(name: str) -> None:
            store = Store(base / name / "work")
            store.prepare()
            source = store.root / "1.txt"
            store.put(source, hash_path(source))
            place = store.root / "placed"
            assert store.restore(hash_path(source).md5, place)
            assert place.read_text() == "1"

        as_user(4001, 0o077, lambda: work("ann"))
        as_user(4002, 0o077, lambda: work("bob"))
        # what ann made is damaged: bob may replace it
        store = Store(base / "bob" / "work")
        md5 = hash_path(store.root / "1.txt").md5
        store.object_path(md5).chmod(0o644)
        store.object_path(md5).write_text("2")
        if link == "copy":
            as_user(4002, 0o077, lambda: work("bob"))
            assert store.object_path(md5).read_text() == "1"
    finally:
        shutil.rmtree(base)


def test_jobs_of_one_process_try_the_cache_at_the_same_time(tmp_path: Path) -> None:
    """Jobs of adopted rules are threads of one snakemake, and share its pid."""
    config = CacheConfig(tmp_path / "cache")
    with ThreadPoolExecutor(8) as threads:
        done = [threads.submit(prepare_cache, tmp_path, config) for _ in range(400)]
    assert [future.exception() for future in done] == [None] * 400
    assert list((tmp_path / "cache").rglob("*.tmp")) == []
