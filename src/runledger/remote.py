"""Sharing bytes over a DVC remote: what it has, fetch, push of every record's bytes.

The only module that calls DVC code, and only the head calls it. The remote is asked,
never a local index of it: what it lost is sent again.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runledger.errors import UserError
from runledger.judge import Judge
from runledger.project import load_pipeline
from runledger.records import Records
from runledger.store import Store


@dataclass(frozen=True)
class Moved:
    """Objects sent or fetched, and those that were already there or nowhere."""

    moved: int
    present: int
    missing: tuple[str, ...] = ()


def _open(root: Path, name: str | None = None) -> tuple[Any, Any, str]:
    """Return DVC's cache and remote databases and the remote's name.

    Raises:
        UserError: no remote, or DVC cannot use it.
    """
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        repo = Repo(str(root))
        odb = repo.cloud.get_remote_odb(name)
        label = name or repo.config["core"].get("remote", "the remote")
        return repo.cache.local, odb, f"remote '{label}' ({odb.path})"
    except DvcException as error:
        raise UserError(
            f"no usable DVC remote: {error}",
            ".dvc/config",
            "add one: dvc remote add --default NAME URL, or run without sharing",
        ) from None


def _reach(where: str, action: Any) -> Any:
    """Run what talks to a remote; its failure becomes one clear error."""
    try:
        return action()
    except UserError:
        raise
    except Exception as error:  # each file system has errors of its own
        raise UserError(
            f"{where} cannot be used: {type(error).__name__}: {error}",
            ".dvc/config",
            "check address, key and permissions, then repeat the same command; "
            "what was already moved stays",
        ) from error


def _on_remote(remote: Any, md5s: Iterable[str]) -> set[str]:
    return set(remote.oids_exist(sorted(md5s), jobs=remote.fs.jobs))


def missing_on_remote(root: Path, md5s: Iterable[str]) -> tuple[str, set[str]]:
    """Return (the remote's name, those md5s that it lacks)."""
    wanted = set(md5s)
    try:
        _, remote, where = _open(root)
    except UserError:
        return "any remote (none is configured)", wanted
    return where, wanted - _reach(where, lambda: _on_remote(remote, wanted))


def _transfer(source: Any, target: Any, md5s: Iterable[str], where: str) -> set[str]:
    """Copy objects between databases, verified; returns those that failed."""
    from dvc_data.hashfile.hash_info import HashInfo
    from dvc_data.hashfile.transfer import transfer

    infos = {HashInfo("md5", md5) for md5 in md5s}
    if not infos:
        return set()
    result = _reach(
        where, lambda: transfer(source, target, infos, verify=True, shallow=False)
    )
    return {info.value for info in result.failed}


def fetch(root: Path, md5s: Iterable[str], name: str | None = None) -> Moved:
    """Bring objects from the remote into the DVC cache, checked."""
    store, wanted = Store(root), set(md5s)
    absent = {md5 for md5 in wanted if not store.has(md5)}
    if not absent:
        return Moved(0, len(wanted))
    cache, remote, where = _open(root, name)
    there = _reach(where, lambda: _on_remote(remote, absent))
    failed = _transfer(remote, cache, there, where)
    missing = (absent - there) | failed
    return Moved(len(there - failed), len(wanted) - len(absent), tuple(sorted(missing)))


def recorded_objects(root: Path) -> dict[str, str]:
    """Return {md5: path} of the cached outputs of every record, current or not."""
    objects: dict[str, str] = {}
    for record in Records(root).all():
        for path, out in record.outputs.items():
            if "inline" not in out:
                objects[out["md5"]] = path
    return objects


def push(root: Path, name: str | None = None) -> Moved:
    """Send the bytes of every record that the remote lacks.

    Raises:
        UserError: no remote, or it cannot be used; what was sent stays sent.
    """
    cache, remote, where = _open(root, name)
    objects, store = recorded_objects(root), Store(root)
    there = _reach(where, lambda: _on_remote(remote, objects))
    absent = set(objects) - there
    here = {md5 for md5 in absent if store.has(md5)}
    failed = _transfer(cache, remote, here, where)
    if failed:
        raise UserError(
            f"{len(failed)} of {len(here)} objects could not be sent to {where}",
            objects[min(failed)],
            "check space and permissions there, then push again; the rest is there",
        )
    return Moved(len(here), len(there), tuple(sorted(absent - here)))


def pull(root: Path, targets: Iterable[str] = (), name: str | None = None) -> Moved:
    """Fetch and place the outputs of valid instances that are absent or wrong.

    Args:
        targets: instances (or ``stage/id``, or output paths) whose whole ancestry is
            wanted; none: everything valid.
    """
    pipeline = load_pipeline(root)
    verdicts = Judge(root, pipeline).judge()
    chosen = _ancestry(pipeline, targets) or set(pipeline.instances)
    store, places = Store(root), []
    for instance_name in chosen:
        for path, content in verdicts[instance_name].outputs.items():
            record = verdicts[instance_name].record
            if record is None or "inline" in record.outputs[path]:
                continue
            found = store.current(root / path)
            if found is None or found.md5 != content.md5:
                places.append((path, content.md5))
    moved = fetch(root, {md5 for _, md5 in places}, name)
    for path, md5 in places:
        store.restore(md5, root / path)
    return moved


def _ancestry(pipeline: Any, targets: Iterable[str]) -> set[str]:
    found: set[str] = set()
    todo = [pipeline.find(target).name for target in targets]
    while todo:
        instance_name = todo.pop()
        if instance_name not in found:
            found.add(instance_name)
            deps = pipeline[instance_name].deps
            todo += [pipeline.producer[dep] for dep in deps if dep in pipeline.producer]
    return found


def fetch_file(root: Path, path: str, md5: str, inline: str | None = None) -> None:
    """Put one recorded file in place: from its record, the cache, or the remote.

    Raises:
        UserError: nobody has the bytes.
    """
    from runledger.canonical import write_atomic

    target = Path(root) / path
    if inline is not None:
        write_atomic(target, inline)
        return
    store = Store(root)
    if store.restore(md5, target):
        return
    fetch(root, [md5])
    if not store.restore(md5, target):
        raise UserError(
            f"neither the cache nor the remote has the bytes {md5}",
            path,
            "run snakemake again: it will make the file anew",
        )
