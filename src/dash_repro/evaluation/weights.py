"""A file of weights: in place with the right hash, or downloaded to be so."""

from __future__ import annotations

import hashlib
import logging
import os
import tempfile
import urllib.request
from pathlib import Path
from typing import IO

from tqdm import tqdm

from dash_repro.evaluation.errors import WeightsError

_LOG = logging.getLogger(__name__)
_CHUNK = 1 << 20
_TIMEOUT_S = 60


def ensure_weights(path: Path | str, url: str, sha256: str) -> Path:
    """Return `path` once its content has the hash; download it if it is absent.

    The download goes to a temporary file beside it and is renamed when it is whole
    and right, so that no reader and no killed job ever sees a part of it.

    Raises:
        WeightsError: wrong content, or absent and not to be had; the message names
            file, address and hash.
    """
    path = Path(path)
    if path.exists():
        found = _sha256(path)
        if found != sha256:
            raise WeightsError(
                f"the weights file has sha256 {found}, not {sha256}",
                str(path),
                f"delete it, and it is downloaded again from {url}; or correct "
                "extractor.weights_sha256 in params.yaml",
            )
        return path
    _download(path, url, sha256)
    return path


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _download(path: Path, url: str, sha256: str) -> None:
    _LOG.info("downloading %s to %s", url, path)
    remedy = (
        f"download {url} (sha256 {sha256}) on a machine with internet, put it at "
        f"{path}, and run the same command again; or set extractor.name to "
        "effnetlite0, which needs no download (but makes no FID)"
    )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    except OSError as error:
        raise WeightsError(
            f"cannot write the weights: {error}", str(path), remedy
        ) from None
    partial = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            found = _fetch(url, file)
        if found != sha256:
            raise WeightsError(
                f"{url} gave a file of sha256 {found}, not {sha256}", str(path), remedy
            )
        os.replace(partial, path)
    except (OSError, ValueError) as error:
        raise WeightsError(
            f"the weights are not in place and could not be downloaded: {error}",
            str(path),
            remedy,
        ) from None
    finally:
        partial.unlink(missing_ok=True)


def _fetch(url: str, file: IO[bytes]) -> str:
    """Copy the address to the file, with a progress bar on terminals; its sha256."""
    digest = hashlib.sha256()
    with urllib.request.urlopen(url, timeout=_TIMEOUT_S) as answer:
        expected = int(answer.headers.get("Content-Length") or 0) or None
        received = 0
        with tqdm(total=expected, unit="B", unit_scale=True, disable=None) as bar:
            while chunk := answer.read(_CHUNK):
                digest.update(chunk)
                file.write(chunk)
                received += len(chunk)
                bar.update(len(chunk))
    if expected is not None and received != expected:
        raise OSError(f"connection lost after {received} of {expected} bytes")
    return digest.hexdigest()
