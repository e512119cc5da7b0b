"""Where the checkout is, and how its programs find its packages."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def python_path(root: Path) -> str:
    """PYTHONPATH for programs of a checkout."""
    return f"{root}/src:{root}/runledger/src"
