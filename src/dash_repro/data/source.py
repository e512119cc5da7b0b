"""Where images come from: each source registers here, from its own module."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runledger.plugins import Registry

if TYPE_CHECKING:
    from dash_repro.data.dataset import Dataset

Read = Callable[[Mapping[str, Any], dict[str, Any]], "Dataset"]


@dataclass(frozen=True)
class Source:
    """One way to get a dataset; its name is what `source` in params.yaml says.

    Attributes:
        read: gets a block of `prepare_data` and returns an RGB Dataset at image_size.
            It may stop at max_train and max_test images, for prepare() makes sure of
            them, and of channels. It may note what it read and left out.
        images: training and test images that it has, at most; to count memory and work.
        needs_path: it reads the folder `path`.
    """

    read: Read
    images: tuple[int, int] = (50_000, 10_000)
    needs_path: bool = False


SOURCES = Registry[Source]("source")


def source(name: str, **about: Any) -> Callable[[Read], Read]:
    """Register a source that the decorated function reads."""
    return SOURCES.decorator(name, lambda read: Source(read, **about))
