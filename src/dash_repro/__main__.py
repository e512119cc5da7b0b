"""``python -m dash_repro``: the command dash-repro."""

from dash_repro.cli import main

main(prog_name="dash-repro")
