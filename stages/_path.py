"""Puts the checkout's src/ first on the import path; one thread for numpy's BLAS.

The count is the same whoever starts the program (Snakemake, DVC, a person), because
another one may move last bits. RUNLEDGER_THREADS sets it, for torch, too.
"""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))
for library in ("OMP", "OPENBLAS", "MKL", "NUMEXPR"):
    os.environ[f"{library}_NUM_THREADS"] = os.environ.get("RUNLEDGER_THREADS", "1")
