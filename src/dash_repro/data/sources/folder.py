"""Any labelled images: train/<class>/... and test/<class>/..."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from dash_repro.data.dataset import SPLITS, Dataset, DatasetError, class_quotas
from dash_repro.data.images import as_rgb, fit_image
from dash_repro.data.listing import Listing, alike, beside_splits, list_splits
from dash_repro.data.source import source

EXAMPLES = 3  # files named of each kind that is left out
MOST_BROKEN = 20  # files named in one error


@source("folder", needs_path=True)
def read_folder(block: Mapping[str, Any], notes: dict[str, Any]) -> Dataset:
    """Read class folders; classes and files in the order of their names.

    Args:
        block: `path`, `image_size`, `max_train`, `max_test` (no more is read).
        notes: gets what was read, how images were changed, and what was left out.

    Raises:
        DatasetError: what `list_splits` refuses, or files that are no whole images.
    """
    root = Path(block["path"])
    found = list_splits(root)
    names = list(found["train"].files)
    arrays = []
    for split in SPLITS:
        files = list(found[split].files.values())
        limit = block[f"max_{split}"]
        if limit is not None:
            quotas = class_quotas(limit, len(names))
            files = [own[:quota] for own, quota in zip(files, quotas, strict=True)]
        done: Counter[str] = Counter()
        arrays += _read_split(files, block["image_size"], done)
        notes[split] = _account(found[split], len(arrays[-1]), done)
    if beside := beside_splits(root):
        notes["not_read"] = beside
    if same := alike(names):
        notes["differ_in_case_only"] = same
    return Dataset(*arrays, class_names=np.array(names, dtype=str))


def _account(listing: Listing, read: int, done: Counter[str]) -> dict[str, Any]:
    there = sum(map(len, listing.files.values()))
    left_out = {
        what: {"count": len(paths), "for_example": paths[:EXAMPLES]}
        for what, paths in sorted(listing.left_out.items())
    }
    changed = {"changed": dict(sorted(done.items()))} if done else {}
    beyond = {"beyond_the_limit": there - read} if there > read else {}
    return {
        "read": read,
        **beyond,
        **changed,
        **({"left_out": left_out} if left_out else {}),
    }


def _read_split(
    files: list[list[Path]], size: int, done: Counter[str]
) -> list[np.ndarray]:
    images, broken = [], []
    for path in (path for own in files for path in own):
        try:
            with Image.open(path) as opened:
                image, changes = as_rgb(opened)
        # Pillow's decoders raise SyntaxError and ValueError too on damaged files.
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as err:
            broken.append((path, err))
            continue
        done.update(changes)
        images.append(fit_image(image, size))
    _require_whole(broken)
    labels = [label for label, own in enumerate(files) for _ in own]
    return [np.stack(images), np.array(labels, dtype=np.int64)]


def _require_whole(broken: list[tuple[Path, Exception]]) -> None:
    """Refuse damaged files, all at once."""
    if not broken:
        return
    said = [f"not a readable image: {_why(path, error)}" for path, error in broken]
    if len(broken) == 1:
        raise DatasetError(said[0], str(broken[0][0]), "replace or remove the file")
    shown = [
        f"{path}: {text}"
        for (path, _), text in zip(broken[:MOST_BROKEN], said, strict=False)
    ]
    more = f"\n... and {len(broken) - len(shown)} more" * (len(broken) > len(shown))
    raise DatasetError(
        f"{len(broken)} files are not readable images\n" + "\n".join(shown) + more,
        str(broken[0][0].parent),
        "replace or remove the files",
    )


def _why(path: Path, error: Exception) -> str:
    return "the file is empty" if not path.stat().st_size else str(error)


def account_lines(notes: Mapping[str, Any]) -> Iterable[tuple[bool, str]]:
    """(whether it may surprise, sentence) of what `read_folder` noted."""
    for split in SPLITS:
        noted = notes.get(split)
        if noted is None:
            continue
        beyond = noted.get("beyond_the_limit")
        tail = f"; {beyond} more are beyond max_{split}" if beyond else ""
        yield False, f"{split}: {noted['read']} images read{tail}"
        for change, count in noted.get("changed", {}).items():
            yield False, f"{split}: {count} of them {change}"
        for what, left in noted.get("left_out", {}).items():
            examples = ", ".join(left["for_example"])
            yield (
                True,
                f"{split}: left out {what} ({left['count']}), such as {examples}",
            )
    if "not_read" in notes:
        yield True, f"not read, beside train and test: {', '.join(notes['not_read'])}"
    if "differ_in_case_only" in notes:
        yield True, f"several classes: {', '.join(notes['differ_in_case_only'])}"
