"""What is said of numbers that are not at the paper's scale, wherever they stand."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Mark:
    """How a scale is named.

    Attributes:
        short: in a figure itself.
        caption: a sentence for captions.
        page: what the report's head says.
    """

    short: str
    caption: str
    page: str


_NONE = Mark("", "", "")
MARKS = {
    "demo": Mark(
        "demo",
        "Demo scale: not the paper’s protocol.",
        "Demo scale: a small run on other data. It shows that the pipeline works; its "
        "numbers say nothing about the paper.",
    ),
    "study": Mark(
        "small-scale study",
        "Small-scale study: not the paper’s data, sizes or metric.",
        "Small-scale study: the paper’s comparisons on small images with small "
        "networks. Which student is better can be compared with the paper; how large "
        "a number is cannot.",
    ),
}


def mark(scale: str) -> Mark:
    """The mark of a scale of params.yaml; the paper's own and own data have none."""
    return MARKS.get(scale, _NONE)
