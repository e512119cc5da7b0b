"""Transfers: the other side is asked, what is not whole named; absent is not lost."""

from __future__ import annotations

import functools
import http.server
import json
import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from test_interruption import sshd  # noqa: F401 (a fixture)
from toy import Toy

from runledger.canonical import digest
from runledger.cli import main
from runledger.remote import Remote, open_remote
from runledger.sharing import collect
from runledger.store import Store, hash_path, md5_file

VALUE = "results/measure/a/value.txt"
OBJECTS = 6  # of the toy project: three measured, three doubled


class Shared:
    """A toy checkout that has pushed, its remote, and commands run in this process."""

    def __init__(self, toy: Toy, monkeypatch, capfd) -> None:
        self.toy, self.root = toy, toy.root
        self.remote = toy.root.parent / "remote"
        self.monkeypatch, self.capfd = monkeypatch, capfd
        monkeypatch.setenv("HOME", str(toy.root.parent))

    def __call__(self, *arguments: str, at: Toy | None = None) -> tuple[int, str]:
        """Run a command of the layer: exit status, and what it printed."""
        self.monkeypatch.chdir((at or self.toy).root)
        self.capfd.readouterr()
        with pytest.raises(SystemExit) as end:
            main(arguments)
        out = self.capfd.readouterr()
        return end.value.code, out.out + out.err

    def md5(self, path: str = VALUE) -> str:
        stages = yaml.safe_load(self.toy.read("dvc.lock"))["stages"].values()
        outs = [out for stage in stages for out in stage["outs"]]
        return next(out["md5"] for out in outs if out["path"] == path)

    def there(self, path: str = VALUE) -> Path:
        """The remote's object of a path."""
        md5 = self.md5(path)
        return self.remote / "files" / "md5" / md5[:2] / md5[2:]

    def here(self, path: str = VALUE) -> Path:
        """The cache's object of a path."""
        return Store(self.root).object_path(self.md5(path))

    def count(self) -> int:
        return len([p for p in self.remote.rglob("*") if p.is_file()])

    def clone(self) -> Toy:
        return self.toy.clone("clone")

    def lose(self, *paths: str) -> None:
        """Remove files and their objects here, as a `dvc gc` can."""
        for path in paths:
            self.here(path).unlink()
            (self.root / path).unlink()


@pytest.fixture
def fresh(toy: Toy, monkeypatch, capfd) -> Shared:
    """A checkout with a remote that nobody has pushed to."""
    shared = Shared(toy, monkeypatch, capfd)
    toy.run("git", "checkout", "-q", "-b", "work")
    config = toy.root / ".dvc" / "config"
    text = config.read_text() + f"['remote \"shared\"']\n    url = {shared.remote}\n"
    config.write_text(text.replace("[core]", "[core]\n    remote = shared"))
    toy.commit("remote")
    return shared


@pytest.fixture
def shared(fresh: Shared) -> Shared:
    """The same after a push."""
    code, out = fresh("push")
    assert (code, fresh.count()) == (0, OBJECTS), out
    assert f"sent {OBJECTS} objects; the remote had 0" in out
    return fresh


def damage(path: Path, text: str | None = None) -> None:
    """Change an object's bytes and not its size, or write other text."""
    old = path.read_text()
    path.chmod(0o644)
    path.write_text("#" * (len(old) - 1) + "\n" if text is None else text)
    path.chmod(0o444)  # DVC takes a read-only object to be whole


# push


def test_push_heals_a_damaged_cache_from_the_workspace(fresh: Shared) -> None:
    damage(fresh.here())
    code, out = fresh("push")
    assert (code, fresh.count()) == (0, OBJECTS), out
    assert fresh.there().read_text() == fresh.here().read_text() == "10\n"


def test_push_leaves_out_what_is_asked_but_not_what_others_need(fresh: Shared) -> None:
    """Bytes that a path outside the pattern has, too, are sent."""
    fresh.toy.edit("params.yaml", "b: {value: 4,", "b: {value: 1,")
    fresh.toy.snakemake()
    code, out = fresh("push", "--without", "results/measure/[ac]/*")
    assert code == 0, out
    assert fresh.there("results/measure/a/value.txt").exists(), "b has these bytes"
    assert not fresh.there("results/measure/c/value.txt").exists()
    assert fresh.there("results/double/c/value.txt").exists()


def test_push_names_what_it_could_not_send(shared: Shared) -> None:
    shared.there().unlink()
    (shared.root / VALUE).write_text("11\n")
    damage(shared.here())
    code, out = shared("push")
    assert code == 1
    assert f"sent 0 objects; the remote had {OBJECTS - 1}" in out
    assert f"missing: {VALUE} (measure@a, md5 {shared.md5()})" in out
    assert "not whole" in out
    assert not shared.there().exists()


