"""Safetensors files that are atomic, repeatable byte for byte, and self-checking."""

from __future__ import annotations

import hashlib
import json
import os
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from runledger.errors import UserError

# safetensors' names of the types that we store
_DTYPES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.int64: "I64",
    torch.uint8: "U8",
}
_DIGEST = "data_sha256"
MISSING = (
    "check the path; in a checkout, snakemake makes the file and `make pull` brings it"
)
REMEDY = "delete the file and run the same command again; it is fetched or made anew"


class TensorFileError(UserError):
    """A tensor file that is missing, cut short, altered, or of another kind."""


def save_tensors(
    path: Path | str, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]
) -> None:
    """Write a safetensors file by atomic rename; equal content gives equal bytes.

    The library's own writer orders metadata at random, hence this one. A digest of
    the data goes into the header, for the format has none.

    Args:
        path: the file; its folder must exist.
        tensors: values by name, of types F64, F32, F16, I64 or U8.
        metadata: strings.
    """
    path = Path(path)
    header: dict[str, Any] = {}
    chunks, offset = [], 0
    for name in sorted(tensors):
        value = tensors[name].detach().cpu().contiguous()
        data = value.numpy().tobytes()
        header[name] = {
            "dtype": _DTYPES[value.dtype],
            "shape": list(value.shape),
            "data_offsets": [offset, offset + len(data)],
        }
        chunks.append(data)
        offset += len(data)
    digest = hashlib.sha256()
    for chunk in chunks:
        digest.update(chunk)
    header["__metadata__"] = {**metadata, _DIGEST: digest.hexdigest()}
    text = json.dumps(header, sort_keys=True, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    with open(partial, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for chunk in chunks:
            file.write(chunk)
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)


def load_tensors(
    path: Path | str, error: type[UserError] = TensorFileError
) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read a file of `save_tensors` (or any safetensors file); runs no code from it.

    Args:
        path: the file.
        error: what to raise.

    Returns:
        Tensors on the CPU, metadata without the digest.

    Raises:
        error: the file is missing, truncated, altered or not safetensors.
    """
    try:
        data = Path(path).read_bytes()
        (length,) = struct.unpack("<Q", data[:8])
        header = json.loads(data[8 : 8 + length])
        metadata = dict(header.get("__metadata__", {}))
        tensors = safetensors.torch.load(data)
    except FileNotFoundError:
        raise error("the file does not exist", str(path), MISSING) from None
    except OSError as failure:
        raise error(f"cannot be read: {failure}", str(path), REMEDY) from None
    except (struct.error, ValueError, AttributeError, SafetensorError) as failure:
        what = f"not a whole safetensors file ({failure})"
        raise error(what, str(path), REMEDY) from None
    wanted = metadata.pop(_DIGEST, None)
    if wanted not in (None, hashlib.sha256(data[8 + length :]).hexdigest()):
        what = "its tensors do not have the digest that its header states"
        raise error(what, str(path), REMEDY)
    return tensors, metadata
