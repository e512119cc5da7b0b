"""One spelling for one value: canonical JSON, its digest, atomic small files."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import uuid
from collections.abc import Mapping
from contextlib import suppress
from json.encoder import encode_basestring
from pathlib import Path
from typing import Any

from runledger.errors import UserError

_ENCODER = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
)


def normalize(value: Any) -> Any:
    """Make equal parameters equal: 4.0 and 4 are one value, tuples are lists."""
    if value is None or isinstance(value, (str, int)):
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
    return _ENCODER.encode(normalize(value))


def to_bytes(text: str) -> bytes:
    """Return a text in UTF-8.

    A byte of a file or host name that is not UTF-8 (Python keeps it as a surrogate)
    becomes the escape that JSON has for it, so it reads back as it was.
    """
    return text.encode("utf-8", "backslashreplace")


def joined(parts: Mapping[str, str]) -> str:
    """Return the canonical text of a mapping whose values are canonical texts."""
    spelled = [f"{encode_basestring(key)}:{parts[key]}" for key in sorted(parts)]
    return f"{{{','.join(spelled)}}}"


def digest_of(text: str) -> str:
    """Return 32 hexadecimal digits naming a canonical text."""
    return hashlib.sha256(to_bytes(text)).hexdigest()[:32]


def digest(value: Any) -> str:
    """Return 32 hexadecimal digits naming the canonical JSON of a value."""
    return digest_of(canonical(value))


def read_text(path: Path | str, root: Path | str = ".") -> str:
    """Return the text of a file that people edit, line ends as "\\n".

    Args:
        path: the file, as a message shall name it.
        root: the folder that a relative path starts from.

    Raises:
        UserError: not UTF-8; says which line.
    """
    try:
        text = (Path(root) / path).read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise UserError(
            f"not UTF-8: line {line} has the byte {error.object[error.start]:#04x}",
            str(path),
            "save it as UTF-8",
        ) from None
    return text.replace("\r\n", "\n")


def leaves(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return {dotted key: value} of a tree's leaves; an empty mapping is a leaf."""
    found: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping) and value:
            found |= leaves(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = value
    return found


def write_atomic(path: Path | str, text: str | bytes, durable: bool = False) -> None:
    """Write a file so that a reader sees the old content or the whole new one.

    Args:
        path, text: what to write where.
        durable: wait until the disk has it; for what cannot be written anew.

    Raises:
        UserError: the disk is full, or the folder cannot be written.
    """
    path = Path(path)
    draft = path.with_name(f".{uuid.uuid4().hex}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(draft, "xb") as file:  # as the umask says, which mkstemp does not ask
            file.write(to_bytes(text) if isinstance(text, str) else text)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        os.replace(draft, path)
        if durable:
            flush(path.parent)
    except OSError as error:
        with suppress(OSError):
            draft.unlink()
        raise disk_error(error, path) from error


def flush(path: Path) -> None:
    """Wait until the disk has a file's bytes, or a folder's names."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_once(path: Path | str, text: str | bytes) -> None:
    """Write a content-addressed file; one that is there and whole is left alone."""
    data = to_bytes(text) if isinstance(text, str) else text
    try:
        if Path(path).read_bytes() == data:
            return
    except OSError:
        pass  # absent, or not readable: written, or the error is raised
    write_atomic(path, data)


def read_named(path: Path, what: str) -> Any:
    """Return the JSON of a file that is named by the digest of its content.

    Raises:
        UserError: missing, cut short or changed; `what` says what it is.
    """
    try:
        content = json.loads(path.read_bytes())
        good = digest(content) == path.stem
    except (OSError, ValueError, TypeError):
        good = False
    if not good:
        raise UserError(
            f"{what} is missing or was changed", str(path), "run snakemake again"
        )
    return content


def pretty(value: Any) -> str:
    """Return JSON for people and git: sorted, indented by one, newline at the end."""
    return (
        json.dumps(value, sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False)
        + "\n"
    )


FULL = (errno.ENOSPC, errno.EDQUOT)
DISK_ERRORS = (*FULL, errno.EACCES, errno.EPERM, errno.EROFS)


def disk_error(error: OSError, path: Path | str) -> UserError:
    """Turn an OSError of a write into what a user can act on."""
    if error.errno in FULL:
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