def test_push_replaces_an_object_cut_short_on_the_remote(shared: Shared) -> None:
    damage(shared.there(), "1")
    code, out = shared("push")
    assert code == 0
    assert f"sent 1 objects; the remote had {OBJECTS - 1}" in out
    assert shared.there().read_text() == "10\n"


def test_push_into_a_remote_that_cannot_keep_it(shared: Shared) -> None:
    folder = shared.there().parent
    shutil.rmtree(folder)
    folder.write_text("a file where the objects' folder should be")
    code, out = shared("push")
    assert code == 1
    assert f"missing: {VALUE}" in out
    assert "not whole on remote 'shared'" in out
    assert "Traceback" not in out


def test_a_remote_that_loses_what_it_is_sent_is_found_out(
    fresh: Shared, monkeypatch
) -> None:
    rename = os.replace

    def forgetful(draft: str, target: str) -> None:
        rename(draft, target)
        if Path(target) == fresh.there():
            Path(target).unlink()

    monkeypatch.setattr(os, "replace", forgetful)
    code, out = fresh("push")
    assert code == 1
    assert f"sent {OBJECTS - 1} objects" in out
    assert f"missing: {VALUE}" in out


# pull


def test_pull_of_a_damaged_cache_fetches_at_once(shared: Shared) -> None:
    damage(shared.here())
    (shared.root / VALUE).unlink()
    code, out = shared("pull")
    assert code == 0, out
    assert "fetched 1 objects" in out
    assert shared.toy.read(VALUE) == shared.here().read_text() == "10\n"


@pytest.mark.parametrize(
    ("text", "reason"),
    [("1", "cut short: 1 of 3 bytes"), (None, "damaged there")],
)
def test_pull_says_by_path_what_is_wrong_there(shared: Shared, text, reason) -> None:
    damage(shared.there(), text)
    clone = shared.clone()
    for _ in range(2):
        code, out = shared("pull", at=clone)
        assert code == 1
        assert f"missing: {VALUE} (measure@a, md5 {shared.md5()}): {reason}" in out
        assert not (clone.root / VALUE).exists()
        assert (clone.root / "results/measure/b/value.txt").exists()
        assert not Store(clone.root).has(shared.md5()), "nothing wrong in the cache"


def test_pull_where_all_is_in_place_says_so(shared: Shared) -> None:
    code, out = shared("pull")
    assert code == 0
    assert f"all {OBJECTS} files of valid instances are in place" in out
    assert "committed" not in out


def test_pull_fills_a_cache_that_was_emptied(shared: Shared) -> None:
    shutil.rmtree(shared.root / ".dvc" / "cache")
    shutil.rmtree(shared.remote)
    code, out = shared("pull")
    assert code == 0, out
    assert shared.here().read_text() == "10\n", "the workspace has the bytes"


def test_pull_lets_dvc_know(shared: Shared) -> None:
    clone = shared.clone()
    assert shared("pull", at=clone)[0] == 0
    assert "up to date" in clone.dvc("status")


def test_a_file_to_fetch_that_is_damaged_everywhere_is_named(shared: Shared) -> None:
    damage(shared.there())
    damage(shared.here())
    (shared.root / VALUE).unlink()
    (record,) = (shared.root / "results/records/measure/a").glob("*.json")
    content = {"path": VALUE, "record": str(record)}
    ticket = shared.root / f"{digest(content)}.json"
    ticket.write_text(json.dumps(content))
    code, out = shared("fetch", str(ticket))
    assert code == 1
    assert "the bytes of measure@a" in out
    assert "damaged there" in out
    assert VALUE in out
    damage(shared.there(), "10\n")
    assert shared("fetch", str(ticket))[0] == 0
    assert shared.toy.read(VALUE) == "10\n"


def test_a_folder_is_there_when_all_its_files_are(shared: Shared) -> None:
    folder = shared.root / "folder"
    (folder / "deep").mkdir(parents=True)
    (folder / "one.txt").write_text("one")
    (folder / "deep" / "two.txt").write_text("two")
    content, store = hash_path(folder), Store(shared.root)
    store.put(folder, content)
    files = dict(content.files)
    outputs = {"folder": {"md5": content.md5, "size": 6, "files": files}}
    wanted = collect([SimpleNamespace(outputs=outputs, instance="x")])
    assert {w.paths[0]: w.size for w in wanted.values()} == {
        "folder": None,
        "folder/one.txt": None,
        "folder/deep/two.txt": None,
    }
    remote = open_remote(shared.root)
    assert set(remote.lacking(dict.fromkeys(wanted))) == set(wanted)
    store.object_path(files["deep/two.txt"]).rename(shared.root / "away")
    failed = remote.send(store, wanted)
    assert set(failed) == {files["deep/two.txt"], content.md5}, "no listing without"
    (shared.root / "away").rename(store.object_path(files["deep/two.txt"]))
    assert remote.send(store, failed) == {}
    assert remote.lacking(dict.fromkeys(wanted)) == {}

    other = Store(shared.clone().root)
    damage(Path(remote.odb.oid_to_path(files["one.txt"])), "eno")
    assert "1 of its files" in remote.bring(other, {content.md5: None})[content.md5]
    assert not other.restore(content.md5, other.root / "folder")
    damage(Path(remote.odb.oid_to_path(files["one.txt"])), "one")
    assert remote.bring(other, {content.md5: None}) == {}
    assert other.restore(content.md5, other.root / "folder")
    assert hash_path(other.root / "folder") == content


