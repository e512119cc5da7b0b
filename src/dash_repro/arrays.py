"""Files of arrays and numbers: same content, same bytes; a broken file says so."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from runledger.errors import UserError


class ArrayFileError(UserError):
    """An .npz or .json file that is missing, cut short or not what it should be."""


def save_npz(path: Path | str, **arrays: Any) -> None:
    """Write arrays uncompressed; equal arrays give equal bytes (fixed zip dates)."""
    with open(path, "wb") as file:
        np.savez(file, **arrays)


def load_npz(path: Path | str, required: Sequence[str]) -> dict[str, np.ndarray]:
    """Read an .npz whole, without unpickling.

    Args:
        path: the file.
        required: names that must be in it.

    Raises:
        ArrayFileError: missing, truncated, or without one of the names.
    """
    remedy = "delete the file and run the same command again; it is fetched or remade"
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except FileNotFoundError:
        raise ArrayFileError("the file does not exist", str(path), remedy) from None
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, KeyError) as error:
        raise ArrayFileError(
            f"not a whole .npz file: {error}", str(path), remedy
        ) from None
    missing = [name for name in required if name not in arrays]
    if missing:
        raise ArrayFileError(f"lacks the arrays {missing}", str(path), remedy)
    return arrays


def write_json(path: Path | str, value: Any) -> None:
    """Write JSON with sorted keys; NaN and infinities are refused (ValueError)."""
    text = json.dumps(value, sort_keys=True, indent=1, allow_nan=False)
    Path(path).write_text(text + "\n", encoding="utf-8")


def read_json(path: Path | str) -> Any:
    """Read JSON; a broken file raises ArrayFileError naming it."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        remedy = "delete the file and run the same command again"
        raise ArrayFileError(f"not readable JSON: {error}", str(path), remedy) from None
