"""Sharing bytes: push of every record's, pull of what is valid, one file for a job.

No transfer is believed: afterwards the other side is asked again, and what is not whole
is named by its path. The cache is healed from the workspace where that has the bytes.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from runledger.canonical import write_atomic
from runledger.errors import UserError
from runledger.judge import Judge, Verdict
from runledger.places import check_cache
from runledger.project import load_pipeline
from runledger.records import Record, Records
from runledger.remote import find_remote, open_remote
from runledger.store import Digest, Store

RECOMPUTE = "RUNLEDGER_RECOMPUTE"  # set: what cannot be reached counts as lost


@dataclass
class Wanted:
    """An object that somebody's record names, and the paths it belongs to."""

    md5: str
    size: int | None
    instance: str
    paths: list[str] = field(default_factory=list)

    def lacks(self, why: str) -> str:
        """Say by path that it is missing, and why."""
        return f"{self.paths[-1]} ({self.instance}, md5 {self.md5}): {why}"


@dataclass(frozen=True)
class Moved:
    """What a transfer did.

    Attributes:
        moved: objects sent or fetched.
        present: objects that were there already.
        missing: what is not there now, by path, with the reason.
        where: the remote, if one was asked.
        files: outputs that should be in place (of a pull).
    """

    moved: int
    present: int
    missing: tuple[str, ...] = ()
    where: str = ""
    files: int = 0


def collect(records: Iterable[Record]) -> dict[str, Wanted]:
    """Return {md5: object} of records' cached outputs, and of the files of folders."""
    found: dict[str, Wanted] = {}

    def add(md5: str, size: int | None, instance: str, path: str) -> None:
        found.setdefault(md5, Wanted(md5, size, instance)).paths.append(path)

    for record in records:
        for path, out in record.outputs.items():
            if "inline" in out:
                continue
            inside = out.get("files", {})
            size = None if out["md5"].endswith(".dir") else out["size"]
            add(out["md5"], size, record.instance, path)
            for name, md5 in dict(inside).items():
                add(md5, None, record.instance, f"{path}/{name}")
    return found


def is_among(path: str, patterns: Iterable[str]) -> bool:
    """Whether a pattern with * and ? matches a path; * stands for folders, too."""
    return any(fnmatchcase(path, pattern) for pattern in patterns)


def _heal(store: Store, wanted: Wanted) -> bool:
    """Whether the cache has an object's right bytes, if need be from the workspace."""
    if store.is_sound(wanted.md5):
        return True
    for path in dict.fromkeys(wanted.paths):
        content = store.current(store.root / path)
        if content is not None and content.md5 == wanted.md5:
            store.put(store.root / path, content)
            return store.is_sound(wanted.md5)
    return False


def push(
    root: Path,
    name: str | None = None,
    new: bool = False,
    without: Collection[str] = (),
) -> Moved:
    """Send the bytes of every record that the remote has not got whole.

    Args:
        name: of the remote; None: the default one.
        new: make the remote without asking whether it may only be out of reach.
        without: patterns (see `is_among`) of outputs that are not sent.

    Raises:
        UserError: no remote, or it cannot be reached; what was sent stays sent.
    """
    remote, store = open_remote(root, name), Store(root)
    objects = {
        md5: one
        for md5, one in collect(Records(root).all()).items()
        if not all(is_among(path, without) for path in one.paths)
    }
    sizes = {md5: wanted.size for md5, wanted in objects.items()}
    there = remote.is_there()
    lacking = remote.lacking(sizes) if there else dict.fromkeys(sizes, "not there")
    here = {md5 for md5 in lacking if _heal(store, objects[md5])}
    if not there and not new:
        remote.make(whole=here == set(lacking))
    failed = remote.send(store, here)
    still = remote.lacking({md5: sizes[md5] for md5 in here}) if here else {}
    remote.is_there()  # from now on: a remote that has objects
    missing = {
        md5: f"{why} on {remote.where}, and no right bytes of it are here"
        for md5, why in lacking.items()
        if md5 not in here
    }
    for md5 in failed.keys() | still.keys():
        missing[md5] = f"not whole on {remote.where}: {failed.get(md5) or still[md5]}"
    lines = sorted(objects[md5].lacks(why) for md5, why in missing.items())
    sent = len(here - missing.keys())
    return Moved(sent, len(objects) - len(lacking), tuple(lines), remote.where)