@pytest.mark.parametrize("command", ["push", "pull"])
def test_an_interrupted_transfer_goes_on_with_the_same_command(
    fresh: Shared, monkeypatch, command: str
) -> None:
    at, url = fresh.toy, f"url = {fresh.remote}"
    at.edit(".dvc/config", url, f"{url}\n    jobs = 1")
    at.commit("one at a time")
    if command == "pull":
        fresh("push")
        at = fresh.clone()
    step, done = f"_{'send' if command == 'push' else 'bring'}", []
    real = getattr(Remote, step)

    def interrupted(self, store: Store, md5: str) -> str:
        if len(done) == 3:
            raise KeyboardInterrupt
        done.append(md5)
        return real(self, store, md5)

    with monkeypatch.context() as patch:
        patch.setattr(Remote, step, interrupted)
        assert fresh(command, at=at) == (130, "stopped\n")
    arrived = fresh.remote if command == "push" else Store(at.root).objects
    for path in arrived.rglob("*"):
        if path.is_file():
            md5 = path.parent.name + path.name
            assert md5_file(path) == md5, "nothing half, and no drafts"
    code, out = fresh(command, at=at)
    assert code == 0, out
    word = "sent" if command == "push" else "fetched"
    assert f"{word} {OBJECTS - 3} objects" in out


# a remote that is not there


def test_a_remote_that_is_not_mounted_has_not_lost_anything(shared: Shared) -> None:
    clone = shared.clone()
    shared.remote.rename(shared.remote.with_name("unmounted"))
    shared.remote.mkdir()  # the mount point
    for at in (shared.toy, clone):
        if at is shared.toy:
            shared.lose(VALUE)
        code, out = shared("pull", at=at)
        assert code == 1
        assert "remote 'shared'" in out
        assert "is not there" in out
        assert "mount its disk" in out
        assert "lacks" not in out
    code, out = shared("push")
    assert code == 1
    assert "is not there" in out
    assert "it had objects, seen on" in out
    assert list(shared.remote.iterdir()) == [], "nothing is written below the mount"
    code, out = shared("push", at=clone)
    assert code == 1, "a clone has not seen it; but it has not got all, either"
    assert "it may be new, but not all" in out
    assert list(shared.remote.iterdir()) == []


def test_nothing_is_made_anew_because_a_remote_is_away(shared: Shared) -> None:
    clone = shared.clone()
    away = shared.remote.with_name("unmounted")
    shared.remote.rename(away)
    clone.edit("params.yaml", "title: numbers", "title: fetched")
    out = clone.snakemake(check=False)
    assert clone.code != 0
    assert "3 files that are needed are not here" in out
    assert "remote 'shared'" in out
    assert "is not there" in out
    assert "RUNLEDGER_RECOMPUTE=1" in out
    assert clone.trained() == []
    assert not (clone.root / "results/report").exists() or "fetched" not in clone.read(
        "results/report/_/report.txt"
    )
    away.rename(shared.remote)
    clone.snakemake()
    assert "fetched" in clone.read("results/report/_/report.txt")
    assert clone.trained() == []


def test_what_cannot_be_reached_is_made_anew_when_told_so(
    shared: Shared, monkeypatch
) -> None:
    clone = shared.clone()
    shutil.rmtree(shared.remote)
    clone.edit("params.yaml", "title: numbers", "title: anew")
    monkeypatch.setenv("RUNLEDGER_RECOMPUTE", "1")
    out = clone.snakemake()
    assert "its bytes are neither here nor on remote 'shared'" in out
    assert sorted(clone.trained()) == ["a", "b", "c"]
    assert "anew\na 20\n" in clone.read("results/report/_/report.txt")


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("ssh://127.0.0.1:1/nowhere", "cannot be used"),
        ("s3://bucket/nowhere", "DVC or its remote cannot be opened"),
        ("http://127.0.0.1:1/nowhere", "cannot be used"),
        ("/proc/version/store", "is not there"),
    ],
)
def test_bytes_on_a_remote_that_does_not_answer_are_not_lost(
    fresh: Shared, url: str, words: str
) -> None:
    from runledger.sharing import UserError, unavailable

    fresh.toy.edit(".dvc/config", f"url = {fresh.remote}", f"url = {url}")
    with pytest.raises(UserError, match=words) as refused:
        unavailable(fresh.root, [hash_path(fresh.root / VALUE)])
    assert "RUNLEDGER_RECOMPUTE" in refused.value.remedy
    code, out = fresh("push")
    assert code == 1
    assert "Traceback" not in out


