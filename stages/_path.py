"""What a stage program sets before its imports: import path, threads, memory.

The checkout's packages come first. numpy's BLAS has one thread: the count is the same
whoever starts the program (Snakemake, DVC, a person), because another one may move last
bits. RUNLEDGER_THREADS sets it, for torch, too. Float32 means float32: torch's settings
do, and NVIDIA_TF32_OVERRIDE, which outdoes them, is not obeyed. Garbage is looked for
less often: importing torch makes a million objects that stay, and going through them
meanwhile took an eighth of a short program's start.
"""

import gc
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "runledger" / "src")]
for library in ("OMP", "OPENBLAS", "MKL", "NUMEXPR"):
    os.environ[f"{library}_NUM_THREADS"] = os.environ.get("RUNLEDGER_THREADS", "1")
os.environ.pop("NVIDIA_TF32_OVERRIDE", None)
gc.set_threshold(100_000)
