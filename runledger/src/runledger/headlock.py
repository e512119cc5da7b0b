"""One snakemake head per checkout."""

from __future__ import annotations

import errno
import fcntl
import sys
import time
from pathlib import Path
from typing import Any

from runledger.canonical import disk_error
from runledger.errors import UserError
from runledger.lease import Lease, describe, lives, span_of
from runledger.project import ledger_path


class HeadLock:
    """One snakemake head per checkout: an advisory lock that dies with its process.

    Where the disk has no such locks (or does not carry them to other machines), the
    lease beside it does.
    """

    def __init__(self, root: Path) -> None:
        self.path = ledger_path(root, ".state", "head.lock")
        self.lease = Lease(self.path.with_suffix(".lease"))
        self._file = None

    def acquire(self) -> None:
        """Take the lock; the head of a machine that died is watched for two minutes.

        Raises:
            UserError: another head runs in this checkout; says which.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            file = open(self.path, "ab")  # noqa: SIM115 (held for the life of the head)
        except OSError as error:
            raise disk_error(error, self.path) from error
        owner = self._owner(file)
        if owner is not None:
            file.close()
            raise UserError(
                f"another snakemake runs in this checkout: {describe(owner)}",
                str(self.path),
                "wait for it to end, or stop it; a dry run (-n) works meanwhile",
            )
        self._file = file

    def _owner(self, file: Any) -> dict[str, Any] | None:
        """Take flock and lease; returns None when taken, else who holds them."""
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
                return self.lease.holder() or {}
        warned = False
        while (owner := self.lease.try_acquire()) is not None:
            if self.lease.beats or lives(owner):
                return owner
            if not warned:
                print(
                    f"{self.lease.path} is of {describe(owner)}; "
                    f"looking for {span_of(owner):.0f} s whether that lives",
                    file=sys.stderr,
                )
                warned = True
            time.sleep(0.2)
        return None

    def release(self) -> None:
        """Give the lock back."""
        self.lease.release()
        if self._file:
            self._file.close()
            self._file = None
