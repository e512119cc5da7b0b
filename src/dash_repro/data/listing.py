"""Which files of a folder of class folders are its images, and which are left out.

The same classes, files and order as torchvision's ImageFolder (names ascending, images
of inner folders too), but for hidden files, and for class names: of one name that two
systems spell with different characters (é, or e and an accent) there is one class.
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from dash_repro.data.dataset import SPLITS, DatasetError
from runledger.errors import printable

# torchvision.datasets.folder.IMG_EXTENSIONS (a test compares; the import takes seconds)
EXTENSIONS = (
    *(".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp"),
)
SYSTEM = {"thumbs.db", "desktop.ini", "__macosx"}  # put there by Windows and macOS
HIDDEN = "hidden files and folders"
REMEDY = (
    "source folder needs train/<class>/ and test/<class>/ with images; set path in "
    "prepare_data of params.yaml"
)


@dataclass
class Listing:
    """The images of one split.

    Attributes:
        files: {class: its images, in order}; classes ascending, in composed Unicode.
        left_out: {what: paths below the split} of everything else that is there.
    """

    files: dict[str, list[Path]] = field(default_factory=dict)
    left_out: dict[str, list[str]] = field(default_factory=dict)

    def leave(self, what: str, path: str) -> None:
        """Note something that is not read."""
        self.left_out.setdefault(what, []).append(printable(path))


def list_splits(root: Path) -> dict[str, Listing]:
    """List train and test.

    Raises:
        DatasetError: a folder is absent or cannot be listed, a class has no images, two
            folders are one class, or train and test have other classes.
    """
    found = {split: list_classes(root / split) for split in SPLITS}
    train, test = (found[split].files for split in SPLITS)
    if train.keys() != test.keys():
        raise DatasetError(
            f"the classes of train and test differ: only in train "
            f"{_names(train.keys() - test.keys())}, only in test "
            f"{_names(test.keys() - train.keys())}",
            str(root),
            "give every class a folder in both",
        )
    return found


def beside_splits(root: Path) -> list[str]:
    """What lies beside train and test, and is not read."""
    names = sorted(entry.name for entry in root.iterdir())
    return [printable(n) for n in names if n not in SPLITS and not _is_hidden(n)]


def list_classes(folder: Path) -> Listing:
    """The class folders of one split, and their images.

    Raises:
        DatasetError: as `list_splits`.
    """
    if not folder.is_dir():
        there = f"; there is {', '.join(_beside(folder))}" if _beside(folder) else ""
        raise DatasetError(f"no such folder{there}", str(folder), REMEDY)
    found, spelt = Listing(), {}
    for name in sorted(os.listdir(folder), key=_composed):
        if _is_hidden(name):
            found.leave(HIDDEN, name)
        elif not (folder / name).is_dir():
            found.leave("files beside the class folders", name)
        else:
            label = _class_name(folder, name)
            if label in spelt:
                raise DatasetError(
                    f"two folders of one class: {spelt[label]!a} and {name!a}",
                    str(folder),
                    "join them; their names are the same text in other characters",
                )
            spelt[label] = name
            found.files[label] = _class_files(folder, name, found)
    if not found.files:
        raise DatasetError("no class folders", str(folder), "add one folder per class")
    return found


def _beside(folder: Path) -> list[str]:
    return beside_splits(folder.parent)[:10] if folder.parent.is_dir() else []


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name.lower() in SYSTEM


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def _class_name(folder: Path, name: str) -> str:
    try:
        name.encode()
    except UnicodeEncodeError:
        raise DatasetError(
            f"a class folder whose name is not UTF-8: {name!a}",
            str(folder),
            "rename it, for example with convmv",
        ) from None
    return _composed(name)


def _class_files(split: Path, name: str, found: Listing) -> list[Path]:
    files = []
    for path in _walk(split, name, found):
        below = os.path.relpath(path, split)
        base, ending = os.path.basename(path), os.path.splitext(path)[1].lower()
        if _is_hidden(base):
            found.leave(HIDDEN, below)
        elif ending not in EXTENSIONS:
            kind = f"files ending in {printable(ending)}" if ending else "other files"
            found.leave(kind, below)
        elif not os.path.isfile(path):
            raise DatasetError(
                "no file, or a link to nothing", path, "replace or remove it"
            )
        else:
            files.append(Path(path))
    if not files:
        raise DatasetError(
            f"a class folder with no images ({', '.join(EXTENSIONS)})",
            str(split / name),
            "add images to it, or remove the class from train and test",
        )
    return files


def _walk(split: Path, name: str, found: Listing) -> Iterator[str]:
    """Every file of a class: by folder, then by name, as ImageFolder sorts them."""
    folders = []
    for top, inner, files in os.walk(
        split / name, followlinks=True, onerror=_unlistable
    ):
        folders.append((top, sorted(files)))
        here = os.path.realpath(top) + os.sep
        for sub in list(inner):
            path = os.path.join(top, sub)
            if _is_hidden(sub):
                found.leave(HIDDEN, os.path.relpath(path, split))
            elif here.startswith(os.path.realpath(path) + os.sep):
                found.leave(
                    "links to a folder above them", os.path.relpath(path, split)
                )
            else:
                continue
            inner.remove(sub)
    for top, files in sorted(folders):
        yield from (os.path.join(top, file) for file in files)


def _unlistable(error: OSError) -> None:
    raise DatasetError(
        f"cannot be listed: {error.strerror}", error.filename, "mend its permissions"
    ) from None


def _names(names: set[str]) -> str:
    """Names as a list; those that another alphabet may imitate with their codes."""
    shown = [repr(n) if n.isascii() else f"{n!r} ({n!a})" for n in sorted(names)]
    return f"[{', '.join(shown)}]"


def alike(names: list[str]) -> list[str]:
    """Classes that differ only in case: meant or not, they are several classes."""
    folded: dict[str, list[str]] = {}
    for name in names:
        folded.setdefault(name.casefold(), []).append(name)
    return [printable(" / ".join(same)) for same in folded.values() if len(same) > 1]
