"""Puts the checkout's packages first on the import path; one thread for numpy's BLAS.

The count is the same whoever starts the program (Snakemake, DVC, a person), because
another one may move last bits. RUNLEDGER_THREADS sets it, for torch, too. Float32 means
float32: NVIDIA_TF32_OVERRIDE, which outdoes every setting of torch's, is not obeyed.
"""

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "runledger" / "src")]
for library in ("OMP", "OPENBLAS", "MKL", "NUMEXPR"):
    os.environ[f"{library}_NUM_THREADS"] = os.environ.get("RUNLEDGER_THREADS", "1")
os.environ.pop("NVIDIA_TF32_OVERRIDE", None)
