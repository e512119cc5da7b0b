"""``python -m runledger``."""

from runledger.cli import main

main(prog_name="python -m runledger")
