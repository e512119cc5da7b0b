"""The kinds of objective: each module of this folder registers its own."""

from dash_repro.objectives.kind import OBJECTIVES
from runledger.plugins import import_all

import_all(__name__, __path__)
__all__ = ["OBJECTIVES"]