def pull(root: Path, targets: Iterable[str] = (), name: str | None = None) -> Moved:
    """Fetch and place the outputs of valid instances that are absent or wrong.

    Args:
        targets: instances (or ``stage/id``, or output paths) whose whole ancestry is
            wanted; none: everything valid.
        name: of the remote; None: the default one.

    Raises:
        UserError: what is missing here cannot be asked for; the rest is in place.
    """
    pipeline, store = load_pipeline(root), Store(root)
    verdicts = Judge(root, pipeline).judge()
    names = [name for target in targets for name in pipeline.matching(target)]
    chosen = pipeline.ancestry(names) or set(pipeline.instances)
    outputs = {
        path: content
        for instance_name in chosen
        for path, content in _cached(verdicts[instance_name]).items()
    }
    absent = {p: c for p, c in outputs.items() if not _is_placed(store, p, c)}
    fetch = {}
    for path, content in absent.items():
        if not store.restore(content.md5, root / path):
            fetch[path] = content
    where, failed = "", {}
    if fetch:
        remote = open_remote(root, name)
        remote.require()
        sizes = {c.md5: c.object_size for c in fetch.values()}
        where, failed = remote.where, remote.bring(store, sizes)
        for path, content in fetch.items():
            store.restore(content.md5, root / path)
    missing = [
        Wanted(c.md5, c.size, pipeline.producer[p], [p]).lacks(
            f"{failed.get(c.md5, 'damaged in the cache')} (asked: {where})"
        )
        for p, c in sorted(fetch.items())
        if not _is_placed(store, p, c)
    ]
    moved = len({c.md5 for c in fetch.values()} - failed.keys())
    had = len({c.md5 for c in absent.values()} - {c.md5 for c in fetch.values()})
    return Moved(moved, had, tuple(missing), where, len(outputs))


def _cached(verdict: Verdict) -> dict[str, Digest]:
    """Return {path: content} of what a valid instance has in DVC's cache."""
    if verdict.record is None:
        return {}
    return {
        path: content
        for path, content in verdict.outputs.items()
        if "inline" not in verdict.record.outputs[path]
    }


def _is_placed(store: Store, path: str, content: Digest) -> bool:
    """Whether a path has the right bytes, which then the cache has, too."""
    target = store.root / path
    found = store.current(target)
    if found is None or found.md5 != content.md5:
        return False
    store.hold(target, content)
    return True


def unavailable(root: Path, contents: Iterable[Digest]) -> dict[str, str]:
    """Return {md5: why} of bytes, not in the cache, that the remote has not got either.

    Raises:
        UserError: the remote or the cache cannot be reached, so that nobody knows; not
            if the variable RUNLEDGER_RECOMPUTE is set.
    """
    sizes, where = (
        {c.md5: c.object_size for c in contents},
        "any remote (there is none)",
    )
    gone = dict.fromkeys(sizes, "not there")
    try:
        remote = find_remote(root)
        if remote is not None:
            where = remote.where
            remote.require()
            gone = remote.lacking(sizes)
        if gone:
            check_cache(root, Store(root).config)
    except UserError as error:
        if not os.environ.get(RECOMPUTE):
            raise UserError(
                f"{len(sizes)} files that are needed are not here, and {error.what}",
                error.where,
                f"{error.remedy}; to make them anew instead: {RECOMPUTE}=1 snakemake",
            ) from error
    return {
        md5: f"its bytes are neither here nor on {where}"
        + (f" ({why})" if why != "not there" else "")
        for md5, why in gone.items()
    }


def fetch_file(root: Path, path: str, record: Record) -> None:
    """Put one recorded file in place: from its record, the cache, or the remote.

    Raises:
        UserError: nobody has the bytes, or who may have them cannot be reached.
    """
    target, out, store = Path(root) / path, record.outputs[path], Store(root)
    if "inline" in out:
        write_atomic(target, out["inline"])
        return
    if store.restore(out["md5"], target):
        return
    content = Digest(out["md5"], out["size"])
    remote = open_remote(root)
    remote.require()
    failed = remote.bring(store, {content.md5: content.object_size})
    if failed or not store.restore(content.md5, target):
        why = failed.get(content.md5, "damaged in the cache")
        raise UserError(
            f"the bytes of {record.instance} (md5 {content.md5}) are neither in the "
            f"cache nor on {remote.where}: {why}",
            path,
            "run snakemake again: it will make the file anew",
        )
