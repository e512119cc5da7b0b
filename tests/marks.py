"""What `make check` leaves to `make test`."""

from collections.abc import Iterable

import pytest


def slow_but(quick: Iterable[str], everything: Iterable[str]) -> list:
    """Arguments for parametrize: all, marked slow but for a few."""
    few = set(quick)
    return [
        name if name in few else pytest.param(name, marks=pytest.mark.slow)
        for name in everything
    ]
