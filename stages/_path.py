"""Puts the checkout's src/ first on the import path of a stage program."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))
