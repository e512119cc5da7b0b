"""Workflows whose Snakefile knows of runledger by one `include:` alone.

Snakemake itself reads them: reading.py makes an instance of each job that its target
rules lead to, hooks.py lets the records decide in Snakemake's process, running.py makes
one instance, setup.py is `runledger init`.
"""

from pathlib import Path


def rules() -> str:
    """Return the file that a Snakefile includes last, to have all its rules recorded.

    ``include: runledger.rules()``
    """
    return str(Path(__file__).parent / "rules.smk")
