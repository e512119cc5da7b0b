"""The figures: each module of this folder registers those that it defines."""

from dash_repro.paper.registry import FIGURES
from runledger.plugins import import_all

import_all(__name__, __path__)
__all__ = ["FIGURES"]
