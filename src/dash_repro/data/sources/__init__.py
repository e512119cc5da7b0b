"""The sources of images: each module of this folder registers its own."""

from dash_repro.data.source import SOURCES
from runledger.plugins import import_all

import_all(__name__, __path__)
__all__ = ["SOURCES"]