@pytest.mark.parametrize("command", ["push", "pull"])
def test_a_remote_without_objects_by_hash_is_refused(fresh: Shared, command) -> None:
    fresh.toy.edit(".dvc/config", f"url = {fresh.remote}", "url = /r\nworktree = true")
    fresh.lose(VALUE)
    code, out = fresh(command)
    assert code == 1
    assert "unsupported for cloud versioned remotes" in out


def test_dvc_without_a_folder_of_its_own_is_one_clear_error(
    fresh: Shared, monkeypatch
) -> None:
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", "/proc/version/site")
    code, out = fresh("push")
    assert code == 1
    assert "site_cache_dir" in out
    assert "Traceback" not in out


def test_several_remotes_and_no_default_is_not_no_remote(fresh: Shared) -> None:
    from runledger.sharing import UserError, unavailable

    fresh.toy.edit(".dvc/config", "remote = shared", "")
    with pytest.raises(UserError, match="no usable DVC remote"):
        unavailable(fresh.root, [hash_path(fresh.root / VALUE)])


def test_without_any_remote_what_is_gone_is_gone(toy: Toy) -> None:
    from runledger.sharing import unavailable

    content = hash_path(toy.root / VALUE)
    assert "there is none" in unavailable(toy.root, [content])[content.md5]


# a new remote


def test_a_new_remote_is_made_where_its_parent_is(fresh: Shared) -> None:
    config = fresh.root / ".dvc" / "config"
    text = config.read_text()
    deep = fresh.remote / "not" / "yet"
    config.write_text(text.replace(f"url = {fresh.remote}", f"url = {deep}"))
    code, out = fresh("push")
    assert code == 1
    assert f"there is no {deep.parent}" in out
    assert not fresh.remote.exists()
    deep.parent.mkdir(parents=True)
    assert fresh("push")[0] == 0
    assert len([p for p in deep.rglob("*") if p.is_file()]) == OBJECTS


def test_a_remote_emptied_on_purpose_is_filled_when_told_so(shared: Shared) -> None:
    shutil.rmtree(shared.remote)
    shared.lose(VALUE)
    code, out = shared("push")
    assert code == 1
    assert "push --new" in out
    code, out = shared("push", "--new")
    assert code == 1, "one object is lost for good"
    assert f"missing: {VALUE}" in out
    assert shared.count() == OBJECTS - 1


# the same by other means than a folder


def test_over_ssh(fresh: Shared, sshd, tmp_path: Path) -> None:  # noqa: F811
    address, key = sshd
    lab = f"ssh://{address}{fresh.remote}\n    keyfile = {key}"
    fresh.toy.edit(".dvc/config", f"url = {fresh.remote}", f"url = {lab}")
    damage(fresh.here())
    code, out = fresh("push")
    assert (code, fresh.count()) == (0, OBJECTS), out
    damage(fresh.there(), "1")
    fresh.there("results/double/b/value.txt").unlink()
    code, out = fresh("push")
    assert code == 0
    assert f"sent 2 objects; the remote had {OBJECTS - 2}" in out
    fresh.toy.commit("remote over ssh")
    damage(fresh.there())
    clone = fresh.clone()
    code, out = fresh("pull", at=clone)
    assert code == 1
    assert f"missing: {VALUE} (measure@a, md5 {fresh.md5()}): damaged there" in out
    assert clone.read("results/measure/b/value.txt") == "40\n"
    fresh.remote.rename(tmp_path / "moved")
    for command, at in (("pull", clone), ("push", fresh.toy)):
        code, out = fresh(command, at=at)
        assert code == 1
        assert "is not there" in out
        assert "it had objects, seen on" in out
    assert not fresh.remote.exists()


@pytest.fixture
def web(shared: Shared) -> Iterator[str]:
    """The remote's folder behind a web server."""
    handler = functools.partial(
        http.server.SimpleHTTPRequestHandler, directory=str(shared.remote)
    )
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def test_pull_from_a_web_server(shared: Shared, web: str) -> None:
    clone = shared.clone()
    clone.edit(".dvc/config", f"url = {shared.remote}", f"url = {web}")
    shared.there("results/double/b/value.txt").unlink()
    damage(shared.there(), "1")
    code, out = shared("pull", at=clone)
    assert code == 1
    assert "missing: results/double/b/value.txt" in out
    assert f"missing: {VALUE} (measure@a, md5 {shared.md5()}): cut short" in out
    assert clone.read("results/measure/b/value.txt") == "40\n"
