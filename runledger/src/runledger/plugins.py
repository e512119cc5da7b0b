"""Things that register under a name, each from a module found in a package's folder.

A package whose ``__init__`` calls ``import_all(__name__, __path__)`` imports every
module of its folder, so that each can register what it defines. The fingerprint of code
knows the call, and follows the same modules (runledger.fingerprint).
"""

from __future__ import annotations

import importlib
import pkgutil
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

from runledger.errors import UserError

__all__ = ["Registry", "import_all"]

T = TypeVar("T")


def import_all(package: str, path: Iterable[str]) -> None:
    """Import every module of a package, in the order of their names.

    Args:
        package: ``__name__`` of the package.
        path: its ``__path__``.
    """
    for name in sorted(module.name for module in pkgutil.iter_modules(path)):
        importlib.import_module(f"{package}.{name}")


class Registry(dict[str, T]):
    """Things by name; a name that is taken is refused, with both places.

    Args:
        what: the word for one of them, such as "metric".
    """

    def __init__(self, what: str) -> None:
        super().__init__()
        self.what, self.places = what, dict[str, str]()

    def __setitem__(self, name: str, thing: T) -> None:
        """Register it.

        Raises:
            UserError: the name is taken.
        """
        place = _place()
        if name in self:
            raise UserError(
                f"two things register as {self.what} {name!r}",
                f"{self.places[name]} and {place}",
                "give one of them another name",
            )
        self.places[name] = place
        super().__setitem__(name, thing)

    def decorator(self, name: str, make: Callable[..., T]) -> Callable:
        """Return a decorator that registers what `make` makes of a function."""

        def decorate(function: Callable) -> Callable:
            self[name] = make(function)
            return function

        return decorate


def _place() -> str:
    """File and line of the module that is being imported: there it registers."""
    frame = sys._getframe(1)
    while frame.f_back and frame.f_code.co_name != "<module>":
        frame = frame.f_back
    return f"{Path(frame.f_code.co_filename)}, line {frame.f_lineno}"
