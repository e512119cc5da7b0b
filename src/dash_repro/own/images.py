"""What a folder of images holds, as `dash-repro init` reports it."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from dash_repro.data.dataset import SPLITS, DatasetError
from dash_repro.data.listing import list_classes, list_splits

TEST_EVERY = 10  # without a test folder, one image in ten of each class is a test image
GREY = {"1", "L", "LA", "I;16", "I;16L", "I;16B"}
Files = dict[str, dict[str, list[Path]]]


@dataclass(frozen=True)
class Images:
    """The images of a folder.

    Attributes:
        root: the folder.
        files: {"train" | "test": {class: its images}}.
        split: whether the folder itself has train/ and test/.
        sizes: how many images are (width, height), in pixels.
        modes: how many are of each of Pillow's modes.
        left_out: {what: how many}.
    """

    root: Path
    files: Files
    split: bool
    sizes: Counter[tuple[int, int]]
    modes: Counter[str]
    left_out: dict[str, int]

    @property
    def channels(self) -> int:
        """1 if all images are grey, else 3."""
        return 1 if self.modes.keys() <= GREY else 3

    def count(self, split: str) -> int:
        """Images of "train" or "test"."""
        return sum(map(len, self.files[split].values()))

    def summary(self) -> Iterator[str]:
        """What was found, for a terminal."""
        classes = {name: len(files) for name, files in self.files["train"].items()}
        fewest, most = min(classes.values()), max(classes.values())
        sizes = str(fewest) if fewest == most else f"{fewest} to {most}"
        counts = f"{self.count('train')} to train on, {self.count('test')} to test with"
        yield f"images     {counts}"
        yield f"classes    {len(classes)}, of {sizes} training images"
        shown = [f"{n} of {w} x {h}" for (w, h), n in self.sizes.most_common(3)]
        rest = len(self.sizes) - len(shown)
        yield f"sizes      {', '.join(shown)}{f', {rest} more' if rest > 0 else ''}"
        modes = ", ".join(f"{n} {mode}" for mode, n in self.modes.most_common())
        yield f"modes      {modes}; read as {'grey' if self.channels == 1 else 'RGB'}"
        for what, count in self.left_out.items():
            yield f"left out   {count} {what}"
        if not self.split:
            yield f"split      one image in {TEST_EVERY} of each class is a test image"


def look_at(folder: Path) -> Images:
    """List a folder's images and read their headers.

    Args:
        folder: train/CLASS/ and test/CLASS/, or CLASS/ alone.

    Raises:
        DatasetError: there are no class folders, only one, too few images of a class,
            or a file that is no image.
    """
    folder = Path(folder).resolve()
    if not folder.is_dir():
        raise DatasetError("no such folder", str(folder), "name a folder of images")
    split = all((folder / name).is_dir() for name in SPLITS)
    listings = list(list_splits(folder).values()) if split else [list_classes(folder)]
    left_out = Counter[str]()
    for listing in listings:
        left_out.update({what: len(paths) for what, paths in listing.left_out.items()})
    files = {name: one.files for name, one in zip(SPLITS, listings, strict=False)}
    files = files if split else _divided(listings[0].files, folder)
    if len(files["train"]) < 2:
        raise DatasetError(
            f"there is one class, {next(iter(files['train']))!r}",
            str(folder),
            "make one folder per class, at least two: guidance tells classes apart",
        )
    every = [path for part in files.values() for own in part.values() for path in own]
    headers = [_header(path) for path in every]
    sizes = Counter(size for size, _ in headers)
    modes = Counter(mode for _, mode in headers)
    return Images(folder, files, split, sizes, modes, dict(left_out))


def _divided(classes: dict[str, list[Path]], folder: Path) -> Files:
    """Every tenth image of a class, at least one, becomes a test image."""
    few = [name for name, files in classes.items() if len(files) < 2]
    if few:
        raise DatasetError(
            f"the class {few[0]!r} has one image; one is needed to train, one to test",
            str(folder),
            "add images to it, or remove it",
        )
    found: Files = {name: {} for name in SPLITS}
    for name, files in classes.items():
        every = min(TEST_EVERY, len(files))
        found["test"][name] = files[every - 1 :: every]
        found["train"][name] = [f for f in files if f not in set(found["test"][name])]
    return found


def _header(path: Path) -> tuple[tuple[int, int], str]:
    try:
        with Image.open(path) as image:
            return image.size, image.mode
    except (OSError, SyntaxError, ValueError) as error:
        raise DatasetError(
            f"not an image: {error}", str(path), "replace or remove it"
        ) from None


def link(images: Images, target: Path) -> None:
    """Make train/CLASS/ and test/CLASS/ of links to the images, where they are not so.

    Args:
        images: without a split of its own.
        target: a folder, which is made anew.
    """
    for split, classes in images.files.items():
        for name, files in classes.items():
            for file in files:
                place = target / split / name / os.path.relpath(file, images.root)
                place.parent.mkdir(parents=True, exist_ok=True)
                place.symlink_to(file)
