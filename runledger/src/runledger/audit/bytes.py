"""Every recorded output's bytes: hashed if here, asked for on the remote if not."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from runledger.audit.chain import OBJECTION, UNCHECKED, Bytes, Chain, Finding
from runledger.errors import UserError
from runledger.store import Digest, Store, hash_path

THREADS = 4


def check_bytes(chain: Chain, ask_remote: bool = True) -> Iterator[Finding]:
    """Compare the bytes of every instance's record with what is on disk or remote.

    Fills ``chain.bytes``. Of a stale instance the latest record is taken: bytes that
    no record made are wrong whatever else changed.
    """
    owners: dict[str, str] = {}
    for name in chain.instances:
        record = chain.record_of(name)
        for path, out in record.outputs.items() if record else ():
            content = Digest(out["md5"], out["size"], out.get("nfiles"))
            chain.bytes[path] = Bytes(path, content)
            owners[path] = name
    store = Store(chain.root)
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(lambda item: _look(store, item), chain.bytes.values()))
    for path, item in chain.bytes.items():
        if item.state == "wrong" and not _other_record(chain, owners[path], item):
            detail = _difference(item)
            yield Finding(OBJECTION, "wrong bytes", path, detail, (owners[path],))
    yield from _absent(chain, owners, ask_remote)


def _look(store: Store, item: Bytes) -> None:
    target = store.root / item.path
    if target.exists():
        item.found = hash_path(target)
        item.state = "ok" if item.found == item.expected else "wrong"
        if item.found.md5 == item.expected.md5 and item.expected.nfiles is not None:
            item.state = "ok"
    elif store.has(item.expected.md5):
        cached = store.object_path(item.expected.md5)
        item.found = hash_path(cached)
        good = item.found.md5 == item.expected.md5.removesuffix(".dir")
        item.state = "cache" if good else "wrong"


def _other_record(chain: Chain, name: str, item: Bytes) -> bool:
    """Whether an earlier record of a stale instance made the bytes that are there."""
    verdict = chain.verdicts[name]
    if verdict.valid or item.found is None:
        return False
    past = chain.by_folder.get(verdict.instance.key_name, [])
    return any(
        record.outputs.get(item.path, {}).get("md5") == item.found.md5
        for record in past
    )


def _difference(item: Bytes) -> str:
    assert item.found is not None
    sizes = item.found.size, item.expected.size
    if sizes[0] < sizes[1]:
        return f"cut short: {sizes[0]} of the {sizes[1]} bytes recorded"
    if sizes[0] > sizes[1]:
        return f"longer: {sizes[0]} bytes, {sizes[1]} recorded"
    return f"md5 {item.found.md5}, recorded {item.expected.md5}"


def _absent(chain: Chain, owners: dict[str, str], ask: bool) -> Iterator[Finding]:
    """Say what of the files that are not here is missing, and what nobody saw."""
    absent = sorted(p for p, item in chain.bytes.items() if item.state == "absent")
    elsewhere = [p for p in absent if _inline(chain, owners[p], p) is None]
    for path in absent:
        if path not in elsewhere:
            detail = "text that lives in git is not in the checkout (its record has it)"
            yield Finding(OBJECTION, "missing file", path, detail, (owners[path],))
    where, unseen = _ask_for(chain, elsewhere, ask)
    by_stage: dict[str, list[str]] = {}
    for path in unseen:
        stage = chain.verdicts[owners[path]].instance.stage
        by_stage.setdefault(stage, []).append(path)
    for stage, paths in by_stage.items():
        example = f"{paths[0]} and {len(paths) - 1} more" if paths[1:] else paths[0]
        detail = f"{example}: not here, not in the cache; {where}"
        doubt = tuple(sorted({owners[path] for path in paths}))
        yield Finding(UNCHECKED, "bytes absent", stage, detail, doubt)


def _ask_for(chain: Chain, paths: list[str], ask: bool) -> tuple[str, list[str]]:
    """Look for files on the remote: (who was asked, those that are not seen there)."""
    contents = {chain.bytes[path].expected for path in paths}
    where, lacking = "no remote was asked", {content.md5 for content in contents}
    if ask and paths:
        where, lacking = _ask_remote(chain, contents)
    for path in paths:
        if chain.bytes[path].expected.md5 not in lacking:
            chain.bytes[path].state = "remote"
    return where, [path for path in paths if chain.bytes[path].state == "absent"]


def _ask_remote(chain: Chain, contents: set[Digest]) -> tuple[str, set[str]]:
    """Return (who was asked, the md5s that are not whole there)."""
    from runledger.remote import find_remote

    every = {content.md5 for content in contents}
    try:
        remote = find_remote(chain.root)
        if remote is None:
            return "no remote is configured", every
        remote.require()
        sizes = {content.md5: content.object_size for content in contents}
        return f"not on {remote.where}", set(remote.lacking(sizes))
    except UserError as error:
        return error.what, every


def _inline(chain: Chain, name: str, path: str) -> str | None:
    record = chain.record_of(name)
    return record.outputs[path].get("inline") if record else None
