"""What only some machines have: its tests are skipped there, and fail in CI.

CI installs all of it, so that there a missing program is a fault of the set-up.
"""

from __future__ import annotations

import os
import shutil
from typing import NoReturn

import pytest


def unavailable(reason: str) -> NoReturn:
    """End the test: skipped with the reason, or failed in CI."""
    (pytest.fail if "CI" in os.environ else pytest.skip)(reason)


def require(*programs: str, install: str) -> None:
    """End the test unless all the programs are here.

    Args:
        install: the Debian packages that have them.
    """
    missing = [name for name in programs if shutil.which(name) is None]
    if missing:
        unavailable(f"no {', no '.join(missing)} (apt-get install {install})")
