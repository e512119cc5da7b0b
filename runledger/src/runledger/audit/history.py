"""Records against git: commits that exist, code and params that those commits hold."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml

from runledger.audit.chain import NOTICE, OBJECTION, UNCHECKED, Chain, Finding
from runledger.canonical import canonical
from runledger.environment import UNKNOWN
from runledger.fingerprint import OF_SNAKEFILE, code_digest
from runledger.git import GitError
from runledger.git import git as ask_git
from runledger.pipeline import lookup
from runledger.project import ledger_folder
from runledger.records import Record
from runledger.store import only_line_ends


def git(root: Path, *arguments: str, stdin: bytes = b"") -> bytes | None:
    """Output of a git command, or None if it fails or there is no git."""
    try:
        return ask_git(root, *arguments, stdin=stdin)
    except GitError:
        return None


class History:
    """What git knows: commits of the current history, texts of files at commits."""

    def __init__(self, root: Path) -> None:
        self.root = root
        try:
            listed, self.silent = ask_git(root, "rev-list", "HEAD"), ""
        except GitError as error:
            listed, self.silent = b"", str(error)
        self.commits = set(listed.decode().split())
        self.shallow = git(root, "rev-parse", "--is-shallow-repository") == b"true\n"
        self.head = (git(root, "rev-parse", "HEAD") or b"").decode().strip()
        prefix = git(root, "rev-parse", "--show-prefix") or b""
        self.prefix = os.fsdecode(prefix.rstrip(b"\n"))  # of a checkout within another
        self._blobs: dict[tuple[str, str], str | None] = {}
        self._digests: dict[str, str] = {}
        self._data: dict[str, bytes] = {}
        self._params: dict[str, Any] = {}

    def exists(self, commit: str) -> bool:
        """Whether git has the commit at all, in this history or another."""
        return git(self.root, "cat-file", "-e", f"{commit}^{{commit}}") is not None

    def learn(self, wanted: Iterable[tuple[str, str]]) -> None:
        """Find the blobs of (commit, path) pairs and read them, in one call each."""
        pairs = [pair for pair in dict.fromkeys(wanted) if pair not in self._blobs]
        names = (f"{commit}:{self.prefix}{path}\n" for commit, path in pairs)
        text = os.fsencode("".join(names))
        out = git(self.root, "cat-file", "--batch-check", stdin=text) or b""
        for pair, line in zip(pairs, os.fsdecode(out).splitlines(), strict=False):
            words = line.split()
            self._blobs[pair] = words[0] if words[-1] != "missing" else None
        self._read({blob for blob in self._blobs.values() if blob})

    def _read(self, blobs: set[str]) -> None:
        names = sorted(blobs - self._data.keys())
        text = "".join(f"{name}\n" for name in names).encode()
        out = git(self.root, "cat-file", "--batch", stdin=text) or b""
        for name in names:  # "<name> blob <size>\n<content>\n" each
            head, _, rest = out.partition(b"\n")
            size = int((head.split() or [b"0"])[-1])  # none: git cannot read it
            self._data[name], out = rest[:size], rest[size + 1 :]

    def code(self, commit: str, path: str) -> str | None:
        """Digest of a code file at a commit; None if it has none."""
        blob = self._blobs.get((commit, path))
        if blob is None:
            return None
        if blob not in self._digests:
            try:
                self._digests[blob] = code_digest(path, self._data[blob])
            except (SyntaxError, ValueError):
                self._digests[blob] = ""
        return self._digests[blob]

    def difference(self, commit: str, path: str, md5: str) -> str | None:
        """Name a file that has another md5 at a commit, and how it differs; or None."""
        blob = self._blobs.get((commit, path))
        if blob is None:
            return path
        data = self._data[blob]
        if hashlib.md5(data, usedforsecurity=False).hexdigest() == md5:
            return None
        return f"{path} (other line ends)" if only_line_ends(data, md5) else path

    def params(self, commit: str) -> Any:
        """params.yaml at a commit; None if it has none."""
        if commit not in self._params:
            text = git(self.root, "show", f"{commit}:{self.prefix}params.yaml")
            loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
            try:
                self._params[commit] = yaml.load(text or b"", Loader=loader)
            except yaml.YAMLError:
                self._params[commit] = None
        return self._params[commit]


def check_git(chain: Chain) -> Iterator[Finding]:
    """Commits, code and params of the current records, and records against git."""
    history = History(chain.root)
    yield from _unknown(chain)
    if history.silent:
        detail = f"commits cannot be looked up: {history.silent}"
        yield Finding(UNCHECKED, "no git", ".", detail)
        return
    records = {name: chain.verdicts[name].record for name in chain.instances}
    current = {name: record for name, record in records.items() if record}
    commits = {record.run.get("commit") for record in current.values()}
    history.learn(
        (commit, path)
        for record in current.values()
        for commit in (record.run.get("commit"), history.head)
        if commit not in (None, UNKNOWN)
        for path in (*record.code_modules, *_sources(chain, record))
    )
    bad: dict[str, str] = {}
    for commit in commits - history.commits - {None, UNKNOWN}:
        if history.shallow:
            continue
        elif history.exists(commit):
            bad[commit] = "in git, and not in the history of HEAD"
        else:
            bad[commit] = "not in git"
    for commit, why in sorted(bad.items()):
        doubt = [n for n, r in current.items() if r.run.get("commit") == commit]
        yield Finding(OBJECTION, "unknown commit", commit, why, tuple(doubt))
    if history.shallow and commits - history.commits - {None, UNKNOWN}:
        detail = "a shallow clone: older commits cannot be looked up"
        yield Finding(UNCHECKED, "shallow history", ".", detail)
    for name, record in current.items():
        commit = record.run.get("commit")
        if commit in history.commits:
            yield from _against_commit(chain, history, name, record, commit)
    yield from _records_in_git(chain, history)


def _unknown(chain: Chain) -> Iterator[Finding]:
    """Runs of which git could not say what they ran, by the reason it gave."""
    reasons: dict[str, list[str]] = {}
    for name in chain.instances:
        record = chain.verdicts[name].record
        if record and record.run.get("commit") in (None, UNKNOWN):
            reason = str(record.run.get("git") or "it ran outside git")
            reasons.setdefault(reason, []).append(name)
    for reason, names in sorted(reasons.items()):
        detail = f"no commit was recorded: {reason}"
        yield Finding(OBJECTION, "unknown commit", "-", detail, tuple(names))


def _against_commit(
    chain: Chain, history: History, name: str, record: Record, commit: str
) -> Iterator[Finding]:
    """What ran is what its commit holds; with uncommitted changes, what HEAD holds."""
    dirty = record.run.get("uncommitted")
    adopted = record.adopted is not None  # today's recipe, but the run of then
    where = history.head if dirty or adopted else commit
    differences = _code_differences(history, record, where)
    if not chain.verdicts[name].instance.read:  # else Snakemake had evaluated them
        differences += _params_differences(history, record, where)
    differences += [
        difference
        for path, md5 in _sources(chain, record).items()
        if (difference := history.difference(where, path, md5))
    ]
    if dirty and not differences:
        detail = f"it ran with uncommitted changes on {commit[:10]}; "
        detail += "HEAD now holds exactly its code and params"
        yield Finding(NOTICE, "committed later", name, detail, (name,))
    elif dirty:
        detail = f"it ran with uncommitted changes on {commit[:10]}: "
        detail += "; ".join(differences)
        yield Finding(OBJECTION, "uncommitted", name, detail, (name,))
    elif differences and not adopted:
        detail = f"{commit[:10]} does not hold what it says it ran: "
        detail += "; ".join(differences)
        yield Finding(OBJECTION, "not the commit's", name, detail, (name,))


def _sources(chain: Chain, record: Record) -> dict[str, str]:
    """Inputs that no stage makes: files of the repository."""
    others = {*chain.pipeline.producer, *record.run.get("outside", {})}
    return {path: md5 for path, md5 in record.inputs.items() if path not in others}


def _code_differences(history: History, record: Record, commit: str) -> list[str]:
    return [
        path
        for path, digest in record.code_modules.items()
        if not path.endswith(OF_SNAKEFILE) and history.code(commit, path) != digest
    ]


def _params_differences(history: History, record: Record, commit: str) -> list[str]:
    params = history.params(commit)
    if params is None:
        return ["params.yaml"]
    wrong = []
    for key, value in record.recipe["params"].items():
        try:
            same = canonical(lookup(params, key)) == canonical(value)
        except KeyError:
            same = False
        if not same:
            wrong.append(f"params {key}")
    return wrong


def _records_in_git(chain: Chain, history: History) -> Iterator[Finding]:
    """Records that git has otherwise, or not yet."""
    top = ledger_folder(chain.root)
    where = f"{top}/records"
    listing = ("status", "--porcelain", "-z", "-uall", "--no-renames")
    out = git(chain.root, *listing, "--", where)
    if out is None:
        return
    folders = {v.instance.key_name: n for n, v in chain.verdicts.items()}
    fresh = 0
    for line in filter(None, os.fsdecode(out).split("\0")):
        state, path = line[:2], line[3:].removeprefix(history.prefix)
        if state in ("??", "A "):
            fresh += 1
            continue
        name = folders.get("/".join(Path(path.removeprefix(f"{where}/")).parts[:2]))
        word = "deleted" if "D" in state else "changed"
        detail = f"{word} since it was committed: restore it, or commit and say why"
        doubt = (name,) if name else ()
        yield Finding(OBJECTION, "record not git's", path, detail, doubt)
    if fresh:
        detail = f"{fresh} records are not committed yet: git add {top} && git commit"
        yield Finding(NOTICE, "not committed", where, detail)
