"""A DVC remote: what it has, object by object; one object there or back, checked.

The only module that calls DVC code, and only the head calls it. The remote is asked,
never a local index of it, and an object counts as there if it has its size: what the
remote lost, and what a broken transfer left there cut short, is sent again.
"""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from tqdm import tqdm

from runledger import places
from runledger.errors import UserError
from runledger.links import copy
from runledger.store import Store, md5_file

Size = int | None
Result = TypeVar("Result")
# of the kinds of remotes, those in which a folder can exist and be empty
FOLDERS = ("local", "ssh", "gdrive", "hdfs", "webhdfs", "webdav", "webdavs")
DRAFTS = ("local", "ssh")  # those in which a file is there before it is whole
WEB = ("http", "https")


def _words(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _is_folder(md5: str) -> bool:
    return md5.endswith(".dir")


def _wrong(info: Mapping[str, Any] | None, size: Size) -> str:
    """Say what is wrong with an object of the remote, by its size; "" if nothing."""
    if info is None:
        return "not there"
    found = info.get("size")
    if None in (found, size) or found == size:
        return ""
    return f"{'cut short' if found < size else 'too long'}: {found} of {size} bytes"


def find_remote(root: Path, name: str | None = None) -> Remote | None:
    """Return a remote by name, or the default one; None if there are no remotes at all.

    Raises:
        UserError: no such remote, no default among several, or DVC cannot use it.
    """
    from dvc.exceptions import DvcException, NotDvcRepoError
    from dvc.repo import Repo

    try:
        repo = Repo(str(root))
        if not (name or repo.config["remote"] or repo.config["core"].get("remote")):
            return None
        odb = repo.cloud.get_remote_odb(name, "runledger")
        return Remote(root, name or repo.config["core"]["remote"], odb)
    except NotDvcRepoError:
        return None
    except DvcException as error:
        raise UserError(
            f"no usable DVC remote: {error}",
            ".dvc/config",
            "choose one (dvc remote default NAME), or correct it (dvc remote modify)",
        ) from None
    except Exception as error:  # of a file system, or a package that it needs
        raise UserError(
            f"DVC or its remote cannot be opened: {_words(error)}",
            ".dvc/config",
            "check address and key, and that DVC's own site_cache_dir can be written; "
            "an S3 remote needs the package dvc[s3], and so on",
        ) from error


def open_remote(root: Path, name: str | None = None) -> Remote:
    """Return a remote by name, or the default one.

    Raises:
        UserError: there is none, or DVC cannot use it.
    """
    remote = find_remote(root, name)
    if remote is None:
        raise UserError(
            "no usable DVC remote: none is configured",
            ".dvc/config",
            "add one: dvc remote add --default NAME URL, or run without sharing",
        )
    return remote


class Remote:
    """One place that keeps objects for several checkouts.

    Attributes:
        where: its name and address, for messages.
    """

    def __init__(self, root: Path, name: str, odb: Any) -> None:
        self.root, self.odb, self.fs = Path(root), odb, odb.fs
        self.address = odb.fs.unstrip_protocol(odb.path)
        self.where = f"remote '{name}' ({odb.path})"

    def _reach(self, action: Callable[[], Result]) -> Result:
        """Run what talks to the remote; its failure becomes one clear error."""
        try:
            return action()
        except UserError:
            raise
        except Exception as error:  # each file system has errors of its own
            raise UserError(
                f"{self.where} cannot be used: {_words(error)}",
                ".dvc/config",
                "check address, key and permissions, then repeat the same command; "
                "what was already moved stays",
            ) from error

    # whether the place is there

    def is_there(self) -> bool:
        """Tell whether the remote has the folder that DVC keeps objects in.

        A disk that is not mounted has none, and neither has a new remote.
        """
        found = self._reach(lambda: self._exists(self.odb.path))
        if found:
            places.remember(self.root, self.address)
        return found

    def _exists(self, path: str) -> bool:
        if self.fs.protocol in WEB:  # lists no folders
            return True
        try:
            self.fs.info(path)
        except (FileNotFoundError, NotADirectoryError):
            return False
        return True

    def require(self) -> None:
        """Make sure that what the remote lacks is not only out of reach.

        Raises:
            UserError: nothing is there: not mounted, moved, or never pushed to.
        """
        if not self.is_there():
            raise self._absent("this checkout has never seen any there")

    def make(self, whole: bool) -> None:
        """Make a new remote, unless its disk may only be out of reach.

        Args:
            whole: whether all it should have is here to be sent.

        Raises:
            UserError: it had objects before, the folder above it is not there, or not
                all is here, so that it cannot be told from a disk that is not mounted.
        """
        base = self.fs.parent(self.fs.parent(self.odb.path))  # less files/md5
        above = self.fs.parent(base)
        if self.fs.protocol not in FOLDERS:
            above = self.fs.parts(base)[0]  # the bucket
        if places.seen(self.root, self.address):
            raise self._absent("")
        if above and not self._reach(lambda: self._exists(above)):
            raise self._absent(f"there is no {above}")
        if not whole:
            raise self._absent("it may be new, but not all it should have is here")

    def _absent(self, why: str) -> UserError:
        day = places.seen(self.root, self.address)
        why = f"it had objects, seen on {day}" if day else why
        return UserError(
            f"{self.where} is not there: no objects, not even their folder ({why})",
            self.address,
            "mount its disk, or say where it is now (dvc remote modify NAME url URL); "
            "if it is new and to be made: python -m runledger push --new",
        )

    # what it has

    def lacking(self, sizes: Mapping[str, Size]) -> dict[str, str]:
        """Ask for objects; returns {md5: what is wrong} of those it has not got whole.

        Args:
            sizes: {md5: size in bytes, None if not known}.
        """
        names = sorted(sizes)
        asked = self._reach(lambda: self._infos(names))
        return {
            md5: why
            for md5, info in zip(names, asked, strict=True)
            if (why := _wrong(info, sizes[md5]))
        }

    def _infos(self, names: list[str]) -> list[Mapping[str, Any] | None]:
        paths = [self.odb.oid_to_path(md5) for md5 in names]
        found = self.fs.info(paths, batch_size=self.fs.jobs, return_exceptions=True)
        for at, answer in enumerate(found):
            if isinstance(answer, FileNotFoundError | NotADirectoryError):
                found[at] = None
                if self.fs.protocol in WEB:  # absent, or is the server down? raises
                    self.fs.fs.exists(paths[at], strict=True)
            elif isinstance(answer, Exception):
                raise answer
        return found

    # there and back

    def send(self, store: Store, md5s: Iterable[str]) -> dict[str, str]:
        """Send objects of the cache; returns {md5: why} of those that failed.

        A folder's listing follows when all its files are there.
        """
        todo = set(md5s)
        folders = set(filter(_is_folder, todo))
        failed = self._each(self._send, store, todo - folders)
        for md5 in folders:
            broken = [e["md5"] for e in store.entries(md5) if e["md5"] in failed]
            if broken:
                failed[md5] = f"{len(broken)} of its files could not be sent"
            else:
                failed |= self._each(self._send, store, {md5})
        return failed

    def bring(self, store: Store, sizes: Mapping[str, Size]) -> dict[str, str]:
        """Bring objects into the cache, folders with all their files.

        Returns {md5: why} of those that are not in the cache now.
        """
        failed = self._bring_files(store, sizes)
        for md5 in sizes.keys() - failed.keys():
            inside = {e["md5"]: None for e in store.entries(md5)}
            inside = {m: None for m in inside if not store.has(m)}
            broken = self._bring_files(store, inside)
            if broken:
                failed[md5] = f"{len(broken)} of its files: {min(broken.values())}"
        return failed

    def _bring_files(self, store: Store, sizes: Mapping[str, Size]) -> dict[str, str]:
        if not sizes:
            return {}
        failed = self.lacking(sizes)
        return failed | self._each(self._bring, store, sizes.keys() - failed.keys())

    def _send(self, store: Store, md5: str) -> str:
        """Send one object; returns what is wrong with what arrived, "" if nothing.

        Where files are written bit by bit, by a draft: a kill must not leave half an
        object under its name, for DVC keeps one that it finds.
        """
        from dvc.fs import localfs

        source, target = store.object_path(md5), self.odb.oid_to_path(md5)
        if self.fs.protocol not in DRAFTS:
            self.odb.add(str(source), localfs, md5, check_exists=False, verify=False)
            return ""
        draft = self.fs.join(self.fs.parent(target), f".{uuid.uuid4().hex}.tmp")
        self.odb.makedirs(self.fs.parent(target))
        try:
            if self.fs.protocol == "local":
                copy(source, Path(draft))
                if md5_file(draft) != md5.removesuffix(".dir"):
                    return "what was written there reads otherwise"
                self.odb.protect(draft)
                os.replace(draft, target)  # DVC's move stops at a third name
            else:
                self.fs.put_file(str(source), draft)
                self.fs.mv(draft, target)
        except BaseException:
            with contextlib.suppress(Exception):
                self.fs.remove(draft)
            raise
        return ""

    def _bring(self, store: Store, md5: str) -> str:
        """Bring one object; returns what is wrong with what arrived, "" if nothing."""
        draft = store.draft()
        try:
            self.fs.get_file(self.odb.oid_to_path(md5), str(draft))
            found = md5_file(draft)
            whole = store.keep(draft, md5)
            return "" if whole else f"damaged there: its bytes have md5 {found}"
        finally:
            draft.unlink(missing_ok=True)

    def _each(
        self, action: Callable[[Store, str], str], store: Store, md5s: Iterable[str]
    ) -> dict[str, str]:
        """Do something for each object, several at a time; returns {md5: failure}."""

        def attempt(md5: str) -> str:
            try:
                return action(store, md5)
            except Exception as error:  # each file system has errors of its own
                return _words(error)

        names, pool = sorted(md5s), ThreadPoolExecutor(self.fs.jobs)
        try:
            done = pool.map(attempt, names)
            bar = tqdm(done, self.where, len(names), unit=" objects", disable=None)
            outcomes = list(bar)
        finally:
            pool.shutdown(cancel_futures=True)
        return {md5: why for md5, why in zip(names, outcomes, strict=True) if why}
