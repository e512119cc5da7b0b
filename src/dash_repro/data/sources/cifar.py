"""CIFAR-10 and CIFAR-100 through torchvision, which verifies the archives' md5."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from dash_repro.data.dataset import Dataset, DatasetError
from dash_repro.data.images import fit_images
from dash_repro.data.source import source

CLASSES = ("CIFAR10", "CIFAR100")


@source("torchvision", needs_path=True)
def read_torchvision(block: Mapping[str, Any], notes: dict[str, Any]) -> Dataset:
    """Read a CIFAR dataset; the archive is downloaded to `path` if it is not there.

    Args:
        block: `name` (a torchvision class), `path`, `image_size`.
        notes: not used; the whole archive is read.

    Raises:
        DatasetError: unknown name, or archive missing or broken and not downloadable.
    """
    name, root = block["name"], Path(block["path"])
    if name not in CLASSES:
        raise DatasetError(
            f"torchvision has no dataset {name!r} that is supported here",
            "name, in prepare_data of params.yaml",
            f"use one of {', '.join(CLASSES)}",
        )
    import torchvision.datasets  # seconds to import, and only this source needs it

    kind = getattr(torchvision.datasets, name)
    try:
        root.mkdir(parents=True, exist_ok=True)
        # download=True verifies what is there, and unpacks an archive put in place.
        train = kind(root=str(root), train=True, download=True)
        test = kind(root=str(root), train=False, download=False)
    except (OSError, RuntimeError, EOFError) as error:
        raise _unavailable(kind, root, error) from None
    size = block["image_size"]
    return Dataset(
        fit_images(train.data, size),
        np.array(train.targets, dtype=np.int64),
        fit_images(test.data, size),
        np.array(test.targets, dtype=np.int64),
        np.array(train.classes, dtype=str),
    )


def _unavailable(kind: Any, root: Path, error: Exception) -> DatasetError:
    return DatasetError(
        f"{kind.__name__} is not in place and could not be downloaded: {error}",
        str(root),
        f"download {kind.url} (md5 {kind.tgz_md5}) on a machine with internet, put it "
        f"at {root / kind.filename}, and run the same command again; or set source: "
        "folder (or digits, glyphs) in params.yaml",
    )
