"""One spelling for one value: canonical JSON, its digest, atomic small files."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any

from runledger.errors import UserError


def normalize(value: Any) -> Any:
    """Make equal parameters equal: 4.0 and 4 are one value, tuples are lists."""
    if isinstance(value, bool) or value is None or isinstance(value, str | int):
        return value
    if isinstance(value, float):
        return int(value) if value.is_integer() and abs(value) < 2**53 else value
    if isinstance(value, dict):
        return {str(key): normalize(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [normalize(item) for item in value]
    raise TypeError(f"{type(value).__name__} cannot be part of a recipe: {value!r}")


def canonical(value: Any) -> str:
    """Return the canonical JSON text of a value (sorted keys, no spaces)."""
    return json.dumps(
        normalize(value),
        sort_keys=True,
        separators=(",", ":"),
        ensure_ascii=False,
        allow_nan=False,
    )


def digest(value: Any) -> str:
    """Return 32 hexadecimal digits naming the canonical JSON of a value."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()[:32]


def write_atomic(path: Path | str, text: str, durable: bool = False) -> None:
    """Write a text file so that a reader sees the old content or the whole new one.

    Args:
        path, text: what to write where.
        durable: wait until the disk has it; for what cannot be written anew.

    Raises:
        UserError: the disk is full, or the folder cannot be written.
    """
    path = Path(path)
    handle = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".tmp")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        os.chmod(name, 0o644)
        os.replace(name, path)
    except OSError as error:
        if handle is not None:
            Path(name).unlink(missing_ok=True)
        raise disk_error(error, path) from error


def write_once(path: Path | str, text: str) -> None:
    """Write a content-addressed file; one that is there already is left alone."""
    if not os.path.exists(path):
        write_atomic(path, text)


def pretty(value: Any) -> str:
    """Return JSON for people and git: sorted, indented by one, newline at the end."""
    return (
        json.dumps(value, sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False)
        + "\n"
    )


def disk_error(error: OSError, path: Path | str) -> UserError:
    """Turn an OSError of a write into what a user can act on."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return UserError(
            "the disk is full",
            str(path),
            "free space (or raise the quota) and repeat the same command; "
            "nothing finished is lost",
        )
    return UserError(
        f"cannot write: {error.strerror or error}",
        str(path),
        "check the folder's permissions and repeat the same command",
    )
