"""Modules of a package that are found in its folder and not listed anywhere.

A package whose ``__init__`` calls ``import_all(__name__, __path__)`` imports every
module of its folder, so that each can register what it defines. The fingerprint of code
knows the call, and follows the same modules (runledger.fingerprint).
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterable


def import_all(package: str, path: Iterable[str]) -> None:
    """Import every module of a package, in the order of their names.

    Args:
        package: ``__name__`` of the package.
        path: its ``__path__``.
    """
    for name in sorted(module.name for module in pkgutil.iter_modules(path)):
        importlib.import_module(f"{package}.{name}")
