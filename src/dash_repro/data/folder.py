"""Any labelled images: train/<class>/*.png|jpg|jpeg and test/<class>/..."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from dash_repro.data.dataset import SPLITS, Dataset, DatasetError, class_quotas
from dash_repro.data.images import fit_image

EXTENSIONS = (".png", ".jpg", ".jpeg")


def read_folder(block: Mapping[str, Any]) -> Dataset:
    """Read class folders; classes and files in the order of their names.

    Args:
        block: `path`, `image_size`, `max_train`, `max_test` (no more is read).

    Raises:
        DatasetError: no such folder, a class folder without images, classes that
            differ between train and test, or a file that is no image.
    """
    root = Path(block["path"])
    classes = {split: _class_names(root / split) for split in SPLITS}
    _require_same(classes, root)
    names = classes["train"]
    arrays = []
    for split in SPLITS:
        files = [_class_files(root / split / name) for name in names]
        limit = block[f"max_{split}"]
        if limit is not None:
            quotas = class_quotas(limit, len(names))
            files = [own[:quota] for own, quota in zip(files, quotas, strict=True)]
        arrays += _read_split(files, block["image_size"])
    return Dataset(*arrays, class_names=np.array(names, dtype=str))


def _class_names(folder: Path) -> list[str]:
    if not folder.is_dir():
        raise DatasetError(
            "no such folder",
            str(folder),
            "source folder needs train/<class>/ and test/<class>/ with images; "
            "set path in prepare_data of params.yaml",
        )
    names = sorted(
        entry.name
        for entry in folder.iterdir()
        if entry.is_dir() and not entry.name.startswith(".")
    )
    if not names:
        raise DatasetError("no class folders", str(folder), "add one folder per class")
    return names


def _require_same(classes: dict[str, list[str]], root: Path) -> None:
    train, test = set(classes["train"]), set(classes["test"])
    if train != test:
        raise DatasetError(
            f"the classes of train and test differ: only in train "
            f"{sorted(train - test)}, only in test {sorted(test - train)}",
            str(root),
            "give every class a folder in both",
        )


def _class_files(folder: Path) -> list[Path]:
    files = sorted(
        entry
        for entry in folder.iterdir()
        if entry.suffix.lower() in EXTENSIONS and not entry.name.startswith(".")
    )
    if not files:
        raise DatasetError(
            f"a class folder with no images ({', '.join(EXTENSIONS)})",
            str(folder),
            "add images to it, or remove the class from train and test",
        )
    return files


def _read_split(files: list[list[Path]], size: int) -> list[np.ndarray]:
    images = [_read_image(path, size) for own in files for path in own]
    labels = [label for label, own in enumerate(files) for _ in own]
    return [np.stack(images), np.array(labels, dtype=np.int64)]


def _read_image(path: Path, size: int) -> np.ndarray:
    try:
        with Image.open(path) as image:
            return fit_image(image, size)
    # Pillow's decoders raise SyntaxError and ValueError too on damaged files.
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DatasetError(
            f"not a readable image: {error}", str(path), "replace or remove the file"
        ) from None
